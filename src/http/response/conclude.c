/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conclude.c - the verdict on a response that has come to its end, its settlement, and its way to the client.
 *
 * Called by the gate when a handler has returned, by the recorder's filter at the end of an error page. The handler's
 * return code, the declared length, error buckets and the connection's state say whether the response is complete. In
 * doubt the outcome is unknown, and nothing is recorded as complete.
 */
#include "conclude.h"

#include "chain.h"
#include "compare.h"
#include "intake.h"
#include "log.h"
#include "capture.h"
#include "places.h"
#include "replay.h"
#include "respond.h"
#include "returned.h"
#include "settle.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

/* ---- the verdict ------------------------------------------------------------------------------------------------- */

/* "404" names one status, "4xx" each that begins with a 4. */
static int status_matches(const char *word, int status)
{
    return word[0] - '0' == status / 100 &&
           (word[1] == 'x' || (word[1] - '0' == status / 10 % 10 && word[2] - '0' == status % 10));
}

int idem_is_release_status(const idem_txn *txn, int status)
{
    const apr_array_header_t *list = txn->settings->release_status;

    for (int i = 0; i < list->nelts; i++)
        if (status_matches(APR_ARRAY_IDX(list, i, const char *), status))
            return 1;
    return 0;
}

/* A complete response: what becomes of it. */
static idem_event response_verdict(const idem_txn *txn, const request_rec *r)
{
    const idem_recorder *rec = txn->recorder;
    int listed = idem_is_release_status(txn, txn->returned ? txn->returned : rec->response.status);

    if (idem_places_refused(txn, r))
        return IDEM_EV_RETRYABLE;
    if (txn->means == IDEM_RETURNED_FAILURE || (txn->means == IDEM_RETURNED_UNSENT && !listed))
        return IDEM_EV_CUT; /* the page is only httpd's: it is never replayed */
    if (txn->means != IDEM_RETURNED_REFUSAL && (listed || rec->control.no_store))
        return IDEM_EV_RETRYABLE;
    return txn->place_lost || (rec->flowing && !rec->copy) ? IDEM_EV_OVERSIZE : IDEM_EV_RECORDED;
}

/* A handler may write as many header fields as it likes: they have the same bound as the body. */
static int fields_too_long(const idem_txn *txn)
{
    idem_response head = txn->recorder->response;

    head.body = idem_blob_of(NULL, 0);
    return idem_record_size(NULL, &head) > (apr_size_t)txn->settings->max_response + IDEM_HEAD_LEN;
}

static idem_action settle_complete(idem_txn *txn, request_rec *r)
{
    idem_recorder *rec = txn->recorder;
    idem_event event;
    idem_action action;
    char *flat = NULL;
    apr_size_t len = 0;

    idem_recorder_capture(txn, r);
    rec->response.places = txn->places;
    event = response_verdict(txn, r);
    if (event == IDEM_EV_RECORDED && fields_too_long(txn))
        event = IDEM_EV_OVERSIZE;
    if (event == IDEM_EV_RECORDED &&
        apr_brigade_pflatten(rec->copy ? rec->copy : rec->held, &flat, &len, r->pool) != APR_SUCCESS)
        event = IDEM_EV_OVERSIZE;
    rec->response.body = idem_blob_of(flat, len);
    action = idem_txn_settle(txn, event, &rec->response);
    idem_txn_export(txn, txn->r);
    return action;
}

static void forget_held(idem_recorder *rec)
{
    apr_brigade_cleanup(rec->held);
    rec->length = 0;
    rec->eos = rec->eoc = rec->broken = rec->page = 0;
}

static void settle_cut(idem_txn *txn, idem_event event)
{
    forget_held(txn->recorder);
    idem_txn_settle(txn, event, NULL);
    idem_txn_export(txn, txn->r);
}

