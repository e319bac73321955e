/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formcut.c - takes a field out of the body of a form, and leaves every other byte as it was.
 *
 * Called by the input filter IDEMPOTENCY_FORM. A urlencoded field goes with one "&" beside it; a part goes from its
 * delimiter up to the next one. A field is found only as browsers write it. With a bare line feed or a folded header it
 * stays.
 */
#include "formcut.h"

#include <string.h>

#include <apr_cstr.h>
#include <apr_lib.h>

/* ---- urlencoded -------------------------------------------------------------------------------------------------- */

static int hex_value(char c)
{
    if (!apr_isxdigit(c))
        return -1;
    return apr_isdigit(c) ? c - '0' : (apr_tolower(c) - 'a') + 10;
}

/* Is this, decoded, the name? The field ends at end, its name at "=" or there. */
static int is_field_named(const char *at, const char *end, const char *name)
{
    for (; *name; name++) {
        int c;

        if (at == end)
            return 0;
        c = (unsigned char)*at++;
        if (c == '%' && end - at >= 2 && hex_value(at[0]) >= 0 && hex_value(at[1]) >= 0) {
            c = hex_value(at[0]) * 16 + hex_value(at[1]);
            at += 2;
        }
        if (c != *name)
            return 0;
    }
    return at == end || *at == '=';
}

apr_size_t idem_formcut_urlencoded(char *body, apr_size_t len, int is_whole, const char *name)
{
    const char *at = body, *end = body + len;
    char *to = body;

    while (at < end) {
        const char *amp = memchr(at, '&', (apr_size_t)(end - at)), *stop = amp ? amp : end, *next = amp ? amp + 1 : end;

        if ((amp || is_whole) && is_field_named(at, stop, name)) {
            if (!amp && to > body)
                to--; /* the "&" before it: it was the last one */
        }
        else {
            memmove(to, at, (apr_size_t)(next - at));
            to += next - at;
        }
        at = next;
    }
    return (apr_size_t)(to - body);
}

/* ---- multipart --------------------------------------------------------------------------------------------------- */

/* Does a line that begins at at delimit a part? *behind: the next line, or NULL behind the last delimiter of a body. */
static int is_delimiter(const char *at, const char *end, const char *boundary, const char **behind)
{
    apr_size_t len = strlen(boundary);

    if ((apr_size_t)(end - at) < len + 4 || at[0] != '-' || at[1] != '-' || memcmp(at + 2, boundary, len) != 0)
        return 0;
    at += 2 + len;
    *behind = NULL;
    if (at[0] == '-' && at[1] == '-')
        return 1;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    *behind = at + 2;
    return end - at >= 2 && at[0] == '\r' && at[1] == '\n';
}

static const char *next_delimiter(const char *at, const char *end, const char *boundary, const char **behind)
{
    while (at < end && (at = memchr(at, '\r', (apr_size_t)(end - at)))) {
        if (end - at > 2 && at[1] == '\n' && is_delimiter(at + 2, end, boundary, behind))
            return at + 2;
        at++;
    }
    return NULL;
}

/* Reads ";name=value" at *at; the value may be quoted. 0 at the end of the line or where it is no parameter. */
static int part_parameter_at(const char **at, const char *end, const char **name, apr_size_t *name_len,
                             const char **value, apr_size_t *value_len)
{
    const char *p = *at;

    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    if (p == end || *p++ != ';')
        return 0;
    while (p < end && (*p == ' ' || *p == '\t'))
        p++;
    for (*name = p; p < end && *p != '=' && *p != ';'; p++)
        ;
    *name_len = (apr_size_t)(p - *name);
    if (p == end || *p++ != '=')
        return 0;
    if (p < end && *p == '"') {
        for (*value = ++p; p < end && *p != '"'; p++)
            ;
        *value_len = (apr_size_t)(p - *value);
        p += p < end;
    }
    else {
        for (*value = p; p < end && *p != ';' && *p != ' ' && *p != '\t'; p++)
            ;
        *value_len = (apr_size_t)(p - *value);
    }
    *at = p;
    return 1;
}

static int is_parameter(const char *word, apr_size_t len, const char *is)
{
    return len == strlen(is) && !apr_cstr_casecmpn(word, is, len);
}

/* Says the line, a header's, that this part is a text field of that name? */
static int names_text_field(const char *line, const char *end, const char *field)
{
    static const char header[] = "Content-Disposition:", type[] = "form-data";
    const char *name, *value;
    apr_size_t name_len, value_len;
    int is_named = 0;

    if ((apr_size_t)(end - line) < sizeof(header) - 1 || apr_cstr_casecmpn(line, header, sizeof(header) - 1) != 0)
        return 0;
    line += sizeof(header) - 1;
    while (line < end && (*line == ' ' || *line == '\t'))
        line++;
    if ((apr_size_t)(end - line) < sizeof(type) - 1 || apr_cstr_casecmpn(line, type, sizeof(type) - 1) != 0)
        return 0;
    line += sizeof(type) - 1;
    while (part_parameter_at(&line, end, &name, &name_len, &value, &value_len)) {
        if (is_parameter(name, name_len, "name"))
            is_named = value_len == strlen(field) && !memcmp(value, field, value_len);
        else if (is_parameter(name, name_len, "filename") || is_parameter(name, name_len, "filename*"))
            return 0;
    }
    return is_named && line == end;
}

/* The part's header ends at an empty line. */
static int is_part_named(const char *at, const char *end, const char *field)
{
    int found = 0;

    while (end - at >= 2 && (at[0] != '\r' || at[1] != '\n')) {
        const char *stop = at;

        while (stop < end && *stop != '\r')
            stop++;
        if (end - stop < 2 || stop[1] != '\n')
            return 0;
        found |= names_text_field(at, stop, field);
        at = stop + 2;
    }
    return found && end - at >= 2;
}

apr_size_t idem_formcut_multipart(char *body, apr_size_t len, const char *boundary, const char *name)
{
    const char *end = body + len, *head = NULL, *next_head = NULL, *at = body, *part = body;
    char *to = body;

    if (!is_delimiter(body, end, boundary, &head)) /* a preamble, which no browser writes */
        part = next_delimiter(body, end, boundary, &head);
    while (part && head) {
        const char *next = next_delimiter(head, end, boundary, &next_head);

        if (next && is_part_named(head, next, name)) {
            memmove(to, at, (apr_size_t)(part - at));
            to += part - at;
            at = next;
        }
        part = next;
        head = next_head;
    }
    if (end > at)
        memmove(to, at, (apr_size_t)(end - at));
    return (apr_size_t)(to - body) + (apr_size_t)(end - at);
}
