/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.c - the one decision about a client request, and its execution.
 *
 * Runs as a handler, behind every access check, with the filter chain standing. A guarded request is decided here,
 * once. The hook then calls the other handlers itself, so it sees their return codes. Internal redirects come by again
 * with a new request_rec on the same pool: they join the transaction that they find there.
 *
 * The loop in decide_request() does what the lease's table says and feeds back what came out. It chooses nothing.
 */
#include "gate.h"

#include "body_parts.h"
#include "chain.h"
#include "child.h"
#include "claim.h"
#include "compare.h"
#include "conclude.h"
#include "detect.h"
#include "except.h"
#include "execution.h"
#include "expose.h"
#include "found.h"
#include "intake.h"
#include "keeper.h"
#include "keyage.h"
#include "keysource.h"
#include "log.h"
#include "lookup.h"
#include "naming.h"
#include "places.h"
#include "quota.h"
#include "recorder.h"
#include "replay.h"
#include "respond.h"
#include "sent.h"
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
 * connection, which nobody marks. The copy's pointers are shared, and filters keep the real one. NULL: no copy was
 * needed.
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
static int visit_handler(idem_txn *txn, request_rec *r)
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

static int enter_handler(idem_txn *txn)
{
    idem_txn_outcome(txn, IDEM_OUTCOME_EXECUTED);
    return visit_handler(txn, txn->r);
}

static int bypass_engine(idem_txn *txn)
{
    IDEM_LOG(txn, APLOG_WARNING, 50, "the store is down: this request runs unguarded (IdempotencyStoreFailure bypass)");
    idem_txn_outcome(txn, IDEM_OUTCOME_BYPASSED);
    return DECLINED;
}

static int refuse_request(idem_txn *txn)
{
    if (txn->detecting)
        return idem_detect_pass(txn, txn->problem ? idem_outcome_of(txn->problem) : IDEM_OUTCOME_REPLAYED);
    return idem_respond(txn, txn->r, idem_chain_entry(txn->r), 1);
}

