/*
 * txn.c - the transaction: found by pool, moved by the table, settled once.
 *
 * Called by the gate, the filters and the pool's cleanup. A failure of the store is logged here and nowhere else, since here
 * it is known what it means for the request. The pool's cleanup is the last resort for a request that ends without
 * anybody having settled it; it fires an event like everybody else.
 */
#include "txn.h"

#include "child.h"
#include "compare.h"
#include "intake.h"
#include "keeper.h"
#include "log.h"
#include "metrics.h"
#include "processes.h"
#include "quota.h"
#include "stores.h"
#include "threads.h"
#include "wakeup.h"

#include <apr_atomic.h>
#include <apr_escape.h>
#include <apr_strings.h>

#define TXN_KEY "mod_idempotency"
#define NO_MEMORY "libcrypto made no checksum or seal, for want of memory"

/* One line a second and child about a store in trouble: every refused request would say the same. */
static int may_log_store(void)
{
    static volatile apr_uint32_t last;
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t before = apr_atomic_read32(&last);

    return now != before && apr_atomic_cas32(&last, now, before) == before;
}

static void log_store(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    char text[120];
    int said = rv == IDEM_EDOWN; /* and it stays down until that has been said, too (outage.c, stores.c) */
    int level = !said && may_log_store() ? APLOG_WARNING : APLOG_INFO; /* the macro evaluates it more than once */

    IDEM_LOG(txn, level, 10, "store %s: %s failed: %s", idem_front_url(txn->front), what,
             why ? why : apr_strerror(rv, text, sizeof(text)));
}

/* Whatever still holds the slot says what it knows; a stopping child says it by dying. */
static void let_go(idem_txn *txn)
{
    if (idem_child_is_stopping())
        return; /* what is held is renewed no more: the process ends */
    if (txn->phase == IDEM_HOLDING && idem_txn_step(txn, IDEM_EV_GONE) == IDEM_DO_RELEASE)
        idem_txn_release(txn);
    else if (txn->phase == IDEM_RUNNING)
        idem_txn_settle(txn, IDEM_EV_GONE, NULL);
}

/* The request ends, and nothing about it changes any more. */
static apr_status_t txn_end(void *data)
{
    idem_txn *txn = data;

    if (txn->process != idem_this_process())
        return APR_SUCCESS; /* a copy of a request that goes on elsewhere */
    let_go(txn);
    idem_metrics_request(txn->detecting, txn->outcome, txn->settlement);
    return APR_SUCCESS;
}

idem_txn *idem_txn_of(request_rec *r)
{
    void *txn = NULL;

    apr_pool_userdata_get(&txn, TXN_KEY, r->pool);
    return txn;
}

idem_txn *idem_txn_create(request_rec *r, const idem_settings *settings, idem_front *front)
{
    idem_txn *txn = apr_pcalloc(r->pool, sizeof(*txn));

    txn->r = r;
    txn->settings = settings;
    txn->front = front;
    txn->ring = idem_stores_ring(r->server);
    txn->process = idem_this_process();
    txn->phase = IDEM_IDLE;
    txn->head.ttl = settings->ttl;
    txn->head.attempt = 1;
    txn->detecting = settings->engine == IDEM_ENGINE_DETECTION;
    txn->head.lease = idem_server_settings_of(r->server)->lease;
    apr_cpystrn(txn->slot_name, "-", sizeof(txn->slot_name));
    apr_pool_userdata_setn(txn, TXN_KEY, NULL, r->pool);
    apr_pool_pre_cleanup_register(r->pool, txn, txn_end);
    return txn;
}

static int holds(idem_phase phase)
{
    return phase >= IDEM_HOLDING && phase <= IDEM_SETTLING;
}

idem_action idem_txn_step(idem_txn *txn, idem_event event)
{
    idem_step step = idem_lease_step(txn->phase, event);

    IDEM_LOG(txn, APLOG_TRACE1, 1, "%s -> %s, %s", idem_event_name(event), idem_phase_name(step.next),
             idem_action_name(step.action));
    if (step.action == IDEM_DO_FAIL) {
        IDEM_LOG(txn, APLOG_CRIT, 2, "impossible event %s: please report this", idem_event_name(event));
        AP_DEBUG_ASSERT(0);
    }
    idem_metrics_change(IDEM_GAUGE_LEASES, holds(step.next) - holds(txn->phase));
    txn->phase = step.next;
    return step.action;
}

void idem_txn_set_slot(idem_txn *txn, const unsigned char slot[IDEM_SLOT_LEN])
{
    memcpy(txn->head.slot, slot, IDEM_SLOT_LEN);
    apr_snprintf(txn->slot_name, sizeof(txn->slot_name), "%02x%02x%02x%02x", slot[0], slot[1], slot[2], slot[3]);
}

/* Whatever was claimed is withdrawn once the store answers again. What was taken over goes back to being unknown. */
static void take_back(idem_txn *txn)
{
    idem_head head = txn->head;

    head.state = IDEM_UNKNOWN;
    if (head.attempt > 1)
        idem_keeper_settle_head(txn->front, &head);
    else
        idem_keeper_withdraw(txn->front, txn->head.slot, txn->head.token);
}

