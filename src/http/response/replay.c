/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.c - which header fields a record keeps, and how they come back.
 *
 * Called by the recorder (to keep) and by gate and recorder (to replay). A replay goes through the output filters
 * behind the place where it was recorded (chain.c): mod_headers and compression act on it as they would today.
 */
#include "replay.h"

#include "coding.h"
#include "control.h"
#include "intake.h"
#include "status_field.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <http_protocol.h>

/* RFC 9110 7.6.1 and what the connection or the moment owns, and challenges, which are httpd's to make. */
/* clang-format off */
static const char *const never_kept[] = {
    "Connection",   "Keep-Alive",         "Proxy-Connection",    "Proxy-Authenticate",        "Proxy-Authentication-Info",
    "TE",           "Trailer",            "Transfer-Encoding",   "Upgrade",                   "Date",
    "Server",       "Content-Length",     "WWW-Authenticate",    "Authentication-Info",       "Authentication-Control",
    IDEM_CONTROL_HEADER, NULL,
};
/* clang-format on */

#define CASE 0x20 /* the bit in which a letter differs from its capital; names begin with letters, as a rule */

static int is_in(const char *name, const char *const *list)
{
    for (; *list; list++)
        if ((*name | CASE) == (**list | CASE) && !apr_cstr_casecmp(name, *list))
            return 1;
    return 0;
}

/* A record goes to equal credentials, the user included, only if they are in scope or fingerprint; so it is with the
 * user alone. */
static int tied_to(const idem_txn *txn, idem_part_kind kind)
{
    return idem_parts_have(txn->settings->scope, kind) || idem_parts_have(txn->settings->fingerprint, kind);
}

/* Cookies that many share, such as a consent, make nobody the one whom a cookie was set for. */
static int keeps_cookies(const idem_txn *txn)
{
    if (txn->settings->set_cookie != IDEM_COOKIE_AUTO)
        return txn->settings->set_cookie == IDEM_COOKIE_KEEP;
    if (tied_to(txn, IDEM_PART_CREDENTIALS))
        return idem_is_identified(&txn->asked);
    return txn->r->user && tied_to(txn, IDEM_PART_USER);
}

static int is_omitted(const idem_txn *txn, const char *name)
{
    const apr_array_header_t *list = txn->settings->omit_headers;

    for (int i = 0; i < list->nelts; i++)
        if (!apr_cstr_casecmp(name, APR_ARRAY_IDX(list, i, const char *)))
            return 1;
    return 0;
}

/* Is a field of this name the record's, in what it keeps and in what it brings back? All others are the present
 * request's own. */
static int is_records(const idem_txn *txn, const char *name, int cookies)
{
    if (is_in(name, never_kept) || is_omitted(txn, name))
        return 0;
    return cookies || apr_cstr_casecmp(name, "Set-Cookie");
}

/* A value no response may have (RFC 9110 5.5), which stands for another such one. */
#define REFUSED "\177"

/* httpd answers 500 instead of a response that has a field of such a value (check_header() in
 * modules/http/http_filters.c). */
static int is_refused(const char *value)
{
    const char *at = ap_scan_http_field_content(value);

    while (at[0] == '\r' && at[1] == '\n' && (at[2] == ' ' || at[2] == '\t'))
        at = ap_scan_http_field_content(at + 3);
    return *at != '\0';
}

/* May a field of this name be kept of r's response, now that all of it is known? */
static int is_kept(const idem_txn *txn, request_rec *r, const char *name, int cookies)
{
    const char *connection = apr_table_get(r->headers_out, "Connection");

    if (!is_records(txn, name, cookies) || (connection && ap_find_token(r->pool, connection, name)))
        return 0;
    return apr_cstr_casecmp(name, "ETag") || !apr_table_get(r->notes, "no-etag"); /* mod_include's, obeyed by httpd */
}

/* If httpd refuses a response, it must refuse the replay, too, even if it does so for a field that is not kept. */
static void keep_fields(const idem_txn *txn, request_rec *r, const apr_table_t *table, unsigned flags,
                        apr_array_header_t *fields)
{
    const apr_array_header_t *elts = apr_table_elts(table);
    int cookies = keeps_cookies(txn);

    for (int i = 0; i < elts->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(elts, i, const apr_table_entry_t);
        int kept = e->key && is_kept(txn, r, e->key, cookies);
        idem_field *field;

        if (!e->key || (!kept && !is_refused(e->val)))
            continue;
        field = apr_array_push(fields);
        field->name = e->key;
        field->value = kept ? e->val : REFUSED;
        field->flags = flags;
    }
}