/* The end goes to the client, with all that was held. */
static apr_status_t let_go(idem_txn *txn, request_rec *r, ap_filter_t *next, idem_action action)
{
    idem_recorder *rec = txn->recorder;

    if (rec->client_gone) {
        r->connection->aborted = 1;
        apr_brigade_cleanup(rec->held);
        return APR_SUCCESS;
    }
    if (action == IDEM_DO_ANSWER_FROM_SLOT && !rec->flowing) {
        apr_brigade_cleanup(rec->held);
        idem_compare_lost(txn);
        if (txn->problem == IDEM_PROBLEM_NONE && idem_places_ask(txn, r) != OK)
            txn->problem = IDEM_PROBLEM_OUTCOME_UNKNOWN;
        if (txn->problem == IDEM_PROBLEM_NONE && !idem_replay_refused(txn, r)) {
            if (!rec->maker) /* with one, what stands before us has had its response */
                next = idem_chain_replay_entry(r, &txn->seen.response);
            return idem_replay(txn, r, next) == OK ? APR_SUCCESS : APR_EGENERAL;
        }
        return idem_respond(txn, r, next, 0) == OK ? APR_SUCCESS : APR_EGENERAL;
    }
    if (rec->last)
        APR_BRIGADE_CONCAT(rec->held, rec->last);
    APR_BRIGADE_INSERT_TAIL(rec->held, apr_bucket_eos_create(r->connection->bucket_alloc));
    return ap_pass_brigade(next, rec->held);
}

/* An end that says that it is none: httpd makes an error of it, or closes the connection where the response has
 * begun. */
static apr_status_t pass_error(const idem_recorder *rec, request_rec *r, ap_filter_t *next, int status)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    APR_BRIGADE_INSERT_TAIL(rec->held, ap_bucket_error_create(status, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(rec->held, apr_bucket_eos_create(alloc));
    return ap_pass_brigade(next, rec->held);
}

/* A client that sees the end of a response it has had the beginning of must see that it is not the end. */
static void break_off(idem_txn *txn, request_rec *r, ap_filter_t *next)
{
    r->connection->keepalive = AP_CONN_CLOSE;
    if (!txn->recorder->client_gone)
        pass_error(txn->recorder, r, next, HTTP_BAD_GATEWAY);
    else
        r->connection->aborted = 1;
}

/* httpd refused: the application did not write this. */
static void note_page(idem_txn *txn, const request_rec *r)
{
    if (txn->returned)
        return;
    txn->returned = r->status;
    txn->means = ap_is_HTTP_SERVER_ERROR(r->status) ? IDEM_RETURNED_FAILURE : IDEM_RETURNED_REFUSAL;
}

/* The end of a page that httpd makes of an error status after the handler's return: nothing more is to come. */
apr_status_t idem_recorder_finish_page(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder *rec = txn->recorder;
    request_rec *r = f->r;
    ap_filter_t *next = f->next;
    idem_action action;

    ap_remove_output_filter(f);
    if (rec->broken) {
        int status = rec->broken;

        settle_cut(txn, IDEM_EV_CUT);
        return pass_error(rec, r, next, status);
    }
    note_page(txn, r);
    action = settle_complete(txn, r);
    return let_go(txn, r, next, action);
}

/* ---- after the handler ------------------------------------------------------------------------------------------- */

/* Was the declared length reached? A handler's own Content-Length is a promise that the bytes must keep. */
static int short_of_declared(const idem_txn *txn, request_rec *r)
{
    apr_off_t declared = idem_recorder_declared(r);

    return declared >= 0 && !AP_STATUS_IS_HEADER_ONLY(r->status) && txn->recorder->length != declared;
}

/*
 * A handler that sent an interim response to a client that had left finds an HTTP/1 connection marked as aborted,
 * before any of its writes comes by here. Some handlers are known not to look at the mark, or not to call a set mark a
 * success. Only those have run to their end.
 */
static int may_have_stopped(const request_rec *r)
{
    if (!r->connection->aborted || r->connection->master)
        return 0;
    return !r->proxyreq && !(r->handler && !strcmp(r->handler, "cgi-script"));
}

static int passed_by(request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec->ftype == AP_FTYPE_PROTOCOL)
            return 0;
    return 1; /* an nph- script removes them all and writes to the connection (cgi_common.h) */
}