static idem_event store_trouble(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    log_store(txn, what, rv, why);
    txn->problem = IDEM_STORE_UNAVAILABLE;
    return IDEM_EV_STORE_DOWN;
}

/* Claim or takeover failed. Without an answer, or with one that does not say what happened, it may have been done. */
static idem_event lease_trouble(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    if (rv != IDEM_EDOWN && rv != IDEM_EDAMAGED && rv != IDEM_EFULL && rv != IDEM_ETOOBIG)
        take_back(txn);
    return store_trouble(txn, what, rv, why);
}

/* A key claimed here would be held for the child, which knows nothing of this process and lives on when it dies. */
static void tell_of_copy(idem_txn *txn)
{
    if (idem_child_is_copy() && idem_child_may_tell())
        IDEM_LOG(
            txn, APLOG_ERR, 171,
            "this request is served by a process that was forked from a child of httpd, which has no store: another "
            "module forks for requests, or a handler's fork() came back; guarded requests get 503 there");
}

idem_event idem_txn_claim(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_lease(txn->front, &txn->head);

    txn->claimed_at = idem_monotonic();
    if (rv == APR_SUCCESS)
        rv = idem_front_claim(txn->front, &txn->head, txn->r->pool, &txn->seen, &why);
    if (rv == APR_SUCCESS)
        return IDEM_EV_WON;
    if (rv == APR_EEXIST) {
        if (txn->seen.corrupt)
            IDEM_LOG(txn, APLOG_WARNING, 11, "the store holds an unusable value: %s", why ? why : "unknown reason");
        return idem_compare_found(txn);
    }
    tell_of_copy(txn);
    lease_trouble(txn, "claim", rv, why);
    return txn->settings->store_failure == IDEM_FAILURE_BYPASS && !txn->detecting ? IDEM_EV_STORE_BYPASS
                                                                                  : IDEM_EV_STORE_DOWN;
}

idem_event idem_txn_take_over(idem_txn *txn)
{
    unsigned char dead[IDEM_TOKEN_LEN];
    const char *why = NULL;
    apr_status_t rv = idem_front_lease(txn->front, &txn->head);

    memcpy(dead, txn->seen.head.token, sizeof(dead));
    txn->claimed_at = idem_monotonic();
    txn->head.attempt = txn->seen.head.attempt + 1;
    if (rv == APR_SUCCESS)
        rv = idem_front_takeover(txn->front, &txn->head, dead, txn->r->pool, &why);
    if (rv == APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_NOTICE, 12, "takes over from an owner that died or did not know its outcome, attempt %u",
                 txn->head.attempt);
        return IDEM_EV_WON;
    }
    if (rv != IDEM_ELOST && rv != IDEM_EALIVE && rv != APR_NOTFOUND)
        return lease_trouble(txn, "takeover", rv, why);
    txn->head.attempt = 1;
    return IDEM_EV_LOST;
}

idem_event idem_txn_start(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (idem_front_store(txn->front)->flags & IDEM_HOST_LOCAL)
        return IDEM_EV_STARTED;
    if (idem_monotonic() - txn->claimed_at > txn->head.lease / 2)
        rv = idem_front_renew(txn->front, &txn->head, txn->r->pool, &why);
    if (rv == IDEM_ELOST || rv == APR_NOTFOUND)
        return IDEM_EV_LOST;
    if (rv == APR_SUCCESS)
        rv = idem_renewer_hold(txn->front, &txn->head, &txn->held);
    if (rv == APR_SUCCESS)
        return IDEM_EV_STARTED;
    take_back(txn); /* it was won, and nothing has run */
    return store_trouble(txn, "renewal", rv, why);
}

/* The keeper goes on with what the store did not take; a tombstone is what remains if it holds too much already. */
static void hand_to_keeper(idem_txn *txn, idem_blob value)
{
    idem_head head = txn->head;
    idem_blob fallback = {NULL, 0};

    if (head.state == IDEM_RECORD)
        head.state = IDEM_TOMBSTONE;
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
        IDEM_LOG(txn, APLOG_WARNING, 17, "this response cannot be kept: its status or a field of it is malformed");
    else if (rv != IDEM_ETOOBIG)
        log_store(txn, "encoding", rv, NO_MEMORY);
}

