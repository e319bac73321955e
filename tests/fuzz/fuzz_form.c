/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_form.c - a form: its boundary (the first line of an input; empty for a urlencoded one), and its body.
 *
 * What must hold: what is told does not depend on the pieces that a body comes in; fields begin and end in turn, and
 * data stands between; what can be read tells no more than the body has; a form that is written anew from what was
 * told, in the plainest way, tells the same.
 */
#include "form.h"
#include "fuzz.h"

#include <apr_strings.h>

#define BOUNDARY_MOST 70

/* What was told, as text: fields are told apart by their lengths. */
typedef struct told {
    apr_pool_t *pool;
    char *data;
    size_t len, fields, octets;
    int inside;
    char *rewritten; /* urlencoded */
    size_t rewritten_len;
} told;

static void add(char **to, size_t *len, const void *data, size_t more)
{
    *to = realloc(*to, *len + more + 1);
    MUST(*to);
    if (more)
        memcpy(*to + *len, data, more);
    *len += more;
}

static void add_escaped(told *t, const void *data, size_t len)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        char escape[4];
        apr_snprintf(escape, sizeof escape, "%%%02X", bytes[i]);
        add(&t->rewritten, &t->rewritten_len, escape, 3);
    }
}

static void add_blob(told *t, idem_blob blob)
{
    uint64_t len = blob.data ? blob.len : UINT64_MAX;

    MUST(blob.data || !blob.len);
    add(&t->data, &t->len, &len, sizeof len);
    add(&t->data, &t->len, blob.data, blob.len);
    t->octets += blob.len;
}

static void begins(void *baton, const idem_form_field *field)
{
    told *t = baton;

    MUST(!t->inside);
    t->inside = 1;
    t->fields++;
    MUST(field->name.data);
    add_blob(t, field->name);
    add_blob(t, field->filename);
    add_blob(t, field->type);
    add(&t->rewritten, &t->rewritten_len, "&", 1);
    add_escaped(t, field->name.data, field->name.len);
    add(&t->rewritten, &t->rewritten_len, "=", 1);
}

static void has(void *baton, const void *bytes, apr_size_t len)
{
    told *t = baton;

    MUST(t->inside && len);
    add(&t->data, &t->len, bytes, len);
    add_escaped(t, bytes, len);
    t->octets += len;
}

static void ends(void *baton)
{
    told *t = baton;

    MUST(t->inside);
    t->inside = 0;
    add(&t->data, &t->len, "\0end", 4);
}

static const char *tell(told *t, const char *boundary, const char *body, size_t size, size_t step)
{
    const idem_form_listener listener = {begins, has, ends, t};
    idem_form *form = idem_form_create(boundary, &listener, t->pool);
    const char *wrong;

    for (size_t at = 0; at < size; at += step)
        idem_form_feed(form, body + at, size - at < step ? size - at : step);
    wrong = idem_form_finish(form);
    MUST(wrong ? *wrong != '\0' : !t->inside);
    return wrong;
}

static void forget(told *t)
{
    free(t->data);
    free(t->rewritten);
}

static void check(apr_pool_t *pool, const char *boundary, const char *body, size_t size, size_t step)
{
    told whole = {.pool = pool}, pieces = {.pool = pool}, anew = {.pool = pool};
    const char *wrong = tell(&whole, boundary, body, size, size ? size : 1);
    const char *too = tell(&pieces, boundary, body, size, step);

    MUST(!wrong == !too && (!wrong || !strcmp(wrong, too)));
    MUST(whole.octets <= size);
    if (!wrong) {
        MUST(whole.len == pieces.len && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
        if (!boundary) {
            MUST(!tell(&anew, NULL, whole.rewritten, whole.rewritten_len, 1 + whole.rewritten_len));
            MUST(anew.len == whole.len && (!anew.len || !memcmp(anew.data, whole.data, anew.len)));
        }
    }
    forget(&whole);
    forget(&pieces);
    forget(&anew);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t line = newline ? (size_t)(newline - data) : 0, rest = newline ? size - line - 1 : size;
    char *boundary = fuzz_string(data, line), *body = fuzz_string(newline ? newline + 1 : data, rest);

    if (strlen(boundary) <= BOUNDARY_MOST && !strpbrk(boundary, "\r\n"))
        check(pool, *boundary ? boundary : NULL, body, rest, 1 + line % 7);
    free(boundary);
    free(body);
    apr_pool_destroy(pool);
    return 0;
}
