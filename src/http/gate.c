/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - the one decision about a client request, and its execution.
 *
 * Runs as a handler, behind every access check, with the filter chain standing. A guarded request is decided here once;
 * the hook then calls the other handlers itself, so that it sees what they return. Internal redirects come by again
 * with a new request_rec on the same pool: they join the transaction that they find there.
 *
 * The loop in decide() carries out what the lease's table says and feeds back what came out. It chooses nothing.
 */
#include "gate.h"

#include "chain.h"
#include "child.h"
#include "claim.h"
#include "compare.h"
#include "conclude.h"
#include "detect.h"
#include "execution.h"
#include "expose.h"
#include "fingerprint.h"
#include "intake.h"
#include "keeper.h"
#include "keyage.h"
#include "keysource.h"
#include "log.h"
#include "places.h"
#include "quota.h"
#include "recorder.h"
#include "replay.h"
#include "respond.h"
#include "settle.h"
#include "status_field.h"
#include "stores.h"
#include "volatile_auth.h"
#include "waiting.h"

#include <apr_strings.h>
#include <http_config.h>

/* ---- running the handler ----------------------------------------------------------------------------------------- */

/*
 * HTTP/2's session thread marks a stream's connection as aborted at any time. A handler that looks at the mark would
 * stop half-way, or take its backend's failure for the client's (mod_proxy_fcgi). So handlers get a copy of the
 * connection, which nobody marks; what it points to is shared, and filters keep the real one. NULL: no copy was needed.
 */
static conn_rec *lend_connection(const idem_txn *txn, request_rec *r)
{
    conn_rec *lent;

    if (!r->connection->master || txn->detecting || txn->inside)
        return NULL; /* inside another handler it is lent already */
    lent = apr_pmemdup(r->pool, r->connection, sizeof(*lent));
    lent->aborted = 0;
    r->connection = lent;
    return lent;
}

/* Internal redirects have inherited it. */
static void take_back(request_rec *r, const conn_rec *lent, conn_rec *real)
{
    for (; lent && r; r = r->next)
        if (r->connection == lent)
            r->connection = real;
}

/* One handler of the chain. While it runs, an end of stream on r is held (recorder.c). */
static int visit(idem_txn *txn, request_rec *r)
{
    request_rec *outer = txn->inside;
    conn_rec *real = r->connection, *lent;
    idem_witness witness;
    int shown = 0, rv;

    if (!txn->detecting) {
        idem_txn_export(txn, r);
        idem_places_enter(txn, r);
        idem_recorder_join(txn, r);
        shown = idem_execution_show(txn, r);
    }
    idem_intake_join(txn, r);
    idem_expose_join(r);
    lent = lend_connection(txn, r);
    txn->inside = r;
    idem_witness_begin(&witness);
    rv = ap_run_handler(r);
    idem_witness_end(&witness);
    txn->heard = witness;
    take_back(r, lent, real);
    idem_execution_hide(r, shown);
    rv = txn->detecting ? idem_detect_conclude(txn, r, rv) : idem_recorder_conclude(txn, r, rv);
    txn->inside = outer;
    return rv;
}

static int enter(idem_txn *txn)
{
    idem_txn_outcome(txn, IDEM_OUTCOME_EXECUTED);
    return visit(txn, txn->r);
}

static int bypass(idem_txn *txn)
{
    IDEM_LOG(txn, APLOG_WARNING, 50, "the store is down: runs unguarded, as IdempotencyStoreFailure bypass says");
    idem_txn_outcome(txn, IDEM_OUTCOME_BYPASSED);
    return DECLINED;
}

static int refuse(idem_txn *txn)
{
    if (txn->detecting)
        return idem_detect_pass(txn, txn->problem ? idem_outcome_of(txn->problem) : IDEM_OUTCOME_REPLAYED);
    return idem_respond(txn, txn->r, idem_chain_entry(txn->r), 1);
}

