/* SPDX-License-Identifier: Apache-2.0 */
/*
 * read_bodies.c - the readers of request bodies behind a pipe, so that other readers can be asked the same.
 *
 * Called by tests/bodies. Each question is a letter, a length of four bytes and so many bytes; each answer a letter and
 * a text in the same way. 'j': the canonical form of a JSON text; 'n': the number of a double's eight bytes as RFC 8785
 * writes it; 'u': the fields of a urlencoded form; 'm': of a multipart one, whose boundary stands in the first line.
 * Answers: '+' a value, '-' why it cannot be read, '!' a number would be another one.
 */
#include "canonical.h"
#include "form.h"
#include "grown.h"
#include "number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

static char read_json(idem_blob question, grown *answer)
{
    idem_json *json;
    const char *why = NULL;
    apr_status_t rv = idem_json_read(&json, question, &why);

    if (rv != APR_SUCCESS) {
        grown_append(answer, why, why ? strlen(why) : 0);
        return '-';
    }
    rv = idem_json_write(json, NULL, NULL, grown_append, answer);
    idem_json_free(json);
    return rv == APR_SUCCESS ? '+' : '!';
}

static char read_number(idem_blob question, grown *answer)
{
    char out[IDEM_NUMBER_MOST];
    double number;

    memcpy(&number, question.data, sizeof number);
    grown_append(answer, out, idem_number_write(number, out));
    return '+';
}

/* A field is its name, filename, type and data, each behind its length in four bytes; absent is 0xffffffff. */
static void put_blob(grown *to, idem_blob blob)
{
    unsigned char len[4];

    idem_put(len, blob.data ? blob.len : 0xffffffff, 4);
    grown_append(to, len, 4);
    grown_append(to, blob.data, blob.len);
}

typedef struct fields {
    grown *answer;
    grown data;
} fields;

static void begins(void *baton, const idem_form_field *field)
{
    fields *f = baton;

    put_blob(f->answer, field->name);
    put_blob(f->answer, field->filename);
    put_blob(f->answer, field->type);
    f->data.len = 0;
    grown_append(&f->data, "", 0);
}

static void has(void *baton, const void *bytes, apr_size_t len)
{
    grown_append(&((fields *)baton)->data, bytes, len);
}

static void ends(void *baton)
{
    fields *f = baton;

    put_blob(f->answer, idem_blob_of(f->data.data, f->data.len));
}

static char read_form(idem_blob question, int is_multipart, grown *answer, apr_pool_t *pool)
{
    fields f = {answer, {NULL, 0}};
    const idem_form_listener listener = {begins, has, ends, &f};
    const char *body = (const char *)question.data, *end = body + question.len, *line = NULL, *why;
    char boundary[128];
    idem_form *form;

    if (is_multipart) {
        line = memchr(body, '\n', question.len);
        snprintf(boundary, sizeof boundary, "%.*s", (int)(line - body), body);
        body = line + 1;
    }
    form = idem_form_create(is_multipart ? boundary : NULL, &listener, pool);
    idem_form_feed(form, body, (apr_size_t)(end - body));
    why = idem_form_finish(form);
    free(f.data.data);
    if (!why)
        return '+';
    answer->len = 0;
    grown_append(answer, why, strlen(why));
    return '-';
}

static char answer_one(char kind, idem_blob question, grown *answer, apr_pool_t *pool)
{
    switch (kind) {
    case 'j': return read_json(question, answer);
    case 'n': return read_number(question, answer);
    default: return read_form(question, kind == 'm', answer, pool);
    }
}

int main(void)
{
    unsigned char head[5];
    apr_pool_t *pool;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 2;
    while (fread(head, 1, sizeof head, stdin) == sizeof head) {
        size_t len = (size_t)idem_value_number(head + 1, 4);
        char *question = malloc(len + 1);
        grown answer = {NULL, 0};

        if (!question || fread(question, 1, len, stdin) != len)
            return 2;
        grown_append(&answer, "", 0);
        head[0] = (unsigned char)answer_one((char)head[0], idem_blob_of(question, len), &answer, pool);
        idem_put(head + 1, answer.len, 4);
        fwrite(head, 1, sizeof head, stdout);
        fwrite(answer.data, 1, answer.len, stdout);
        free(answer.data);
        free(question);
        apr_pool_clear(pool);
    }
    return 0;
}