void idem_response_of(const idem_txn *txn, request_rec *r, idem_response *response)
{
    response->status = r->status;
    response->reason = NULL;
    if (r->status_line && atoi(r->status_line) == r->status &&
        strcmp(r->status_line, ap_get_status_line(r->status)) != 0)
        response->reason = r->status_line;
    response->content_type = r->content_type; /* a type that a handler wrote into the table is one of the fields */
    response->content_encoding = r->content_encoding;
    response->languages = r->content_languages && r->content_languages->nelts
                              ? apr_array_pstrcat(r->pool, r->content_languages, ',')
                              : NULL;
    response->fields = apr_array_make(r->pool, 16, sizeof(idem_field));
    keep_fields(txn, r, r->err_headers_out, IDEM_FIELD_ERR, response->fields);
    keep_fields(txn, r, r->headers_out, 0, response->fields);
}

void idem_response_strip(const idem_txn *txn, request_rec *r)
{
    apr_table_unset(r->headers_out, IDEM_CONTROL_HEADER);
    apr_table_unset(r->err_headers_out, IDEM_CONTROL_HEADER);
    idem_status_strip(txn, r);
    if (txn->settings->replayed_header) {
        apr_table_unset(r->headers_out, txn->settings->replayed_header);
        apr_table_unset(r->err_headers_out, txn->settings->replayed_header);
    }
}

/* Fields that are there already were there the first time, such as Vary from an <If> that looks at a field. The record
 * has what became of them. */
static void clear_fields(const idem_txn *txn, request_rec *r, apr_table_t *table)
{
    const apr_array_header_t *elts;
    int cookies;

    if (apr_is_empty_table(table))
        return;
    elts = apr_table_elts(apr_table_copy(r->pool, table));
    cookies = keeps_cookies(txn);
    for (int i = 0; i < elts->nelts; i++) {
        const char *name = APR_ARRAY_IDX(elts, i, const apr_table_entry_t).key;

        if (is_records(txn, name, cookies))
            apr_table_unset(table, name);
    }
}

static void put_fields(const idem_txn *txn, request_rec *r, const apr_array_header_t *fields)
{
    clear_fields(txn, r, r->headers_out);
    clear_fields(txn, r, r->err_headers_out);
    for (int i = 0; fields && i < fields->nelts; i++) {
        const idem_field *field = &APR_ARRAY_IDX(fields, i, const idem_field);

        if (field->flags & IDEM_FIELD_NOTE)
            continue;
        apr_table_addn(field->flags & IDEM_FIELD_ERR ? r->err_headers_out : r->headers_out, field->name, field->value);
    }
}

static void put_languages(request_rec *r, const char *languages)
{
    char *list, *state, *language;

    r->content_languages = NULL;
    if (!languages)
        return;
    r->content_languages = apr_array_make(r->pool, 2, sizeof(const char *));
    list = apr_pstrdup(r->pool, languages);
    for (language = apr_strtok(list, ",", &state); language; language = apr_strtok(NULL, ",", &state))
        APR_ARRAY_PUSH(r->content_languages, const char *) = language;
}

int idem_replay_refused(idem_txn *txn, request_rec *r)
{
    if (idem_coding_to_undo(r, &txn->seen.response) >= 0)
        return 0;
    txn->problem = IDEM_PROBLEM_RESPONSE_NOT_KEPT;
    txn->detail = "The request was executed. The server keeps its response in a content coding that this request's "
                  "Accept-Encoding refuses. Repeat the request with an Accept-Encoding that accepts it.";
    return 1;
}

int idem_replay(idem_txn *txn, request_rec *r, ap_filter_t *next)
{
    const idem_response *response = &txn->seen.response;
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    r->status = response->status;
    r->status_line = response->reason;
    r->no_local_copy = 1; /* the record is the answer, whatever If-None-Match says */
    apr_table_unset(r->notes,
                    "no-etag"); /* mod_include's, in a chain of today; what it said then is obeyed in the record */
    r->content_type = NULL;
    if (response->content_type)
        ap_set_content_type(r, response->content_type);
    r->content_encoding = response->content_encoding;
    put_languages(r, response->languages);
    idem_response_strip(txn, r);
    put_fields(txn, r, response->fields);
    if (txn->settings->replayed_header)
        apr_table_setn(r->err_headers_out, txn->settings->replayed_header, "true");
    if (idem_intake_unread(txn) && !r->connection->master)
        r->connection->keepalive = AP_CONN_CLOSE;
    if (!AP_STATUS_IS_HEADER_ONLY(r->status))
        ap_set_content_length(r, (apr_off_t)response->body.len);
    if (response->body.len)
        APR_BRIGADE_INSERT_TAIL(
            bb, apr_bucket_pool_create((const char *)response->body.data, response->body.len, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    idem_coding_pass(r, next, bb, response, idem_coding_to_undo(r, response));
    return OK;
}
