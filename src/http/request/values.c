/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values.c - what a part is worth in a request, and what the client asked for before httpd changed it.
 *
 * Called by the gate for each part of key, scope and fingerprint of a guarded request. What always holds: values are
 * the client's octets, without decoding (query:NAME is the one exception); a value may point into the request; absent
 * is data NULL. Limits: those httpd sets on the request line and on headers. Cookies are in cookies.c, credentials in
 * credentials.c, the fields of an operation in operation.c.
 */
#include "body_parts.h"
#include "cookies.h"
#include "parts_private.h"
#include "sent.h"
#include "wiped.h"

#include <stdlib.h>
#include <string.h>

#include <apr_escape.h>
#include <apr_strings.h>
#include <http_core.h>

static const idem_blob absent = {NULL, 0};

/* ---- what the client asked for ----------------------------------------------------------------------------------- */

/* The path and query of a request target; of the absolute form, what stands behind the authority (RFC 9112, 3.2.2). */
static const char *origin_form(const char *target)
{
    const char *authority;

    if (!target)
        return "";
    authority = *target == '/' ? NULL : strstr(target, "://");
    return authority ? authority + 3 + strcspn(authority + 3, "/?#") : target;
}

void idem_asked_of(request_rec *r, idem_asked *asked)
{
    request_rec *first = r;
    const char *target, *query;

    while (first->prev)
        first = first->prev;
    memset(asked, 0, sizeof(*asked));
    asked->r = r;
    asked->first = first;
    asked->sent = idem_sent_of(first);

    /* Not first->method: a CGI script's local redirect and an ErrorDocument turn it into GET. */
    asked->method = first->the_request ? apr_pstrmemdup(r->pool, first->the_request, strcspn(first->the_request, " \t"))
                                       : first->method;

    target = origin_form(first->unparsed_uri);
    asked->path = idem_blob_of(target, strcspn(target, "?#"));
    query = target + asked->path.len;
    if (query[0] == '?' && query[1] && query[1] != '#')
        asked->query = idem_blob_of(query + 1, strcspn(query + 1, "#"));
    if (!asked->path.len)
        asked->path = idem_blob_str("/");
}

/* ---- header fields ----------------------------------------------------------------------------------------------- */

static const char *header_value(const idem_asked *asked, const char *name)
{
    if (strcmp(name, "content-type") == 0)
        return asked->content_type;
    return idem_header_joined(asked, name, ", ");
}

/* ---- the query --------------------------------------------------------------------------------------------------- */

/* One name=value (or name) of a query, as sent. */
typedef struct field {
    const char *at;
    apr_size_t len, name_len;
} field;

static apr_array_header_t *split_query(idem_blob query, apr_pool_t *pool)
{
    apr_array_header_t *fields = apr_array_make(pool, 16, sizeof(field));
    const char *at = (const char *)query.data, *end = at + query.len;

    while (at <= end) {
        const char *stop = memchr(at, '&', (apr_size_t)(end - at)), *equals;
        field *f = apr_array_push(fields);
        f->at = at;
        f->len = (apr_size_t)((stop ? stop : end) - at);
        equals = memchr(at, '=', f->len);
        f->name_len = equals ? (apr_size_t)(equals - at) : f->len;
        at += f->len + 1;
    }
    return fields;
}

