/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_parts.c - a word of IdempotencyKey, -Scope or -Fingerprint, and a request in which it is evaluated.
 *
 * The first line of an input is the word, the second the request's target, each further one a header field. What must
 * hold: a refused word has its sentence. A part's spelling is read as the same part again. A query's normal form is as
 * long as the query, is its own normal form, and is that of the fields in another order. Credentials are found exactly
 * where they are said to be. A quality of Accept is one.
 */
#include "accept.h"
#include "fuzz.h"
#include "parts_private.h"

#include <apr_strings.h>

#define FIELDS_MOST 64

static idem_blob value_of(const idem_asked *asked, const idem_part *part)
{
    idem_blob value = {NULL, 0};
    const char *why = NULL;

    if (idem_part_value_of(asked, part, &value, &why) != APR_SUCCESS)
        MUST(why);
    MUST(value.data || !value.len);
    return value;
}

static int equal(idem_blob a, idem_blob b)
{
    return a.len == b.len && !a.data == !b.data && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static int same_name(const char *a, const char *b)
{
    size_t len = strcspn(a, "=");
    return len == strcspn(b, "=") && memcmp(a, b, len) == 0;
}

/* The fields of a query in reverse order; NULL where two have the same name, since their order counts. */
static const char *turned(apr_pool_t *pool, const char *query)
{
    char *copy = apr_pstrdup(pool, query);
    const char *out = NULL, *fields[FIELDS_MOST];
    int count = 0;

    for (char *at = copy, *end; at; at = end) {
        end = strchr(at, '&');
        if (end)
            *end++ = '\0';
        for (int i = 0; i < count; i++)
            if (same_name(fields[i], at))
                return NULL;
        if (count == FIELDS_MOST)
            return NULL;
        fields[count++] = at;
        out = out ? apr_pstrcat(pool, at, "&", out, NULL) : at;
    }
    return out;
}

static idem_blob normal_form(request_rec *r, const char *query, idem_asked *asked)
{
    static const idem_part part = {.kind = IDEM_PART_QUERY};

    r->unparsed_uri = apr_pstrcat(r->pool, "/?", query, NULL);
    idem_asked_of(r, asked);
    return value_of(asked, &part);
}

static void try_query(request_rec *r, const char *text)
{
    const char *query = apr_pstrmemdup(r->pool, text, strcspn(text, "#")), *other;
    idem_asked asked;
    idem_blob value = normal_form(r, query, &asked);

    MUST(value.len == strlen(query) && value.len == asked.query.len);
    if (!value.len)
        return;
    MUST(equal(normal_form(r, apr_pstrmemdup(r->pool, (const char *)value.data, value.len), &asked), value));
    other = turned(r->pool, query);
    if (other)
        MUST(equal(normal_form(r, other, &asked), value));
}

static request_rec *request_of(apr_pool_t *pool, const char *target, char **fields)
{
    request_rec *r = apr_pcalloc(pool, sizeof(*r));
    char *line;

    r->pool = pool;
    r->method = "POST";
    r->the_request = apr_pstrcat(pool, "POST ", target, " HTTP/1.1", NULL);
    r->unparsed_uri = apr_pstrdup(pool, target);
    r->hostname = "Host.Example";
    r->headers_in = apr_table_make(pool, 4);
    r->subprocess_env = apr_table_make(pool, 4);
    while ((line = apr_strtok(NULL, "\n", fields))) {
        char *colon = strchr(line, ':');
        if (!colon)
            continue;
        *colon++ = '\0';
        apr_table_add(r->headers_in, line, colon + strspn(colon, " \t"));
        apr_table_set(r->subprocess_env, line, colon);
    }
    return r;
}

static void try_word(request_rec *r, const idem_asked *asked, const char *word, idem_part_use use)
{
    cmd_parms cmd = {.pool = r->pool};
    idem_part part, again;
    const char *why = idem_part_parse(&cmd, word, use, &part);

    if (why) {
        MUST(*why);
        return;
    }
    MUST(part.spelled);
    MUST(!idem_part_parse(&cmd, part.spelled, use, &again));
    MUST(again.kind == part.kind && strcmp(again.spelled, part.spelled) == 0);
    value_of(asked, &part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const ranges[] = {"text/html", "application/*", "*/*"};
    static const char *session[] = {"PHPSESSID", "*_sid*"};
    apr_pool_t *pool = fuzz_pool();
    char *text = fuzz_string(data, size), *state = NULL;
    const char *word = apr_strtok(text, "\n", &state), *target = word ? apr_strtok(NULL, "\n", &state) : NULL;
    const idem_part credentials = {.kind = IDEM_PART_CREDENTIALS};
    idem_asked asked;
    request_rec *r;

    if (target) {
        apr_array_header_t *names = apr_array_make(pool, 2, sizeof(char *));
        idem_blob value;

        r = request_of(pool, target, &state);
        APR_ARRAY_PUSH(names, const char *) = session[0];
        APR_ARRAY_PUSH(names, const char *) = session[1];
        idem_asked_of(r, &asked);
        asked.session_cookies = names;
        for (unsigned use = IDEM_USE_KEY; use <= IDEM_USE_FINGERPRINT; use <<= 1)
            try_word(r, &asked, word, (idem_part_use)use);
        for (int i = 0; i < (int)(sizeof(ranges) / sizeof(*ranges)); i++) {
            int quality = idem_accept_quality(r, ranges[i]);
            MUST(quality >= 0 && quality <= 1000);
        }
        value = value_of(&asked, &credentials);
        MUST(value.data || !idem_is_identified(&asked));
        if (strchr(target, '?'))
            try_query(r, strchr(target, '?') + 1);
    }
    apr_pool_destroy(pool);
    free(text);
    return 0;
}