static int replay(idem_txn *txn)
{
    int status = txn->detecting ? OK : idem_places_ask(txn, txn->r);

    if (status != OK)
        return status;
    if (idem_replay_refused(txn, txn->r))
        return refuse(txn);
    if (txn->detecting)
        return idem_detect_pass(txn, IDEM_OUTCOME_REPLAYED);
    IDEM_LOG(txn, APLOG_INFO, 51, "replayed: status %d, %" APR_SIZE_T_FMT " bytes", txn->seen.response.status,
             txn->seen.response.body.len);
    idem_txn_outcome(txn, IDEM_OUTCOME_REPLAYED);
    return idem_replay(txn, txn->r, idem_chain_replay_entry(txn->r, &txn->seen.response));
}

/* Asking costs a system call on HTTP/1, so only who has waited asks; the mark of a connection is there for
 * everybody. */
static int left_already(const idem_txn *txn)
{
    if (txn->detecting)
        return 0; /* it would run without us */
    return txn->r->connection->aborted || (txn->wait_until && idem_client_gone(txn->r));
}

static idem_event claim(idem_txn *txn)
{
    idem_event event;

    if (idem_keyage_spent(txn) || idem_quota_spent(txn))
        return IDEM_EV_OVER_LIMIT;
    event = idem_txn_claim(txn);
    return event == IDEM_EV_STORE_BYPASS && txn->key_expired ? IDEM_EV_STORE_DOWN
                                                             : event; /* it may have run long ago */
}

/* The last moment at which nothing has run. */
static idem_event before_start(idem_txn *txn)
{
    if (left_already(txn))
        return IDEM_EV_GONE;
    return idem_keyage_exceeded(txn) || idem_quota_exceeded(txn) ? IDEM_EV_OVER_LIMIT : idem_txn_start(txn);
}

/* ---- the decision ------------------------------------------------------------------------------------------------ */

