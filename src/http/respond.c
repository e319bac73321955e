/*
 * respond.c - the module's own answers.
 *
 * Called by the gate in a handler, and by the recorder for an owner that lost its slot. What must survive httpd's own error pages
 * stands in err_headers_out.
 */
#include "respond.h"

#include "intake.h"
#include "log.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <http_protocol.h>

/* The quality of one media range (RFC 9110 12.5.1), in thousandths; 1000 where there is none. */
static int quality_of(const char *params)
{
    const char *q = params ? ap_strstr_c(params, "q=") : NULL;
    int thousandths = 0, scale = 100;

    if (!q || (q[2] != '0' && q[2] != '1'))
        return 1000;
    if (q[2] == '1')
        return 1000;
    for (q += q[3] == '.' ? 4 : 3; apr_isdigit(*q) && scale; q++, scale /= 10)
        thousandths += (*q - '0') * scale;
    return thousandths;
}

/* Accept names HTML and does not like JSON better. */
static int wants_html(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    char *list, *state, *range;
    int html = 0, json = 0, others = 0;

    if (!accept)
        return 0;
    list = apr_pstrdup(r->pool, accept);
    for (range = apr_strtok(list, ",", &state); range; range = apr_strtok(NULL, ",", &state)) {
        char *params = strchr(range, ';');
        int quality;

        if (params)
            *params++ = 0;
        if (params)
            apr_collapse_spaces(params, params);
        apr_collapse_spaces(range, range);
        ap_str_tolower(range);
        quality = quality_of(params);
        if (!strcmp(range, "text/html"))
            html = quality;
        else if (!strcmp(range, "application/json") || !strcmp(range, "application/problem+json"))
            json = quality > json ? quality : json;
        else if (!strcmp(range, "*/*") || !strcmp(range, "application/*"))
            others = quality > others ? quality : others;
    }
    return html && html >= (json ? json : others);
}

static void put_headers(const idem_txn *txn, request_rec *r, const idem_problem_info *info)
{
    apr_table_t *out = r->err_headers_out;
    int retry_after = txn->retry_after ? txn->retry_after : info->retry_after;

    apr_table_setn(out, "Idempotency-Error", info->name);
    apr_table_setn(out, "Cache-Control", "no-store");
    if (retry_after)
        apr_table_setn(out, "Retry-After", apr_itoa(r->pool, retry_after));
    if (txn->settings->help)
        apr_table_addn(out, "Link",
                       apr_psprintf(r->pool, "<%s>; rel=\"describedby\"; type=\"text/html\"", txn->settings->help));
}

static void send_json(request_rec *r, const char *json, ap_filter_t *next)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    r->status_line = NULL;
    r->content_encoding = NULL;
    r->content_languages = apr_array_make(r->pool, 1, sizeof(const char *));
    APR_ARRAY_PUSH(r->content_languages, const char *) = "en";
    ap_set_content_type(r, "application/problem+json");
    ap_set_content_length(r, (apr_off_t)strlen(json));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(json, strlen(json), r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(next, bb);
}

int idem_respond(idem_txn *txn, request_rec *r, ap_filter_t *next, int may_return)
{
    const idem_problem_info *info = idem_problem_info_of(txn->problem);
    int status = txn->problem == IDEM_KEY_REUSED ? txn->settings->mismatch_status : info->status;

    IDEM_LOG(txn, APLOG_INFO, 40, "refused: %s", info->name);
    idem_txn_outcome(txn, info->name);
    if (!may_return) /* a handler's own response is replaced: nothing of it may remain */
        apr_table_clear(r->headers_out);
    put_headers(txn, r, info);
    r->no_local_copy = 1;
    if (idem_intake_unread(txn) && !r->connection->master)
        r->connection->keepalive = AP_CONN_CLOSE; /* what was not read is not waited for */
    if (may_return && wants_html(r))
        return status;
    r->status = status;
    send_json(r, idem_problem_json(info, status, txn->settings->help, txn->detail, r->pool), next);
    return OK;
}
