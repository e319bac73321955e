/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coding.c - a record that the application has coded (Content-Encoding), for a client that may refuse the coding.
 *
 * Called for replays. httpd's own INFLATE undoes gzip; there is nothing in httpd that undoes another coding. The
 * filter is no part of the request's chain. It stands before the place where the replay enters. It works on a copy of
 * the request, because it does nothing for a request that was redirected.
 */
#include "coding.h"

#include "accept.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <http_protocol.h>

#define CODING "Content-Encoding"
#define INFLATE "INFLATE"

/* What is said about the bytes of a coded body, and wrong for others (RFC 9530, RFC 1864); the entity-tag is
 * INFLATE's. */
static const char *const digests[] = {"Content-Digest", "Repr-Digest", "Digest", "Content-MD5", NULL};

static int is_gzip(const char *coding)
{
    return !apr_cstr_casecmp(coding, "gzip") || !apr_cstr_casecmp(coding, "x-gzip");
}

/* ---- what it is coded in ----------------------------------------------------------------------------------------- */

static void add_codings(apr_pool_t *pool, apr_array_header_t *codings, const char *list)
{
    char *state, *coding;

    for (coding = apr_strtok(apr_pstrdup(pool, list), ", \t", &state); coding;
         coding = apr_strtok(NULL, ", \t", &state))
        if (apr_cstr_casecmp(coding, "identity"))
            APR_ARRAY_PUSH(codings, const char *) = coding;
}

/* In the order in which they were applied, as httpd will send them: the table of errors first, content_encoding for a
 * field of the other. */
static apr_array_header_t *codings_of(apr_pool_t *pool, const idem_response *record)
{
    apr_array_header_t *codings = apr_array_make(pool, 2, sizeof(const char *));

    for (unsigned table = IDEM_FIELD_ERR; record->fields; table = 0) {
        for (int i = 0; i < record->fields->nelts; i++) {
            const idem_field *field = &APR_ARRAY_IDX(record->fields, i, const idem_field);

            if (field->flags == table && !apr_cstr_casecmp(field->name, CODING) && (table || !record->content_encoding))
                add_codings(pool, codings, field->value);
        }
        if (!table)
            break;
    }
    if (record->content_encoding)
        add_codings(pool, codings, record->content_encoding);
    return codings;
}

static int has_field(const idem_response *record, const char *name)
{
    for (int i = 0; record->fields && i < record->fields->nelts; i++)
        if (!apr_cstr_casecmp(APR_ARRAY_IDX(record->fields, i, const idem_field).name, name))
            return 1;
    return 0;
}

/* A part of a coded body cannot be decoded, nor can what only says that it is gzip. */
static int can_inflate(const idem_response *record)
{
    const unsigned char *body = record->body.data;

    return ap_get_output_filter_handle(INFLATE) && !has_field(record, "Content-Range") && record->body.len > 2 &&
           body[0] == 0x1f && body[1] == 0x8b;
}

static int first_refused(request_rec *r, const apr_array_header_t *codings)
{
    for (int i = 0; i < codings->nelts; i++)
        if (!idem_accepts_coding(r, APR_ARRAY_IDX(codings, i, const char *)))
            return i;
    return codings->nelts;
}

int idem_coding_to_undo(request_rec *r, const idem_response *record)
{
    apr_array_header_t *codings;
    int refused;

    if (!record->body.len || !apr_table_get(r->headers_in, "Accept-Encoding"))
        return 0;
    codings = codings_of(r->pool, record);
    refused = first_refused(r, codings);
    if (refused < codings->nelts && !can_inflate(record))
        return -1;
    for (int i = refused; i < codings->nelts; i++)
        if (!is_gzip(APR_ARRAY_IDX(codings, i, const char *)))
            return -1;
    return codings->nelts - refused;
}

/* ---- undoing it -------------------------------------------------------------------------------------------------- */

static int varies_on_coding(request_rec *r)
{
    const char *out = apr_table_get(r->headers_out, "Vary"), *err = apr_table_get(r->err_headers_out, "Vary");

    return (out && (ap_find_token(r->pool, out, "Accept-Encoding") || !strcmp(out, "*"))) ||
           (err && (ap_find_token(r->pool, err, "Accept-Encoding") || !strcmp(err, "*")));
}

/* INFLATE takes its coding off the end of the one field in headers_out, and changes the entity-tag that stands
 * there. */
static void put_where_inflate_looks(request_rec *r, const idem_response *record)
{
    const char *etag = apr_table_get(r->err_headers_out, "ETag");

    apr_table_unset(r->err_headers_out, CODING);
    r->content_encoding = NULL;
    apr_table_setn(r->headers_out, CODING, apr_array_pstrcat(r->pool, codings_of(r->pool, record), ','));
    apr_table_unset(r->headers_out, "Content-Length");
    for (const char *const *name = digests; *name; name++) {
        apr_table_unset(r->headers_out, *name);
        apr_table_unset(r->err_headers_out, *name);
    }
    if (etag) {
        apr_table_setn(r->headers_out, "ETag", etag);
        apr_table_unset(r->err_headers_out, "ETag");
    }
    if (!varies_on_coding(r))
        apr_table_mergen(r->headers_out, "Vary", "Accept-Encoding");
}

static ap_filter_t *inflating_filter(request_rec *r, ap_filter_t *next)
{
    ap_filter_t *f = apr_pcalloc(r->pool, sizeof(*f));

    f->frec = ap_get_output_filter_handle(INFLATE);
    f->r = apr_pmemdup(r->pool, r, sizeof(*r));
    f->r->prev = NULL;
    f->r->output_filters = f;
    f->c = r->connection;
    f->next = next;
    return f;
}

/* A body that turns out to be no gzip in its middle: its end must not look like one. */
static void break_inflated(request_rec *r, ap_filter_t *next, apr_bucket_brigade *bb)
{
    r->connection->keepalive = AP_CONN_CLOSE;
    apr_brigade_cleanup(bb);
    APR_BRIGADE_INSERT_TAIL(bb, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, bb->bucket_alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(bb->bucket_alloc));
    ap_pass_brigade(next, bb);
}

apr_status_t idem_coding_pass(request_rec *r, ap_filter_t *next, apr_bucket_brigade *bb, const idem_response *record,
                              int undone)
{
    const char *asked = apr_table_get(r->headers_in, "Accept-Encoding"), *cleaned = idem_accept_encoding_cleaned(r);
    ap_filter_t *first = next;
    apr_status_t rv;

    if (undone > 0)
        put_where_inflate_looks(r, record);
    for (int i = 0; i < undone; i++)
        first = inflating_filter(r, first);
    if (asked)
        apr_table_setn(r->headers_in, "Accept-Encoding", cleaned);
    rv = ap_pass_brigade(first, bb);
    if (rv != APR_SUCCESS && first != next && !r->connection->aborted)
        break_inflated(r, next, bb);
    if (asked)
        apr_table_setn(r->headers_in, "Accept-Encoding", asked);
    return rv;
}