static int decide(idem_txn *txn)
{
    idem_action action = idem_txn_step(txn, IDEM_EV_GUARDED);

    for (;;) {
        switch (action) {
        case IDEM_DO_CLAIM: action = idem_txn_step(txn, claim(txn)); break;
        case IDEM_DO_TAKE_OVER: action = idem_txn_step(txn, idem_txn_take_over(txn)); break;
        case IDEM_DO_WAIT: action = idem_txn_step(txn, idem_wait(txn)); break;
        case IDEM_DO_COMPARE: action = idem_txn_step(txn, idem_compare_settled(txn)); break;
        case IDEM_DO_RUN: action = idem_txn_step(txn, before_start(txn)); break;
        case IDEM_DO_RELEASE: idem_txn_release(txn); return HTTP_BAD_REQUEST;
        case IDEM_DO_RELEASE_REFUSE: idem_txn_release(txn); return refuse(txn);
        case IDEM_DO_ENTER: return enter(txn);
        case IDEM_DO_BYPASS: return bypass(txn);
        case IDEM_DO_REPLAY: return replay(txn);
        case IDEM_DO_REFUSE: return refuse(txn);
        case IDEM_DO_NOTHING: return txn->input_status ? txn->input_status : HTTP_BAD_REQUEST;
        default: return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
}

static int refuse_early(idem_txn *txn, idem_problem problem, const char *detail)
{
    txn->problem = problem;
    txn->detail = detail;
    txn->phase = IDEM_DONE; /* nothing was claimed, nothing will be */
    return refuse(txn);
}

static apr_status_t values_of(idem_txn *txn, const apr_array_header_t *parts, idem_part_value *values)
{
    for (int i = 0; i < parts->nelts; i++) {
        const idem_part *part = &APR_ARRAY_IDX(parts, i, const idem_part);
        const char *why = NULL;
        apr_status_t rv = idem_part_value_of(&txn->asked, part, &values[i].value, &why);

        values[i].name = part->spelled;
        if (rv != APR_SUCCESS) {
            IDEM_LOG(txn, APLOG_ERR, 52, "%s could not be evaluated: %s", part->spelled, why ? why : "unknown reason");
            return rv;
        }
    }
    return APR_SUCCESS;
}

static apr_status_t name_slot(idem_txn *txn, idem_blob key)
{
    idem_part_value values[IDEM_PARTS_MAX + 1];
    unsigned char slot[IDEM_SLOT_LEN];
    int parts = txn->settings->scope->nelts;
    apr_status_t rv = values_of(txn, txn->settings->scope, values);

    if (txn->detecting) { /* a name no part has: what was only watched never answers anybody */
        values[parts].name = "detection";
        values[parts++].value = idem_blob_str("only");
    }
    if (rv == APR_SUCCESS)
        rv = idem_slot_make(idem_keyring_slot_key(txn->ring), values, parts, key, slot);
    if (rv == APR_SUCCESS)
        rv = idem_quota_name(txn, values, parts);
    if (rv == APR_SUCCESS)
        idem_txn_set_slot(txn, slot);
    return rv;
}

/* What credentials are made of has changed between versions: a record of another form is incomparable, not of somebody
 * else. */
#define CREDENTIALS_FORM "/2 "

static apr_status_t take_print(idem_txn *txn)
{
    idem_part_value values[IDEM_PARTS_MAX];
    apr_status_t rv = values_of(txn, txn->settings->fingerprint, values);

    /* Which cookies are credentials is part of what the print is made of: other ones make it another print. */
    for (int i = 0; i < txn->settings->fingerprint->nelts; i++)
        if (APR_ARRAY_IDX(txn->settings->fingerprint, i, const idem_part).kind == IDEM_PART_CREDENTIALS)
            values[i].name = apr_pstrcat(txn->r->pool, values[i].name, CREDENTIALS_FORM,
                                         apr_array_pstrcat(txn->r->pool, txn->settings->session_cookies, ' '), NULL);
    if (rv == APR_SUCCESS)
        rv = idem_print_make(idem_keyring_print_key(txn->ring), values, txn->settings->fingerprint->nelts,
                             &txn->head.print);
    txn->head.print.body_flags |= IDEM_BODY_MARKED | (txn->asked.boundary ? IDEM_BODY_PARTED : 0U);
    return rv == APR_SUCCESS ? idem_intake_print(txn, &txn->head.print) : rv;
}

/* Sent by an execution that is over, to a guard that would take it for another operation: it must not run now. */
static int refuse_late(idem_txn *txn)
{
    IDEM_LOG(txn, APLOG_INFO, 131, "sent by an execution of this key that is over: refused");
    return refuse_early(txn, IDEM_OUTCOME_UNKNOWN, NULL);
}

static int guard(idem_txn *txn, const idem_way *way)
{
    request_rec *r = txn->r;
    const char *type = idem_header_joined(&txn->asked, "Content-Type", ", ");
    apr_status_t rv;
    int status;

    txn->asked.content_type = type;
    if (type)
        txn->asked.boundary = idem_multipart_boundary(type, r->pool, &txn->asked.content_type);
    idem_warn_volatile_auth(txn);
    rv = name_slot(txn, txn->key);
    if (rv == APR_SUCCESS && way->over && memcmp(way->slot, txn->head.slot, IDEM_SLOT_LEN) != 0)
        return refuse_late(txn);
    if (rv != APR_SUCCESS || idem_intake_begin(txn, txn->asked.boundary) != APR_SUCCESS) {
        txn->phase = IDEM_DONE;
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    status = idem_intake_prefetch(txn);
    if (txn->problem)
        return refuse_early(txn, txn->problem, txn->detail);
    if (status == OK && take_print(txn) != APR_SUCCESS)
        status = HTTP_INTERNAL_SERVER_ERROR;
    if (status != OK) {
        idem_txn_step(txn, IDEM_EV_GONE);
        return status;
    }
    return decide(txn);
}

/* ---- is it guarded ----------------------------------------------------------------------------------------------- */

static int is_method(const idem_settings *settings, const char *method)
{
    for (int i = 0; i < settings->methods->nelts; i++)
        if (!strcmp(method, APR_ARRAY_IDX(settings->methods, i, const char *)))
            return 1;
    return 0;
}

/* An ErrorDocument of a check that refused before any guarded handler was reached: not the application's, not ours. */
static int is_error_page(const request_rec *r)
{
    return r->prev && r->status != HTTP_OK;
}

/* An earlier request of the chain was looked at and found to need no guard: that was the decision. */
static int is_decided(request_rec *r)
{
    for (request_rec *prev = r->prev; prev; prev = prev->prev)
        if (idem_engine_of(prev) != IDEM_ENGINE_OFF)
            return 1;
    return 0;
}

/* On its way in an execution that another guard decided: that was the decision. */
static int pass(request_rec *r)
{
    IDEM_SLOG(r->server, APLOG_DEBUG, 130, "a request on its way in an execution of another guard has passed");
    idem_execution_passes(r);
    return DECLINED;
}

/* The engine has looked at it: it is not guarded. */
static int leave(request_rec *r, const char *why)
{
    idem_status_unused(r, why);
    return DECLINED;
}

/* What would be guarded were the engine on is told so, where somebody wants that; all else passes. */
static int pass_by(request_rec *r)
{
    const idem_settings *settings = idem_settings_of(r);

    if (settings->status_header && !r->prev && is_method(settings, r->method)) {
        idem_status_unused(r, "engine-off");
        idem_expose_join(r);
    }
    return DECLINED;
}

static int consider(request_rec *r)
{
    const idem_settings *settings = idem_settings_of(r);
    idem_asked asked;
    idem_blob key;
    const char *detail = NULL;
    apr_status_t rv;
    idem_problem problem;
    idem_front *front = idem_stores_front(r->server);
    idem_way way = {0};
    idem_txn *txn;

    idem_asked_of(r, &asked);
    if (!is_method(settings, asked.method))
        return leave(r, "method");
    problem = idem_find_key(&asked, settings, &key, &detail, &rv);
    if (rv == APR_SUCCESS && problem == IDEM_PROBLEM_NONE && !key.data && !settings->require_key)
        return leave(r, "no-key");

    if (rv == APR_SUCCESS && problem == IDEM_PROBLEM_NONE && key.data)
        idem_execution_read(r, front, key, &way);
    if (way.inside)
        return pass(r);
    txn = idem_txn_create(r, settings, front);
    idem_txn_settle_at_end(txn);
    txn->asked = asked;
    txn->key = key;
    txn->came_by = way.members;
    txn->asked.session_cookies = settings->session_cookies;
    if (rv != APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_ERR, 53, "the key could not be looked up: %s", detail ? detail : "unknown reason");
        txn->phase = IDEM_DONE;
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (problem != IDEM_PROBLEM_NONE)
        return refuse_early(txn, problem, detail);
    if (!key.data)
        return refuse_early(txn, IDEM_KEY_MISSING, NULL);
    problem = idem_keyage_read(txn);
    if (problem != IDEM_PROBLEM_NONE)
        return refuse_early(txn, problem, txn->detail);
    return guard(txn, &way);
}

/* A later request of a chain that was decided. Whatever the decision was, the body read ahead is its handler's to
 * read. */
static int join(idem_txn *txn, request_rec *r)
{
    if (txn->phase == IDEM_RUNNING && txn->inside != r)
        return visit(txn, r);
    if (txn->intake)
        idem_intake_join(txn, r);
    return DECLINED;
}

int idem_gate(request_rec *r)
{
    idem_txn *txn;

    if (r->main)
        return DECLINED;
    txn = idem_txn_of(r);
    if (txn)
        return join(txn, r);
    if (r->prev && idem_execution_passes(r))
        return DECLINED;
    if (idem_engine_of(r) == IDEM_ENGINE_OFF)
        return pass_by(r);
    idem_expose_join(r);
    if (is_error_page(r) || is_decided(r))
        return DECLINED;
    return consider(r);
}

int idem_gate_log(request_rec *r)
{
    idem_txn *txn = idem_txn_of(r);

    if (txn && txn->detecting)
        idem_detect_end(txn);
    if (txn && !idem_child_is_copy())
        idem_keeper_request_ended();
    for (; txn && r; r = r->next)
        idem_txn_export(txn, r);
    return DECLINED;
}