static idem_event send_value(idem_txn *txn, idem_state state, const idem_response *response)
{
    idem_blob value = {NULL, 0};
    const char *why = NULL;
    apr_status_t rv;

    txn->head.state = state;
    rv = idem_front_encode(txn->front, &txn->head, response, txn->r->pool, &value);
    if (rv != APR_SUCCESS && state == IDEM_RECORD) {
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
    log_store(txn, "settle", rv, value.data ? why : NO_MEMORY);
    if (rv == IDEM_EFULL && state == IDEM_RECORD)
        return IDEM_EV_STORE_FULL;
    if (rv == IDEM_ETOOBIG && state == IDEM_RECORD)
        return IDEM_EV_TOO_BIG;
    hand_to_keeper(txn, value);
    return IDEM_EV_STORE_DOWN;
}

/* Gives the slot back. Not after a takeover: whoever had it before may have acted, and only UNKNOWN remembers that. */
static idem_event send_release(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv;

    if (txn->head.attempt > 1) {
        txn->settlement = "unknown";
        return send_value(txn, IDEM_UNKNOWN, NULL);
    }
    idem_quota_give_back(txn);
    rv = idem_front_release(txn->front, txn->head.slot, txn->head.token, txn->r->pool, &why);
    txn->settlement = "released";
    if (rv == IDEM_ELOST)
        return IDEM_EV_LOST;
    if (rv == APR_SUCCESS || rv == APR_NOTFOUND) {
        idem_wakeup_ring(txn->head.slot);
        return IDEM_EV_ACKED;
    }
    log_store(txn, "release", rv, why);
    idem_keeper_withdraw(txn->front, txn->head.slot, txn->head.token);
    return IDEM_EV_STORE_DOWN;
}

void idem_txn_release(idem_txn *txn)
{
    send_release(txn);
    txn->settlement = NULL; /* nothing was executed: there is no outcome that could have been settled */
}

/* What is known of the body goes into the head. A record that knows nothing of it would be given to requests with another one. */
static idem_event take_print(idem_txn *txn, idem_event event)
{
    apr_status_t rv = idem_intake_print(txn, &txn->head.print);

    if (rv == APR_SUCCESS || event != IDEM_EV_RECORDED)
        return event;
    log_store(txn, "encoding", rv, NO_MEMORY);
    return IDEM_EV_OVERSIZE;
}

/*
 * A handler forked, and its fork came back: two processes go on with one request. The one that claimed settles and answers, whatever the
 * other made. The connection is theirs together, so the other one is silent; httpd closes one that was aborted without a word.
 */
static idem_action be_silent(idem_txn *txn)
{
    txn->phase = IDEM_DONE;
    if (!txn->detecting)
        txn->r->connection->aborted = 1;
    return IDEM_DO_ANSWER;
}

idem_action idem_txn_settle(idem_txn *txn, idem_event event, const idem_response *response)
{
    idem_action action;

    if (txn->process != idem_this_process())
        return be_silent(txn);
    action = idem_txn_step(txn, take_print(txn, event));
    idem_renewer_drop(txn->held, action == IDEM_DO_SETTLE_RELEASE && txn->head.attempt == 1);
    txn->held = NULL;
    for (;;) {
        switch (action) {
        case IDEM_DO_SETTLE_RECORD:
            txn->settlement = "recorded";
            event = send_value(txn, IDEM_RECORD, response);
            break;
        case IDEM_DO_SETTLE_TOMBSTONE:
            txn->settlement = "tombstone";
            event = send_value(txn, IDEM_TOMBSTONE, NULL);
            break;
        case IDEM_DO_SETTLE_UNKNOWN:
            txn->settlement = "unknown";
            IDEM_LOG(txn, APLOG_NOTICE, 13, "the outcome of this request is unknown: it may have acted");
            event = send_value(txn, IDEM_UNKNOWN, NULL);
            break;
        case IDEM_DO_SETTLE_RELEASE: event = send_release(txn); break;
        case IDEM_DO_ANSWER_FROM_SLOT:
            txn->settlement = "lost";
            IDEM_LOG(txn, APLOG_WARNING, 14,
                     "the slot was given to another request meanwhile: this response is not kept");
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
        txn->problem = rv == APR_NOTFOUND ? IDEM_OUTCOME_UNKNOWN : IDEM_STORE_UNAVAILABLE;
    else if (txn->seen.corrupt || txn->seen.head.state == IDEM_UNKNOWN)
        txn->problem = IDEM_OUTCOME_UNKNOWN;
    else if (txn->seen.head.state == IDEM_LEASE)
        txn->problem = txn->seen.owner_dead ? IDEM_OUTCOME_UNKNOWN : IDEM_IN_PROGRESS;
    else
        txn->problem = txn->seen.head.state == IDEM_RECORD ? IDEM_PROBLEM_NONE : IDEM_RESPONSE_NOT_KEPT;
}

void idem_txn_outcome(idem_txn *txn, const char *outcome)
{
    if (!txn->outcome)
        txn->outcome = txn->detecting ? apr_pstrcat(txn->r->pool, "detected:", outcome, NULL) : outcome;
    idem_txn_export(txn, txn->r);
}

void idem_lease_export(request_rec *r, const idem_head *lease)
{
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SLOT", apr_pescape_hex(r->pool, lease->slot, 4, 0));
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_TOKEN", apr_pescape_hex(r->pool, lease->token, IDEM_TOKEN_LEN, 0));
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_ATTEMPT", apr_itoa(r->pool, (int)lease->attempt));
}

void idem_txn_export(const idem_txn *txn, request_rec *r)
{
    if (txn->outcome)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_OUTCOME", txn->outcome);
    if (txn->settlement)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SETTLEMENT", txn->settlement);
    if (txn->phase == IDEM_HOLDING || txn->phase == IDEM_RUNNING)
        idem_lease_export(r, &txn->head);
    else if (txn->slot_name[0] != '-')
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SLOT", txn->slot_name);
}
