/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.c - the admin API's way in and out: query, JSON body, JSON answers, problems (RFC 9457).
 *
 * Called by the handler and the verbs. What always holds: no cache keeps an answer, and no browser takes one for a
 * page. A client's own words come back as JSON strings, if at all.
 */
#include "admin_private.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>

#define BODY_MOST 65536
#define JSON_TYPE "application/json"
#define FORM_TYPE "application/x-www-form-urlencoded"

/* ---- out --------------------------------------------------------------------------------------------------------- */

static int send_text(request_rec *r, int status, const char *type, const char *text)
{
    apr_size_t len = strlen(text);

    r->status = status;
    ap_set_content_type(r, type);
    ap_set_content_length(r, (apr_off_t)len);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    if (!r->header_only)
        ap_rwrite(text, (int)len, r);
    return OK;
}

static int send_admin_json(request_rec *r, int status, const char *type, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    int rv = text ? send_text(r, status, type, apr_pstrcat(r->pool, text, "\n", NULL)) : HTTP_INTERNAL_SERVER_ERROR;

    free(text);
    json_decref(json);
    return rv;
}

int idem_admin_answer(idem_admin_call *call, int status, json_t *json)
{
    if (call->taken) {
        *call->taken = json;
        return OK;
    }
    return send_admin_json(call->r, status, JSON_TYPE, json);
}

int idem_admin_answer_text(idem_admin_call *call, const char *type, const char *text)
{
    return send_text(call->r, HTTP_OK, type, text);
}

int idem_admin_say(idem_admin_call *call, int status, const char *name, const char *detail)
{
    call->problem.status = status;
    call->problem.name = name;
    call->problem.detail = detail;
    return 1;
}

/* What a status is called, without its number. */
static const char *title_of(int status)
{
    const char *line = ap_get_status_line(status);

    return strlen(line) > 4 ? line + 4 : line;
}

int idem_admin_answer_problem(idem_admin_call *call)
{
    request_rec *r = call->r;
    json_t *json;

    if (call->taken)
        return OK;
    json = json_object();
    json_object_set_new(
        json, "type",
        json_string(apr_pstrcat(r->pool, "urn:problem-type:idempotency-admin:", call->problem.name, NULL)));
    json_object_set_new(json, "title", json_string(title_of(call->problem.status)));
    json_object_set_new(json, "status", json_integer(call->problem.status));
    json_object_set_new(json, "detail", idem_shown_text(call->problem.detail, r->pool));
    return send_admin_json(r, call->problem.status, "application/problem+json", json);
}

int idem_admin_answer_failed(idem_admin_call *call, idem_done done, const char *why)
{
    static const struct {
        int status;
        const char *name;
    } problems[] = {
        [IDEM_DONE_OK] = {HTTP_INTERNAL_SERVER_ERROR, "internal"},
        [IDEM_DONE_FAILED] = {HTTP_SERVICE_UNAVAILABLE, "store-unavailable"},
        [IDEM_DONE_ABSENT] = {HTTP_NOT_FOUND, "no-such-entry"},
        [IDEM_DONE_ALIVE] = {HTTP_CONFLICT, "owner-alive"},
        [IDEM_DONE_CHANGED] = {HTTP_CONFLICT, "entry-changed"},
        [IDEM_DONE_UNFIT] = {HTTP_CONFLICT, "not-unknown"},
        [IDEM_DONE_UNABLE] = {HTTP_NOT_IMPLEMENTED, "store-cannot"},
    };

    idem_admin_say(call, problems[done].status, problems[done].name, why ? why : "nothing was changed");
    if (done == IDEM_DONE_CHANGED && call->has_condition)
        call->problem.status = HTTP_PRECONDITION_FAILED;
    return idem_admin_answer_problem(call);
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

static char *decode_form(const char *text, apr_size_t len, apr_pool_t *pool)
{
    char *copy = apr_pstrmemdup(pool, text, len);
    apr_status_t rv = apr_unescape_url(copy, copy, APR_ESCAPE_STRING, NULL, NULL, 1, NULL);

    return rv == APR_SUCCESS || rv == APR_NOTFOUND ? copy : NULL;
}

/* Both of a query and of a form. */
static int read_pairs(idem_admin_call *call, const char *at)
{
    apr_pool_t *pool = call->r->pool;

    call->query = apr_table_make(pool, 4);
    while (*at) {
        apr_size_t len = strcspn(at, "&"), name_len = strcspn(at, "=&");
        const char *name = decode_form(at, name_len, pool);
        const char *value = name_len < len ? decode_form(at + name_len + 1, len - name_len - 1, pool) : "";

        if (!name || !value)
            return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "The query or form cannot be decoded.");
        apr_table_setn(call->query, name, value);
        at += len + (at[len] == '&');
    }
    return 0;
}