/* A filter before the recorder gave up, and had httpd make a page instead: that page came to its end. */
static int is_page_of_a_filter(const idem_recorder *rec)
{
    return rec->above != APR_SUCCESS && rec->page && rec->eos;
}

/*
 * The status of a response that broke off, 0 for one that did not. A filter that gave up has told the handler so, and
 * few handlers look. If r->eos_sent is set and no end came here, somebody kept the end, or the handler wants none to
 * be sent.
 */
static int broken_status(const idem_recorder *rec, const request_rec *r, int rv)
{
    if (rec->broken)
        return rec->broken;
    if (rec->above != APR_SUCCESS && !is_page_of_a_filter(rec))
        return APR_STATUS_IS_TIMEUP(rec->above) ? HTTP_GATEWAY_TIME_OUT : HTTP_BAD_GATEWAY;
    if (rec->eoc || rv == AP_FILTER_ERROR || idem_proxy_broke(r, rv))
        return HTTP_BAD_GATEWAY;
    return 0;
}

static int ended_unseen(const idem_recorder *rec, const request_rec *r, int rv)
{
    if (rec->eos)
        return 0;
    return r->eos_sent || (rv == DONE && r->proxyreq); /* mod_proxy stopped for a client that left */
}

/* Handlers that write by ap_rwrite() leave the end of stream to httpd: it belongs before the settlement. */
static void push_end(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb);
}

static int conclude_broken(idem_txn *txn, request_rec *r, int status)
{
    idem_recorder *rec = txn->recorder;
    int flowing = rec->flowing;

    settle_cut(txn, idem_intake_cut(txn) ? IDEM_EV_BODY_CUT : IDEM_EV_CUT);
    if (!flowing)
        return status;
    break_off(txn, r, rec->next);
    return OK;
}

static int conclude_error(idem_txn *txn, request_rec *r, int status)
{
    if (idem_intake_cut(txn))
        return conclude_broken(txn, r, status);
    if (txn->recorder->flowing)
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    forget_held(txn->recorder);
    if (!txn->returned) {
        txn->returned = status;
        txn->means = idem_returned_means(txn, r, status);
        idem_recorder_control(txn, r);
    }
    return status;
}

static int conclude_complete(idem_txn *txn, request_rec *r, int rv)
{
    idem_recorder *rec = txn->recorder;
    ap_filter_t *next = rec->next;
    idem_action action;

    if (idem_intake_cut(txn) || short_of_declared(txn, r))
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    if (is_page_of_a_filter(rec))
        note_page(txn, r);
    if (idem_intake_unread(txn) && !r->connection->master)
        r->connection->keepalive = AP_CONN_CLOSE; /* the rest of the body is not waited for */
    action = settle_complete(txn, r);
    let_go(txn, r, next, action);
    return rv;
}

int idem_recorder_conclude(idem_txn *txn, request_rec *r, int rv)
{
    idem_recorder *rec = txn->recorder;
    int status;

    if (txn->phase != IDEM_PHASE_RUNNING || rv == SUSPENDED)
        return rv;
    idem_recorder_unframe(txn, r);
    if (rv == DECLINED) {
        if (r == txn->r)
            idem_txn_settle(txn, IDEM_EV_DECLINED, NULL);
        return rv;
    }
    if (rec->eoc && !rec->length) {
        r->no_cache = 0;                                 /* the page that is to come is an answer like others */
        return conclude_error(txn, r, HTTP_BAD_GATEWAY); /* as for a client's first request: not a byte was answered */
    }
    status = broken_status(rec, r, rv);
    if (status)
        return conclude_broken(txn, r, status);
    if (rv != OK && rv != DONE)
        return conclude_error(txn, r, rv);
    if (passed_by(r)) {
        idem_txn_settle(txn, IDEM_EV_OVERSIZE, NULL);
        return rv;
    }
    if (ended_unseen(rec, r, rv) || may_have_stopped(r))
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    if (!rec->eos)
        push_end(r);
    status = broken_status(rec, r, rv);
    if (status || !rec->eos)
        return conclude_broken(txn, r, status ? status : HTTP_BAD_GATEWAY);
    return conclude_complete(txn, r, rv);
}
