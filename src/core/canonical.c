/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical.c - writes the canonical form of RFC 8785.
 *
 * Called by the glue for guarded requests whose fingerprint or scope is in a JSON body. What always holds: two texts
 * with the same canonical form have the same values. Numbers count as the same if their decimal values are. Where a
 * number would be written as another one, that is said, and the caller compares the text itself. Limits: recursion goes
 * as deep as IDEM_JSON_DEPTH.
 */
#include "canonical.h"

#ifdef IDEM_WITH_JANSSON

#include "json_private.h"

#include <stdlib.h>

#include <apr_strings.h>

#define ROOM 4096

typedef struct writer {
    const idem_json *json;
    const apr_array_header_t *without;
    idem_json_sink *sink;
    void *baton;
    apr_size_t used;
    unsigned char room[ROOM];
} writer;

static void flush_writer(writer *w)
{
    if (w->used)
        w->sink(w->baton, w->room, w->used);
    w->used = 0;
}

static void write_bytes(writer *w, const void *data, apr_size_t len)
{
    if (len > ROOM - w->used)
        flush_writer(w);
    if (len > ROOM) {
        w->sink(w->baton, data, len);
        return;
    }
    idem_put_bytes(w->room + w->used, data, len);
    w->used += len;
}

static void write_escape(writer *w, unsigned char c)
{
    static const char names[] = "\b\t\n\f\r\"\\", letters[] = "btnfr\"\\", digits[] = "0123456789abcdef";
    const char *name = c ? strchr(names, c) : NULL;
    char text[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};

    if (name)
        text[1] = letters[name - names];
    write_bytes(w, text, name ? 2 : 6);
}

static void write_string(writer *w, const char *text, apr_size_t len)
{
    const char *end = text + len, *from = text;

    write_bytes(w, "\"", 1);
    for (; text < end; text++) {
        unsigned char c = (unsigned char)*text;

        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        write_bytes(w, from, (apr_size_t)(text - from));
        write_escape(w, c);
        from = text + 1;
    }
    write_bytes(w, from, (apr_size_t)(end - from));
    write_bytes(w, "\"", 1);
}

/* ---- containers -------------------------------------------------------------------------------------------------- */

/* The writer's place, for the values that are to be left out; NULL where no pointer of without leads further. */
typedef struct step {
    const struct step *outer;
    const char *token;
    int depth; /* of tokens */
} step;

static int is_path(const idem_pointer *pointer, const step *at)
{
    if (pointer->count != at->depth)
        return 0;
    for (; at->depth; at = at->outer)
        if (strcmp(pointer->tokens[at->depth - 1], at->token) != 0)
            return 0;
    return 1;
}

static int is_left_out(const writer *w, const step *at)
{
    for (int i = 0; w->without && i < w->without->nelts; i++)
        if (is_path(&APR_ARRAY_IDX(w->without, i, idem_pointer), at))
            return 1;
    return 0;
}

/*
 * In the order of UTF-16 code units (RFC 8785, 3.2.3). Bytes of UTF-8 give the order of code points, which differs in
 * one thing: above U+FFFF there are two units from 0xd800 on, which come before 0xe000.
 */
static int by_utf16(const char *a, const char *b)
{
    const unsigned char *x = (const unsigned char *)a, *y = (const unsigned char *)b;

    while (*x && *x == *y)
        x++, y++;
    if (*x >= 0xee && *y >= 0xee && (*x >= 0xf0) != (*y >= 0xf0))
        return *x >= 0xf0 ? -1 : 1;
    return (*x > *y) - (*x < *y);
}

typedef struct member {
    const char *name;
    const json_t *value;
} member;

static int by_member_name(const void *a, const void *b)
{
    return by_utf16(((const member *)a)->name, ((const member *)b)->name);
}

static apr_status_t write_node(writer *w, const json_t *node, const step *at);

static apr_status_t write_array(writer *w, const json_t *array, const step *at)
{
    apr_status_t rv = APR_SUCCESS;
    const char *comma = "";

    write_bytes(w, "[", 1);
    for (size_t i = 0; i < json_array_size(array) && rv == APR_SUCCESS; i++) {
        char index[24] = "";
        step here = {at, index, at->depth + 1};

        if (w->without) {
            apr_snprintf(index, sizeof index, "%" APR_SIZE_T_FMT, i);
            if (is_left_out(w, &here))
                continue;
        }
        write_bytes(w, comma, strlen(comma));
        comma = ",";
        rv = write_node(w, json_array_get(array, i), &here);
    }
    write_bytes(w, "]", 1);
    return rv;
}

static apr_status_t write_members(writer *w, const member *members, size_t count, const step *at)
{
    apr_status_t rv = APR_SUCCESS;
    const char *comma = "";

    for (size_t i = 0; i < count && rv == APR_SUCCESS; i++) {
        step here = {at, members[i].name, at->depth + 1};

        if (is_left_out(w, &here))
            continue;
        write_bytes(w, comma, strlen(comma));
        comma = ",";
        write_string(w, members[i].name, strlen(members[i].name));
        write_bytes(w, ":", 1);
        rv = write_node(w, members[i].value, &here);
    }
    return rv;
}

static apr_status_t write_object(writer *w, const json_t *object, const step *at)
{
    size_t count = json_object_size(object), i = 0;
    member *members = malloc((count + 1) * sizeof *members);
    json_t *from = (json_t *)object; /* jansson's iterators do not change it */
    apr_status_t rv;

    if (!members)
        return APR_ENOMEM;
    for (void *iter = json_object_iter(from); iter && i < count; iter = json_object_iter_next(from, iter)) {
        members[i].name = json_object_iter_key(iter);
        members[i++].value = json_object_iter_value(iter);
    }
    qsort(members, i, sizeof *members, by_member_name);
    write_bytes(w, "{", 1);
    rv = write_members(w, members, i, at);
    write_bytes(w, "}", 1);
    free(members);
    return rv;
}

static apr_status_t write_node(writer *w, const json_t *node, const step *at)
{
    char number[IDEM_NUMBER_MOST];
    apr_size_t len;

    switch (json_typeof(node)) {
    case JSON_OBJECT: return write_object(w, node, at);
    case JSON_ARRAY: return write_array(w, node, at);
    case JSON_STRING: write_string(w, json_string_value(node), json_string_length(node)); return APR_SUCCESS;
    case JSON_TRUE: write_bytes(w, "true", 4); return APR_SUCCESS;
    case JSON_FALSE: write_bytes(w, "false", 5); return APR_SUCCESS;
    case JSON_NULL: write_bytes(w, "null", 4); return APR_SUCCESS;
    case JSON_INTEGER:
    case JSON_REAL: break;
    }
    len = idem_json_number(w->json, node, number);
    write_bytes(w, number, len);
    return len ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_json_write(const idem_json *json, const idem_pointer *pointer, const apr_array_header_t *without,
                             idem_json_sink *sink, void *baton)
{
    const json_t *node = idem_json_node(json, pointer);
    const step start = {NULL, NULL, 0};
    writer w;
    apr_status_t rv;

    if (!node)
        return APR_NOTFOUND;
    w.json = json;
    w.without = without;
    w.sink = sink;
    w.baton = baton;
    w.used = 0;
    rv = write_node(&w, node, &start);
    flush_writer(&w);
    return rv;
}

#else

apr_status_t idem_json_write(const idem_json *json, const idem_pointer *pointer, const apr_array_header_t *without,
                             idem_json_sink *sink, void *baton)
{
    (void)json;
    (void)pointer;
    (void)without;
    (void)sink;
    (void)baton;
    return APR_EGENERAL;
}

#endif