int idem_admin_read_query(idem_admin_call *call)
{
    return read_pairs(call, call->r->args ? call->r->args : "");
}

static int is_of_type(request_rec *r, const char *wanted)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type");
    apr_size_t len = strlen(wanted);

    return type && !strncasecmp(type, wanted, len) && (!type[len] || type[len] == ';' || apr_isspace(type[len]));
}

/* APR_SUCCESS, or a status for the client. */
static int read_all(request_rec *r, char *bytes, apr_size_t most, apr_size_t *len)
{
    long got = 0;
    int rv = ap_setup_client_block(r, REQUEST_CHUNKED_DECHUNK);

    *len = 0;
    if (rv != OK || !ap_should_client_block(r))
        return rv;
    while (*len < most && (got = ap_get_client_block(r, bytes + *len, most - *len)) > 0)
        *len += (apr_size_t)got;
    if (got < 0)
        return HTTP_BAD_REQUEST;
    return *len < most ? OK : HTTP_REQUEST_ENTITY_TOO_LARGE;
}

static apr_status_t drop_body(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

void idem_admin_set_body(idem_admin_call *call, json_t *body)
{
    call->body = body;
    apr_pool_cleanup_register(call->r->pool, body, drop_body, apr_pool_cleanup_null);
}

int idem_admin_read_body(idem_admin_call *call)
{
    request_rec *r = call->r;
    char *bytes = apr_palloc(r->pool, BODY_MOST);
    json_error_t error;
    apr_size_t len;
    int rv;

    if (!is_of_type(r, JSON_TYPE))
        return idem_admin_say(call, HTTP_UNSUPPORTED_MEDIA_TYPE, "media-type",
                              "Send a body of the type application/json.");
    rv = read_all(r, bytes, BODY_MOST, &len);
    if (rv != OK)
        return idem_admin_say(call, rv, "invalid", "The body could not be read, or is longer than this API takes.");
    call->body = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &error);
    if (call->body)
        idem_admin_set_body(call, call->body);
    if (!json_is_object(call->body))
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "The body must be a JSON object.");
    return 0;
}

int idem_admin_read_form(idem_admin_call *call)
{
    char *text = apr_palloc(call->r->pool, BODY_MOST + 1);
    apr_size_t len;
    int rv;

    if (!is_of_type(call->r, FORM_TYPE))
        return idem_admin_say(call, HTTP_UNSUPPORTED_MEDIA_TYPE, "media-type", "The page takes its own form only.");
    rv = read_all(call->r, text, BODY_MOST, &len);
    if (rv != OK)
        return idem_admin_say(call, rv, "invalid", "The form could not be read, or is longer than this page takes.");
    text[len] = '\0';
    return read_pairs(call, text);
}

const char *idem_admin_text(const idem_admin_call *call, const char *name)
{
    if (!call->body)
        return apr_table_get(call->query, name);
    return json_string_value(json_object_get(call->body, name));
}

int idem_admin_flag(const idem_admin_call *call, const char *name)
{
    const char *text;

    if (call->body)
        return json_is_true(json_object_get(call->body, name));
    text = apr_table_get(call->query, name);
    return text && (!strcmp(text, "1") || !strcmp(text, "true"));
}
