/* SPDX-License-Identifier: Apache-2.0 */
/*
 * respond.c - the module's own answers.
 *
 * Called by the gate in a handler, and by the recorder for an owner that lost its slot. What must survive httpd's own
 * error pages stands in err_headers_out.
 */
#include "respond.h"

#include "accept.h"
#include "control.h"
#include "found.h"
#include "intake.h"
#include "log.h"
#include "notify.h"
#include "told.h"

#include <apr_strings.h>
#include <http_protocol.h>

static int more_severe(int a, int b)
{
    return a > b ? a : b;
}

/* Accept names HTML and does not like JSON better. */
static int wants_html(request_rec *r)
{
    int html = idem_accept_quality(r, "text/html");
    int json =
        more_severe(idem_accept_quality(r, "application/json"), idem_accept_quality(r, "application/problem+json"));
    int others = more_severe(idem_accept_quality(r, "*/*"), idem_accept_quality(r, "application/*"));

    return html && html >= (json ? json : others);
}

static void put_headers(const idem_txn *txn, request_rec *r, const idem_problem_info *info)
{
    apr_table_t *out = r->err_headers_out;
    int usual = txn->retry_after ? txn->retry_after : info->retry_after;
    int retry_after = idem_told_number(txn->settings->retry_after, info->name, usual);

    apr_table_setn(out, IDEM_ERROR_HEADER, info->name);
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

static int problem_status(const idem_settings *settings, idem_problem problem, const idem_problem_info *info)
{
    int usual = problem == IDEM_PROBLEM_KEY_REUSED ? settings->mismatch_status : info->status;

    return idem_told_number(settings->problem_status, info->name, usual);
}

int idem_respond(idem_txn *txn, request_rec *r, ap_filter_t *next, int may_return)
{
    const idem_problem_info *info = idem_problem_info_of(txn->problem);
    int status = problem_status(txn->settings, txn->problem, info);

    IDEM_LOG(txn, APLOG_INFO, 40, "refused: %s%s", info->name, idem_found_text(txn));
    if (txn->problem == IDEM_PROBLEM_OUTCOME_UNKNOWN && txn->seen.head.state != IDEM_STATE_RECORD)
        idem_notify_post(IDEM_TELL_UNKNOWN, txn->front, txn->head.slot, 0); /* also of an owner that was killed */
    idem_txn_outcome(txn, idem_outcome_of(txn->problem));
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
