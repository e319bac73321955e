/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_form.c - a form: its boundary (the first line of an input; empty for a urlencoded one), and its body.
 *
 * What must hold: the fields that are told do not depend on the body's pieces. They begin and end in turn, and data
 * stands between. They hold no more than the body has. Written anew in the plainest way, they are told again.
 */
#include "form.h"
#include "fuzz.h"

#include <apr_strings.h>

#define BOUNDARY_MOST 70

typedef struct text {
    char *data;
    size_t len, room;
} text;

/* What was told, as text: fields are told apart by their lengths. */
typedef struct told {
    apr_pool_t *pool;
    text text, anew; /* anew: urlencoded */
    size_t fields, octets;
    int inside;
} told;

static void add(text *to, const void *data, size_t more)
{
    if (to->len + more > to->room) {
        to->room = 2 * (to->len + more) + 64;
        to->data = realloc(to->data, to->room);
        MUST(to->data);
    }
    if (more)
        memcpy(to->data + to->len, data, more);
    to->len += more;
}

static void add_escaped(text *to, const void *data, size_t len)
{
    static const char digits[] = "0123456789aBcDeF";
    const unsigned char *bytes = data;

    for (size_t i = 0; i < len; i++) {
        char escape[3] = {'%', digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        add(to, escape, sizeof escape);
    }
}

static void add_blob(told *t, idem_blob blob)
{
    uint64_t len = blob.data ? blob.len : UINT64_MAX;

    MUST(blob.data || !blob.len);
    add(&t->text, &len, sizeof len);
    add(&t->text, blob.data, blob.len);
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
    add(&t->anew, "&", 1);
    add_escaped(&t->anew, field->name.data, field->name.len);
    add(&t->anew, "=", 1);
}

static void has(void *baton, const void *bytes, apr_size_t len)
{
    told *t = baton;

    MUST(t->inside && len);
    add(&t->text, bytes, len);
    add_escaped(&t->anew, bytes, len);
    t->octets += len;
}

static void ends(void *baton)
{
    told *t = baton;

    MUST(t->inside);
    t->inside = 0;
    add(&t->text, "\0end", 4);
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
    free(t->text.data);
    free(t->anew.data);
}

static int same(const text *a, const text *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void check(apr_pool_t *pool, const char *boundary, const char *body, size_t size, size_t step)
{
    told whole = {.pool = pool}, pieces = {.pool = pool}, anew = {.pool = pool};
    const char *wrong = tell(&whole, boundary, body, size, size ? size : 1);
    const char *too = tell(&pieces, boundary, body, size, step);

    MUST(!wrong == !too && (!wrong || !strcmp(wrong, too)));
    MUST(whole.octets <= size);
    if (!wrong) {
        MUST(same(&whole.text, &pieces.text));
        if (!boundary) {
            MUST(!tell(&anew, NULL, whole.anew.data, whole.anew.len, 1 + whole.anew.len));
            MUST(same(&anew.text, &whole.text));
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