static int replay_record(idem_txn *txn)
{
    int status = txn->detecting ? OK : idem_places_ask(txn, txn->r);

    if (status != OK)
        return status;
    if (idem_replay_refused(txn, txn->r))
        return refuse_request(txn);
    if (txn->detecting)
        return idem_detect_pass(txn, IDEM_OUTCOME_REPLAYED);
    IDEM_LOG(txn, APLOG_INFO, 51, "replayed: status %d, %" APR_SIZE_T_FMT " bytes%s", txn->seen.response.status,
             txn->seen.response.body.len, idem_found_text(txn));
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

static idem_event claim_for_request(idem_txn *txn)
{
    idem_event event;

    if (txn->lookup)
        return idem_lookup(txn);
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

static int decide_request(idem_txn *txn)
{
    idem_action action = idem_txn_step(txn, IDEM_EV_GUARDED);

    for (;;) {
        switch (action) {
        case IDEM_DO_CLAIM: action = idem_txn_step(txn, claim_for_request(txn)); break;
        case IDEM_DO_TAKE_OVER: action = idem_txn_step(txn, idem_txn_take_over(txn)); break;
        case IDEM_DO_WAIT: action = idem_txn_step(txn, idem_wait(txn)); break;
        case IDEM_DO_COMPARE: action = idem_txn_step(txn, idem_compare_settled(txn)); break;
        case IDEM_DO_RUN: action = idem_txn_step(txn, before_start(txn)); break;
        case IDEM_DO_RELEASE: idem_txn_release(txn); return HTTP_BAD_REQUEST;
        case IDEM_DO_RELEASE_REFUSE: idem_txn_release(txn); return refuse_request(txn);
        case IDEM_DO_ENTER: return enter_handler(txn);
        case IDEM_DO_BYPASS: return bypass_engine(txn);
        case IDEM_DO_REPLAY: return replay_record(txn);
        case IDEM_DO_REFUSE: return refuse_request(txn);
        case IDEM_DO_NOTHING: return txn->input_status ? txn->input_status : HTTP_BAD_REQUEST;
        default: return HTTP_INTERNAL_SERVER_ERROR;
        }
    }
}

static int refuse_early(idem_txn *txn, idem_problem problem, const char *detail)
{
    txn->problem = problem;
    txn->detail = detail;
    txn->phase = IDEM_PHASE_DONE; /* nothing was claimed, nothing will be */
    return refuse_request(txn);
}

/* Sent by an execution that is over, to a guard that would take it for another operation: it must not run now. */
static int refuse_late(idem_txn *txn)
{
    IDEM_LOG(txn, APLOG_INFO, 131, "refused: the execution of this key that sent this request has ended");
    return refuse_early(txn, IDEM_PROBLEM_OUTCOME_UNKNOWN, NULL);
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

/* Nothing was claimed. */
static int stop_unclaimed(idem_txn *txn, int status)
{
    if (txn->problem)
        return refuse_early(txn, txn->problem, txn->detail);
    idem_txn_step(txn, IDEM_EV_GONE);
    return status;
}

/* Reads it ahead, once. */
static int read_body(idem_txn *txn)
{
    if (txn->intake)
        return OK;
    txn->needs_body |= idem_parts_in_body(txn->settings->scope) || idem_parts_in_body(txn->settings->fingerprint);
    if (idem_intake_begin(txn, txn->asked.boundary) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    return idem_intake_prefetch(txn);
}

/* What of the slot's name is in the body. */
static int read_scope(idem_txn *txn)
{
    int status = idem_parts_in_body(txn->settings->scope) ? read_body(txn) : OK;

    if (status == OK && txn->asked.body && !txn->asked.body->whole && idem_parts_in_body(txn->settings->scope)) {
        txn->problem = IDEM_PROBLEM_BODY_TOO_LARGE;
        txn->detail =
            "The server tells the keys of clients apart by a value in the request body, and this body is larger "
            "than the server searches. The request was not executed. Send a smaller body.";
    }
    return status;
}

static int guard_request(idem_txn *txn, const idem_way *way)
{
    int status = read_scope(txn);

    if (status != OK || txn->problem)
        return stop_unclaimed(txn, status);
    idem_warn_volatile_auth(txn);
    if (idem_name_slot(txn, txn->key) != APR_SUCCESS)
        return stop_unclaimed(txn, HTTP_INTERNAL_SERVER_ERROR);
    if (way->over && memcmp(way->slot, txn->head.slot, IDEM_SLOT_LEN) != 0)
        return refuse_late(txn);
    status = read_body(txn);
    if (status == OK && idem_take_print(txn) != APR_SUCCESS)
        status = HTTP_INTERNAL_SERVER_ERROR;
    if (txn->asked.body)
        idem_body_forget(txn->asked.body);
    return status == OK ? decide_request(txn) : stop_unclaimed(txn, status);
}

/* ---- is it guarded ----------------------------------------------------------------------------------------------- */

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

/* Its handler reads what was read ahead; nothing else becomes of it. */
static int let_pass(idem_txn *txn)
{
    txn->unguarded = 1;
    txn->phase = IDEM_PHASE_DONE;
    if (txn->asked.body)
        idem_body_forget(txn->asked.body);
    return DECLINED;
}

/* On its way in an execution that another guard decided: that was the decision. */
static int pass_guarded(request_rec *r, idem_txn *txn)
{
    IDEM_SLOG(r->server, APLOG_DEBUG, 130, "passed: this request belongs to an execution that another guard holds");
    if (txn)
        let_pass(txn);
    idem_execution_passes(r);
    return DECLINED;
}

/* The engine has looked at it: it is not guarded. */
static int leave_unguarded(request_rec *r, idem_txn *txn, const char *why)
{
    idem_status_unused(r, why);
    return txn ? let_pass(txn) : DECLINED;
}

static int asks_for_outcome(request_rec *r)
{
    idem_asked asked;

    idem_asked_of(r, &asked);
    return idem_lookup_is_wanted(idem_settings_of(r), &asked);
}

/* A client that only asks never reaches a handler, even where nobody can answer it. */
static int refuse_lookup(request_rec *r, idem_txn *txn, idem_problem problem)
{
    if (!txn) {
        txn = idem_txn_create(r, idem_settings_of(r), idem_stores_front(r->server));
        idem_txn_settle_at_end(txn);
    }
    txn->lookup = 1;
    txn->detecting = 0; /* it is for us, not for the application whose answers are not changed */
    idem_expose_join(r);
    return refuse_early(txn, problem, NULL);
}

/* A request that would be guarded with the engine on is told so, where an administrator wants that. All others pass. */
static int pass_by(request_rec *r)
{
    const idem_settings *settings = idem_settings_of(r);

    if (settings->lookup && !is_error_page(r) && asks_for_outcome(r))
        return refuse_lookup(r, NULL, IDEM_PROBLEM_LOOKUP_UNAVAILABLE);
    if (settings->status_header && !r->prev && idem_guards_method(settings, r->method)) {
        idem_status_unused(r, "engine-off");
        idem_expose_join(r);
    }
    return DECLINED;
}

static idem_txn *start_txn(request_rec *r, const idem_asked *asked)
{
    idem_txn *txn = idem_txn_create(r, idem_settings_of(r), idem_stores_front(r->server));
    const char *type = idem_header_joined(asked, "Content-Type", ", ");

    idem_txn_settle_at_end(txn);
    txn->lookup = idem_lookup_is_wanted(txn->settings, asked);
    txn->asked = *asked;
    txn->asked.content_type = type;
    if (type)
        txn->asked.boundary = idem_multipart_boundary(type, r->pool, &txn->asked.content_type);
    return txn;
}

/* The key is in the body, or the body is the key. */
static int read_for_key(idem_txn *txn, idem_finding *found)
{
    int status;

    txn->needs_body = 1;
    status = read_body(txn);
    if (status != OK)
        return status;
    idem_find_key(&txn->asked, txn->settings, found);
    if (found->is_request && idem_key_of_request(txn, &found->key) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    txn->is_own_key = found->is_request;
    return OK;
}

/* With a key, or with what is wrong with it. */
static int guard_found(idem_txn *txn, const idem_finding *found, const idem_way *way)
{
    idem_problem problem;

    txn->key = found->key;
    txn->came_by = way->members;
    if (found->status != APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_ERR, 53, "the key could not be looked up: %s",
                 found->detail ? found->detail : "unknown reason");
        return stop_unclaimed(txn, HTTP_INTERNAL_SERVER_ERROR);
    }
    if (found->problem != IDEM_PROBLEM_NONE)
        return refuse_early(txn, found->problem, found->detail);
    if (!found->key.data)
        return refuse_early(txn, IDEM_PROBLEM_KEY_MISSING, NULL);
    problem = txn->is_own_key ? IDEM_PROBLEM_NONE : idem_keyage_read(txn);
    if (problem != IDEM_PROBLEM_NONE)
        return refuse_early(txn, problem, txn->detail);
    return guard_request(txn, way);
}

static int is_unguarded(const idem_finding *found, const idem_settings *settings)
{
    return found->status == APR_SUCCESS && found->problem == IDEM_PROBLEM_NONE && !found->key.data &&
           !settings->require_key;
}

/* A request that would be guarded. Where the body has to tell, *txn has read it; *status is not OK if that failed. */
static int is_excepted(request_rec *r, const idem_asked *asked, idem_txn **txn, int *status)
{
    const idem_except_rule *rule = idem_settings_of(r)->except;
    idem_exception exception = idem_except(*txn ? &(*txn)->asked : asked, rule);

    *status = OK;
    if (exception == IDEM_EXCEPT_WANTS_BODY) {
        if (!*txn)
            *txn = start_txn(r, asked);
        (*txn)->needs_body = 1;
        *status = read_body(*txn);
        if (*status == OK)
            exception = idem_except(&(*txn)->asked, rule);
    }
    return exception == IDEM_EXCEPT_YES;
}

static int consider_request(request_rec *r)
{
    const idem_settings *settings = idem_settings_of(r);
    idem_asked asked;
    idem_finding found;
    idem_way way = {0};
    idem_txn *txn = NULL;
    int status, lookup;

    idem_asked_of(r, &asked);
    lookup = idem_lookup_is_wanted(settings, &asked);
    if (lookup && (settings->engine == IDEM_ENGINE_DETECTION || !idem_guards_method(settings, asked.method)))
        return refuse_lookup(r, NULL, IDEM_PROBLEM_LOOKUP_UNAVAILABLE);
    if (!idem_guards_method(settings, asked.method))
        return leave_unguarded(r, NULL, "method");
    asked.session_cookies = settings->session_cookies;
    asked.fingerprint = settings->fingerprint;
    idem_find_key(&asked, settings, &found);
    if (found.wants_body) {
        txn = start_txn(r, &asked);
        status = read_for_key(txn, &found);
        if (status != OK)
            return stop_unclaimed(txn, status);
    }
    if (is_unguarded(&found, settings) && !lookup)
        return leave_unguarded(r, txn, "no-key");
    if (is_excepted(r, &asked, &txn, &status))
        return lookup ? refuse_lookup(r, txn, IDEM_PROBLEM_LOOKUP_UNAVAILABLE) : leave_unguarded(r, txn, "except");
    if (status != OK)
        return stop_unclaimed(txn, status);
    if (found.key.data)
        idem_execution_read(r, idem_stores_front(r->server), found.key, &way);
    if (way.inside) /* a guard that knew of no execution has begun one for a client that only asks */
        return lookup ? refuse_lookup(r, txn, IDEM_PROBLEM_KEY_UNKNOWN) : pass_guarded(r, txn);
    return guard_found(txn ? txn : start_txn(r, &asked), &found, &way);
}

/* A later request of a chain that was decided. Whatever the decision was, the body read ahead is its handler's to
 * read. */
static int join_decided(idem_txn *txn, request_rec *r)
{
    if (txn->phase == IDEM_PHASE_RUNNING && txn->inside != r)
        return visit_handler(txn, r);
    if (txn->intake)
        idem_intake_join(txn, r);
    if (txn->unguarded)
        idem_execution_passes(r);
    return DECLINED;
}

int idem_gate(request_rec *r)
{
    idem_txn *txn;

    if (r->main)
        return DECLINED;
    txn = idem_txn_of(r);
    if (txn)
        return join_decided(txn, r);
    if (r->prev && idem_execution_passes(r))
        return DECLINED;
    if (idem_engine_of(r) == IDEM_ENGINE_OFF)
        return pass_by(r);
    idem_expose_join(r);
    if (is_error_page(r) || is_decided(r))
        return DECLINED;
    return idem_sent_is_keyless(r) ? idem_status_keyless(r) : consider_request(r);
}

int idem_gate_log(request_rec *r)
{
    idem_txn *txn = idem_txn_of(r);

    if (txn && txn->detecting && !txn->unguarded)
        idem_detect_end(txn);
    if (txn && !idem_child_is_copy())
        idem_keeper_request_ended();
    for (; txn && r; r = r->next)
        idem_txn_export_times(txn, r);
    return DECLINED;
}
