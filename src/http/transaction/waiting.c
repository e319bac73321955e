/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting.c - a duplicate waits for the outcome of the request that has its slot.
 *
 * Called by the gate. In its own process a waiter is woken when the owner settles (wakeup.c); for an owner in another
 * process it looks with growing pauses.
 */
#include "waiting.h"

#include "compare.h"
#include "log.h"
#include "threads.h"
#include "wakeup.h"

#include <util_filter.h>

#define FIRST_PAUSE apr_time_from_msec(10)
#define LONGEST_PAUSE apr_time_from_msec(150)
#define CLIENT_LOOK apr_time_from_msec(250) /* how often at least a waiter asks whether its client is still there */

/*
 * HTTP/2 says so itself. On HTTP/1 a read that does not wait fails if the connection was reset. A connection that the
 * client closed only for sending looks the same as one it left, and still gets its answer.
 */
int idem_client_gone(request_rec *r)
{
    conn_rec *c = r->connection;
    apr_bucket_brigade *bb;
    apr_pool_t *pool;
    apr_status_t rv;

    if (c->aborted || c->master)
        return c->aborted != 0;
    apr_pool_create(&pool, r->pool); /* it is asked again and again */
    bb = apr_brigade_create(pool, c->bucket_alloc);
    rv = ap_get_brigade(c->input_filters, bb, AP_MODE_SPECULATIVE, APR_NONBLOCK_READ, 1);
    apr_pool_destroy(pool);
    return APR_STATUS_IS_ECONNRESET(rv) || APR_STATUS_IS_EPIPE(rv) || APR_STATUS_IS_ECONNABORTED(rv);
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

/* One look at the slot; what it sees lives in pool. BUSY_WAIT: the owner is still at it. */
static idem_event look_once(idem_txn *txn, apr_pool_t *pool)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_fetch(txn->front, txn->head.slot, pool, &txn->seen, &why);
    int level;

    if (rv == APR_NOTFOUND)
        return IDEM_EV_RELEASED;
    if (rv == APR_SUCCESS)
        return idem_compare_found(txn);
    level = rv == IDEM_EDOWN ? APLOG_INFO : APLOG_WARNING; /* that has been said, for everybody (outage.c) */
    IDEM_LOG(txn, level, 15, "the store does not answer a waiting request: %s", why ? why : "unknown reason");
    txn->problem = IDEM_PROBLEM_STORE_UNAVAILABLE;
    return IDEM_EV_STORE_DOWN;
}

static idem_event wait_for_change(idem_txn *txn)
{
    apr_interval_time_t pause = FIRST_PAUSE;
    apr_interval_time_t next_look_at_client = 0;
    apr_pool_t *seen;

    apr_pool_create(&seen, txn->r->pool); /* of one look: thousands may be needed; the last one's is kept */
    for (;;) {
        apr_uint32_t rings = idem_wakeup_rings(txn->head.slot);
        apr_interval_time_t now;
        idem_event event;

        apr_pool_clear(seen);
        event = look_once(txn, seen);
        if (event != IDEM_EV_BUSY_WAIT)
            return event;
        now = idem_monotonic();
        if (now >= txn->wait_until) {
            txn->problem = IDEM_PROBLEM_IN_PROGRESS;
            return IDEM_EV_TIMEOUT;
        }
        if (now >= next_look_at_client) {
            if (idem_client_gone(txn->r))
                return IDEM_EV_GONE;
            next_look_at_client = now + CLIENT_LOOK;
        }
        idem_wakeup_sleep(txn->head.slot, rings, pause < txn->wait_until - now ? pause : txn->wait_until - now);
        pause = pause * 3 / 2 < LONGEST_PAUSE ? pause * 3 / 2 : LONGEST_PAUSE;
    }
}

idem_event idem_wait(idem_txn *txn)
{
    volatile apr_uint32_t *place = idem_place_take();
    apr_interval_time_t began = idem_monotonic();
    idem_event event;

    if (!place) {
        IDEM_LOG(txn, APLOG_INFO, 16, "too many requests wait already (IdempotencyMaxWaiters)");
        txn->problem = IDEM_PROBLEM_IN_PROGRESS;
        return IDEM_EV_WAITERS_FULL;
    }
    if (!txn->wait_until)
        txn->wait_until = began + txn->settings->wait;
    event = wait_for_change(txn);
    txn->waited += idem_monotonic() - began;
    idem_place_leave(place);
    return event;
}