/* By name; equal names in the order they were sent, which is the order of their addresses: qsort() is not stable. */
static int by_name(const void *a, const void *b)
{
    const field *x = a, *y = b;
    int order = memcmp(x->at, y->at, x->name_len < y->name_len ? x->name_len : y->name_len);

    if (order)
        return order;
    if (x->name_len != y->name_len)
        return x->name_len < y->name_len ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The same octets for the same fields in any order, except that the values of one name keep theirs. */
static idem_blob query_in_order(idem_blob query, apr_pool_t *pool)
{
    apr_array_header_t *fields;
    unsigned char *ordered, *to;

    if (!query.data)
        return absent;
    fields = split_query(query, pool);
    qsort(fields->elts, (size_t)fields->nelts, sizeof(field), by_name);
    ordered = to = idem_wiped_alloc(pool, query.len + 1);
    for (int i = 0; i < fields->nelts; i++) {
        const field *f = &APR_ARRAY_IDX(fields, i, field);
        to = idem_put_bytes(to, f->at, f->len);
        *to++ = '&';
    }
    return idem_blob_of(ordered, query.len);
}

/* Decodes a name or value of a query; NULL for a broken escape or a NUL in it. */
static const char *decode_value(const char *at, apr_size_t len, apr_pool_t *pool)
{
    char *copy = idem_wiped_alloc(pool, len + 1);
    apr_status_t rv;

    memcpy(copy, at, len);
    copy[len] = '\0';
    rv = apr_unescape_url(copy, copy, APR_ESCAPE_STRING, NULL, NULL, 1, NULL); /* in place: it never grows */
    return rv == APR_SUCCESS || rv == APR_NOTFOUND ? copy : NULL;              /* not found: nothing to decode */
}

/*
 * A character that cannot be decoded becomes a NUL, which no key may have. So a broken value is refused, and never
 * taken for another one.
 */
static idem_blob query_value(const idem_asked *asked, const char *wanted)
{
    apr_pool_t *pool = asked->r->pool;
    const apr_array_header_t *fields;

    if (!asked->query.data)
        return absent;
    fields = split_query(asked->query, pool);
    for (int i = 0; i < fields->nelts; i++) {
        const field *f = &APR_ARRAY_IDX(fields, i, field);
        const char *name = decode_value(f->at, f->name_len, pool), *value;
        if (!name || strcmp(name, wanted) != 0)
            continue;
        if (f->len == f->name_len)
            return idem_blob_of("", 0);
        value = decode_value(f->at + f->name_len + 1, f->len - f->name_len - 1, pool);
        return value ? idem_blob_str(value) : idem_blob_of("", 1);
    }
    return absent;
}

/* ---- all parts --------------------------------------------------------------------------------------------------- */

static idem_blob host_value(request_rec *r)
{
    char *host = apr_pstrdup(r->pool, ap_get_server_name(r));
    ap_str_tolower(host);
    return idem_blob_str(host);
}

static apr_status_t expr_value(request_rec *r, const idem_part *part, idem_blob *value, const char **why)
{
    const char *err = NULL, *text = ap_expr_str_exec(r, part->expr, &err);

    if (err) {
        *why = apr_psprintf(r->pool, "%s failed: %s", part->spelled, err);
        return APR_EGENERAL;
    }
    *value = idem_blob_str(text);
    return APR_SUCCESS;
}

apr_status_t idem_part_value_of(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    request_rec *r = asked->r;

    *value = absent;
    switch (part->kind) {
    case IDEM_PART_HEADER: *value = idem_blob_str(header_value(asked, part->name)); break;
    case IDEM_PART_QUERY_VALUE: *value = query_value(asked, part->name); break;
    case IDEM_PART_COOKIE: *value = idem_cookie_value(asked, part->name); break;
    case IDEM_PART_ENV: *value = idem_blob_str(apr_table_get(r->subprocess_env, part->name)); break;
    case IDEM_PART_EXPR: return expr_value(r, part, value, why);
    case IDEM_PART_HOST: *value = host_value(r); break;
    case IDEM_PART_USER: *value = idem_blob_str(r->user); break;
    case IDEM_PART_CREDENTIALS: *value = idem_credentials(asked); break;
    case IDEM_PART_METHOD: *value = idem_blob_str(asked->method); break;
    case IDEM_PART_PATH: *value = asked->path; break;
    case IDEM_PART_QUERY: *value = query_in_order(asked->query, r->pool); break;
    case IDEM_PART_OPERATION: *value = idem_operation(asked); break;
    case IDEM_PART_ADDR: *value = idem_blob_str(r->useragent_ip); break;
    case IDEM_PART_BODY: break; /* hashed while it is read: http/intake.c */
    case IDEM_PART_FORM:
    case IDEM_PART_JSON:
    case IDEM_PART_BODY_FORM:
    case IDEM_PART_BODY_JSON: return idem_body_value(asked, part, value, why);
    case IDEM_PART_FINGERPRINT: break; /* made of all others: http/request/selfkey.c */
    case IDEM_PART_TOO_MANY:
        *why = "the sections and .htaccess files together name too many parts";
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}
