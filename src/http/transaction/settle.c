/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.c - how a lease ends: a record, a tombstone, an unknown outcome, or the slot given back.
 *
 * Called by conclude.c and the gate, and by the cleanup of the request's pool: the last resort for a request that ends
 * without anybody having settled it. It fires an event like everybody else. What always holds: what the store did not
 * take goes to the keeper.
 */
#include "settle.h"

#include "child.h"
#include "intake.h"
#include "keeper.h"
#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "processes.h"
#include "quota.h"
#include "recent.h"
#include "repeats.h"
#include "wakeup.h"

#define NO_MEMORY "no memory for the checksum or the seal"

/* The keeper goes on with a settlement that the store did not take. If it holds too much already, a tombstone
 * remains. */
static void hand_to_keeper(idem_txn *txn, idem_blob value)
{
    idem_head head = txn->head;
    idem_blob fallback = {NULL, 0};

    if (head.state == IDEM_STATE_RECORD)
        head.state = IDEM_STATE_TOMBSTONE;
    if (!value.data) {
        idem_keeper_settle_head(txn->front, &head);
        return;
    }
    idem_front_encode(txn->front, &head, NULL, txn->r->pool, &fallback);
    idem_keeper_settle(txn->front, &txn->head, value, fallback);
}

static int slot_is_empty(idem_txn *txn)
{
    const char *why = NULL;
    idem_seen seen;

    return idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &seen, &why) == APR_NOTFOUND;
}

/* Why no record could be made of a response. */
static void say_unfit(idem_txn *txn, apr_status_t rv)
{
    if (rv == APR_EINVAL)
        IDEM_LOG(txn, APLOG_WARNING, 17,
                 "this response cannot be kept: its status or one of its header fields is malformed");
    else if (rv != IDEM_ETOOBIG)
        idem_txn_log_store(txn, "encoding", rv, NO_MEMORY);
}

static idem_event send_value(idem_txn *txn, idem_state state, const idem_response *response)
{
    idem_blob value = {NULL, 0};
    const char *why = NULL;
    apr_status_t rv;

    txn->head.state = state;
    rv = idem_front_encode(txn->front, &txn->head, response, txn->r->pool, &value);
    if (rv != APR_SUCCESS && state == IDEM_STATE_RECORD) {
        say_unfit(txn, rv);
        return IDEM_EV_TOO_BIG;
    }
    if (rv == APR_SUCCESS)
        rv = idem_front_settle(txn->front, value, txn->r->pool, &why);
    if (rv == IDEM_ELOST && slot_is_empty(txn)) /* whoever had it is gone again: ours is the only outcome there is */
        rv = idem_front_settle(txn->front, value, txn->r->pool, &why);
    if (rv == APR_SUCCESS) {
        idem_wakeup_ring(txn->head.slot);
        return IDEM_EV_ACKED;
    }
    if (rv == IDEM_ELOST)
        return IDEM_EV_LOST;
    idem_txn_log_store(txn, "settle", rv, value.data ? why : NO_MEMORY);
    if (rv == IDEM_EFULL && state == IDEM_STATE_RECORD)
        return IDEM_EV_STORE_FULL;
    if (rv == IDEM_ETOOBIG && state == IDEM_STATE_RECORD)
        return IDEM_EV_TOO_BIG;
    hand_to_keeper(txn, value);
    return IDEM_EV_STORE_DOWN;
}

/* Gives the slot back. Not after a takeover: the owner before may have acted, and only UNKNOWN remembers that. */
static idem_event send_release(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv;

    if (txn->head.attempt > 1) {
        txn->settlement = IDEM_SETTLEMENT_UNKNOWN;
        return send_value(txn, IDEM_STATE_UNKNOWN, NULL);
    }
    idem_quota_give_back(txn);
    rv = idem_front_release(txn->front, txn->head.slot, txn->head.token, txn->r->pool, &why);
    txn->settlement = IDEM_SETTLEMENT_RELEASED;
    if (rv == IDEM_ELOST)
        return IDEM_EV_LOST;
    if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
        idem_wakeup_ring(txn->head.slot);
        return IDEM_EV_ACKED;
    }
    idem_txn_log_store(txn, "release", rv, why);
    idem_keeper_withdraw(txn->front, txn->head.slot, txn->head.token);
    return IDEM_EV_STORE_DOWN;
}

void idem_txn_release(idem_txn *txn)
{
    idem_txn_store_begins(txn);
    send_release(txn);
    idem_txn_store_ends(txn);
    txn->settlement = IDEM_SETTLEMENT_NONE; /* nothing was executed: there is no outcome that could have been settled */
}

/* What is known of the body goes into the head. A record that knows nothing of it would be given to requests with
 * another one. */
static idem_event take_body_print(idem_txn *txn, idem_event event)
{
    apr_status_t rv = idem_intake_print(txn, &txn->head.print);

    if (rv == APR_SUCCESS || event != IDEM_EV_RECORDED)
        return event;
    idem_txn_log_store(txn, "encoding", rv, NO_MEMORY);
    return IDEM_EV_OVERSIZE;
}

