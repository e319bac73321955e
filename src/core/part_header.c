/* SPDX-License-Identifier: Apache-2.0 */
/*
 * part_header.c - the header of one part of a multipart form: its field's name, its file's name, its type.
 *
 * Called by multipart.c with a whole header. Backslashes in a file's name are as sent: a path, or \" for a quote. A
 * field's name with one is refused, since only some readers unescape it. Percent escapes, as browsers write quotes, are
 * as sent.
 */
#include "form_private.h"

#include <strings.h>

#include <apr_lib.h>

#define TWICE "a part's header has the same field or parameter twice"
#define MALFORMED "a part's header is malformed"

typedef struct text {
    const char *at, *end;
} text;

static void skip_blanks(text *t)
{
    while (t->at < t->end && (*t->at == ' ' || *t->at == '\t'))
        t->at++;
}

static text without_blanks(const char *at, const char *end)
{
    text t = {at, end};

    skip_blanks(&t);
    while (t.end > t.at && (t.end[-1] == ' ' || t.end[-1] == '\t'))
        t.end--;
    return t;
}

static int is_word(text t, const char *word)
{
    return (apr_size_t)(t.end - t.at) == strlen(word) && !strncasecmp(t.at, word, strlen(word));
}

/* Up to a character of stops, moved over; blanks around it are left out. */
static text word_until(text *t, const char *stops)
{
    const char *from = t->at;

    while (t->at < t->end && !strchr(stops, *t->at))
        t->at++;
    return without_blanks(from, t->at);
}

/* The inside of a quoted string, or a token. 0 if it is neither. */
static int read_parameter_value(text *t, text *value)
{
    skip_blanks(t);
    if (t->at == t->end || *t->at != '"') {
        *value = word_until(t, ";");
        return value->at < value->end && !memchr(value->at, '"', (apr_size_t)(value->end - value->at));
    }
    value->at = ++t->at;
    while (t->at < t->end && *t->at != '"')
        t->at += *t->at == '\\' && t->at + 1 < t->end && t->at[1] == '"' ? 2 : 1;
    value->end = t->at;
    if (t->at == t->end)
        return 0;
    t->at++;
    skip_blanks(t);
    return t->at == t->end || *t->at == ';';
}

static idem_blob blob_of(text t)
{
    return idem_blob_of(t.at, (apr_size_t)(t.end - t.at));
}

static const char *take_parameter(text name, text value, idem_form_field *field)
{
    idem_blob *to = is_word(name, "name") ? &field->name : is_word(name, "filename") ? &field->filename : NULL;

    if (is_word(name, "name*") || (to == &field->name && memchr(value.at, '\\', (apr_size_t)(value.end - value.at))))
        return "a field's name is written in an unusual way";
    if (is_word(name, "filename*")) { /* beside filename, which is what most readers take */
        if (!field->filename.data)
            field->filename = blob_of(value);
        return NULL;
    }
    if (!to)
        return NULL;
    if (to->data)
        return TWICE;
    *to = blob_of(value);
    return NULL;
}

static const char *read_disposition(text t, idem_form_field *field)
{
    const char *wrong = NULL;

    if (field->name.data)
        return TWICE;
    if (!is_word(word_until(&t, ";"), "form-data"))
        return "one of its parts is not form-data";
    while (t.at < t.end && !wrong) {
        text name, value;

        t.at++; /* the ';' */
        name = word_until(&t, "=;");
        if (t.at == t.end && name.at == name.end)
            break; /* nothing behind the last ';' */
        if (t.at == t.end || *t.at++ != '=' || !read_parameter_value(&t, &value))
            return MALFORMED;
        wrong = take_parameter(name, value, field);
    }
    return wrong ? wrong : field->name.data ? NULL : "one of its parts has no name";
}

/* RFC 9110, 5.6.2. */
static int is_token_of(text t)
{
    for (const char *c = t.at; c < t.end; c++)
        if (!apr_isalnum(*c) && (!*c || !strchr("!#$%&'*+-.^_`|~", *c)))
            return 0;
    return t.at < t.end;
}

static const char *read_header_line(text line, idem_form_field *field)
{
    const char *colon = memchr(line.at, ':', (apr_size_t)(line.end - line.at));
    text name = {line.at, colon};

    if (!colon || !is_token_of(name))
        return MALFORMED;
    line.at = colon;
    line = without_blanks(line.at + 1, line.end);
    if (is_word(name, "Content-Disposition"))
        return read_disposition(line, field);
    if (is_word(name, "Content-Transfer-Encoding"))
        return is_word(line, "binary") || is_word(line, "8bit") || is_word(line, "7bit")
                   ? NULL
                   : "one of its parts has a transfer encoding";
    if (!is_word(name, "Content-Type"))
        return NULL;
    if (field->type.data)
        return TWICE;
    field->type = blob_of(line);
    return NULL;
}

/* Of a header that ends with an empty line. */
static const char *read_lines(const char *at, const char *end, idem_form_field *field)
{
    while (at < end) {
        const char *cr = memchr(at, '\r', (apr_size_t)(end - at));
        text line = {at, cr};
        const char *wrong;

        if (!cr || cr[1] != '\n' || *at == ' ' || *at == '\t' || memchr(at, '\n', (apr_size_t)(cr - at)) ||
            memchr(at, '\0', (apr_size_t)(cr - at)))
            return MALFORMED;
        if (cr == at)
            break;
        wrong = read_header_line(line, field);
        if (wrong)
            return wrong;
        at = cr + 2;
    }
    return field->name.data ? NULL : "one of its parts has no name";
}

void idem_part_header_read(idem_form *form)
{
    const char *at = (const char *)form->text;
    idem_form_field field = {{NULL, 0}, {NULL, 0}, {NULL, 0}};

    form->wrong = read_lines(at, at + form->used, &field);
    if (!form->wrong)
        form->listener->begin(form->listener->baton, &field);
}