/*
 * A handler forked, and its fork came back: two processes go on with one request. The one that claimed settles and
 * answers, whatever the other made. The connection is theirs together, so the other one is silent; httpd closes one
 * that was aborted without a word.
 */
static idem_action be_silent(idem_txn *txn)
{
    txn->phase = IDEM_PHASE_DONE;
    if (!txn->detecting)
        txn->r->connection->aborted = 1;
    return IDEM_DO_ANSWER;
}

idem_action idem_txn_settle(idem_txn *txn, idem_event event, const idem_response *response)
{
    idem_action action;

    if (txn->process != idem_this_process())
        return be_silent(txn);
    idem_txn_store_begins(txn);
    action = idem_txn_step(txn, take_body_print(txn, event));
    idem_renewer_drop(txn->held, action == IDEM_DO_SETTLE_RELEASE && txn->head.attempt == 1);
    txn->held = NULL;
    for (;;) {
        switch (action) {
        case IDEM_DO_SETTLE_RECORD:
            txn->settlement = IDEM_SETTLEMENT_RECORDED;
            event = send_value(txn, IDEM_STATE_RECORD, response);
            break;
        case IDEM_DO_SETTLE_TOMBSTONE:
            txn->settlement = IDEM_SETTLEMENT_TOMBSTONE;
            event = send_value(txn, IDEM_STATE_TOMBSTONE, NULL);
            break;
        case IDEM_DO_SETTLE_UNKNOWN:
            txn->settlement = IDEM_SETTLEMENT_UNKNOWN;
            IDEM_LOG(txn, APLOG_NOTICE, 13, "the outcome of this request is unknown: it may have acted");
            idem_notify_post(IDEM_TELL_UNKNOWN, txn->front, txn->head.slot, 0);
            event = send_value(txn, IDEM_STATE_UNKNOWN, NULL);
            break;
        case IDEM_DO_SETTLE_RELEASE: event = send_release(txn); break;
        case IDEM_DO_ANSWER_FROM_SLOT:
            txn->settlement = IDEM_SETTLEMENT_LOST;
            IDEM_LOG(txn, APLOG_WARNING, 14,
                     "the store gave this request's slot to another request: this response is not kept");
            idem_notify_post(IDEM_TELL_LOST, txn->front, txn->head.slot, 0);
            return action;
        default: return action;
        }
        action = idem_txn_step(txn, event);
    }
}

void idem_txn_look_again(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why);

    if (rv != APR_SUCCESS)
        txn->problem = rv == APR_NOTFOUND ? IDEM_PROBLEM_OUTCOME_UNKNOWN : IDEM_PROBLEM_STORE_UNAVAILABLE;
    else if (txn->seen.corrupt || txn->seen.head.state == IDEM_STATE_UNKNOWN)
        txn->problem = IDEM_PROBLEM_OUTCOME_UNKNOWN;
    else if (txn->seen.head.state == IDEM_STATE_LEASE)
        txn->problem = txn->seen.owner_dead ? IDEM_PROBLEM_OUTCOME_UNKNOWN : IDEM_PROBLEM_IN_PROGRESS;
    else
        txn->problem = txn->seen.head.state == IDEM_STATE_RECORD ? IDEM_PROBLEM_NONE : IDEM_PROBLEM_RESPONSE_NOT_KEPT;
    idem_txn_store_ends(txn);
}

/* ---- the end of the request -------------------------------------------------------------------------------------- */

/* A transaction that still holds the slot settles it now. In a stopping child the child's death does that. */
static void settle_what_is_held(idem_txn *txn)
{
    if (idem_child_is_stopping())
        return; /* what is held is renewed no more: the process ends */
    if (txn->phase == IDEM_PHASE_HOLDING && idem_txn_step(txn, IDEM_EV_GONE) == IDEM_DO_RELEASE)
        idem_txn_release(txn);
    else if (txn->phase == IDEM_PHASE_RUNNING)
        idem_txn_settle(txn, IDEM_EV_GONE, NULL);
}

static void count_request(const idem_txn *txn)
{
    idem_metrics_request(txn->detecting, txn->outcome, txn->settlement);
    idem_recent_note(txn->slot_name[0] != '-' ? txn->head.slot : NULL, txn->detecting, txn->outcome, txn->settlement);
}

/* The request ends, and nothing about it changes any more. */
static apr_status_t txn_end(void *data)
{
    idem_txn *txn = data;

    if (txn->process != idem_this_process())
        return APR_SUCCESS; /* a copy of a request that goes on elsewhere */
    settle_what_is_held(txn);
    if (!txn->unguarded)
        count_request(txn);
    if (!txn->detecting && txn->seen.head.state && txn->outcome != IDEM_OUTCOME_EXECUTED)
        idem_repeats_note(txn->front, txn->head.slot, txn->outcome == IDEM_OUTCOME_REPLAYED);
    return APR_SUCCESS;
}

void idem_txn_settle_at_end(idem_txn *txn)
{
    apr_pool_pre_cleanup_register(txn->r->pool, txn, txn_end);
}
