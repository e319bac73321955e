/*
 * waiting.c - the waiting, and its bounds.
 *
 * Called by the gate for a duplicate, by transactions and keeper when a slot is settled.
 *
 * The server-wide bound is a table of process numbers in shared memory, one entry a waiter. A child that dies leaves its entries
 * behind; they are taken back by whoever finds the table full and the process gone. Waiters of one child sleep on one of a
 * few condition variables, chosen by slot: a wrong wake-up costs one look at the store.
 */
#include "waiting.h"

#include "compare.h"
#include "log.h"
#include "metrics.h"
#include "processes.h"
#include "threads.h"

#include <ap_mpm.h>
#include <apr_atomic.h>
#include <apr_shm.h>
#include <util_filter.h>

#define BELLS 64
#define FIRST_PAUSE apr_time_from_msec(10)
#define LONGEST_PAUSE apr_time_from_msec(150)
#define CLIENT_LOOK apr_time_from_msec(250) /* how often at least a waiter asks whether its client is still there */

typedef struct wake_bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    apr_uint32_t rings; /* guarded by lock: a ring between looking and sleeping is not missed */
} wake_bell;

static wake_bell bells[BELLS];
static volatile apr_uint32_t *places; /* shared: the waiters' processes, 0 for free */
static apr_uint32_t place_count;
static apr_uint32_t child_limit;
static volatile apr_uint32_t waiting_here;

/* ---- bounds --------------------------------------------------------------------------------------------------------- */

static apr_uint32_t mpm_number(int query)
{
    int n = 0;

    return ap_mpm_query(query, &n) == APR_SUCCESS && n > 0 ? (apr_uint32_t)n : 1;
}

apr_status_t idem_waiters_open(apr_pool_t *pconf, apr_int64_t most)
{
    apr_uint32_t threads = mpm_number(AP_MPMQ_MAX_THREADS), workers = threads * mpm_number(AP_MPMQ_MAX_DAEMONS);
    apr_shm_t *shm;
    apr_status_t rv;

    place_count = most > 0 ? (apr_uint32_t)most : (workers + 3) / 4;
    child_limit = (apr_uint32_t)(((apr_uint64_t)place_count * threads + workers - 1) / workers);
    rv = apr_shm_create(&shm, place_count * sizeof(*places), NULL, pconf);
    if (rv != APR_SUCCESS)
        return rv;
    places = apr_shm_baseaddr_get(shm);
    for (apr_uint32_t i = 0; i < place_count; i++)
        apr_atomic_set32(&places[i], 0);
    return APR_SUCCESS;
}

void idem_waiters_attach(void)
{
    for (int i = 0; i < BELLS; i++) {
        pthread_mutex_init(&bells[i].lock, NULL);
        idem_cond_init(&bells[i].rung);
    }
}

static volatile apr_uint32_t *take_place(void)
{
    apr_uint32_t me = idem_this_process();

    for (apr_uint32_t i = 0; i < place_count; i++)
        if (apr_atomic_cas32(&places[i], me, 0) == 0)
            return &places[i];
    for (apr_uint32_t i = 0; i < place_count; i++) {
        apr_uint32_t there = apr_atomic_read32(&places[i]);

        if (there && idem_process_gone(there) && apr_atomic_cas32(&places[i], me, there) == there)
            return &places[i];
    }
    return NULL;
}

static volatile apr_uint32_t *enter(void)
{
    volatile apr_uint32_t *place = NULL;

    if (apr_atomic_inc32(&waiting_here) < child_limit && places)
        place = take_place();
    if (place)
        idem_metrics_change(IDEM_GAUGE_WAITERS, 1);
    else
        apr_atomic_dec32(&waiting_here);
    return place;
}

static void leave(volatile apr_uint32_t *place)
{
    apr_atomic_set32(place, 0);
    apr_atomic_dec32(&waiting_here);
    idem_metrics_change(IDEM_GAUGE_WAITERS, -1);
}

/* ---- waking --------------------------------------------------------------------------------------------------------- */

static wake_bell *bell_of(const unsigned char *slot)
{
    return &bells[slot[0] % BELLS];
}

void idem_waiters_notify(const unsigned char slot[IDEM_SLOT_LEN])
{
    wake_bell *bell = bell_of(slot);

    if (!apr_atomic_read32(&waiting_here))
        return;
    pthread_mutex_lock(&bell->lock);
    bell->rings++;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

static apr_uint32_t rings_of(wake_bell *bell)
{
    apr_uint32_t rings;

    pthread_mutex_lock(&bell->lock);
    rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

static void sleep_at(wake_bell *bell, apr_uint32_t rings, apr_interval_time_t pause)
{
    pthread_mutex_lock(&bell->lock);
    if (bell->rings == rings)
        idem_cond_wait(&bell->rung, &bell->lock, idem_monotonic() + pause);
    pthread_mutex_unlock(&bell->lock);
}

/*
 * HTTP/2 says so itself. On HTTP/1 a connection that was reset fails a read that does not wait; one that the client merely
 * closed for sending looks like one it left, and must still be answered.
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

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

/* One look at the slot; what it sees lives in pool. BUSY_WAIT: the owner is still at it. */
static idem_event look(idem_txn *txn, apr_pool_t *pool)
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
    txn->problem = IDEM_STORE_UNAVAILABLE;
    return IDEM_EV_STORE_DOWN;
}

static idem_event wait_for_change(idem_txn *txn)
{
    wake_bell *bell = bell_of(txn->head.slot);
    apr_interval_time_t pause = FIRST_PAUSE;
    apr_interval_time_t next_look_at_client = 0;
    apr_pool_t *seen;

    apr_pool_create(&seen, txn->r->pool); /* of one look: thousands may be needed; the last one's is kept */
    for (;;) {
        apr_uint32_t rings = rings_of(bell);
        apr_interval_time_t now;
        idem_event event;

        apr_pool_clear(seen);
        event = look(txn, seen);
        if (event != IDEM_EV_BUSY_WAIT)
            return event;
        now = idem_monotonic();
        if (now >= txn->wait_until) {
            txn->problem = IDEM_IN_PROGRESS;
            return IDEM_EV_TIMEOUT;
        }
        if (now >= next_look_at_client) {
            if (idem_client_gone(txn->r))
                return IDEM_EV_GONE;
            next_look_at_client = now + CLIENT_LOOK;
        }
        sleep_at(bell, rings, pause < txn->wait_until - now ? pause : txn->wait_until - now);
        pause = pause * 3 / 2 < LONGEST_PAUSE ? pause * 3 / 2 : LONGEST_PAUSE;
    }
}

idem_event idem_wait(idem_txn *txn)
{
    volatile apr_uint32_t *place = enter();
    idem_event event;

    if (!place) {
        IDEM_LOG(txn, APLOG_INFO, 16, "too many requests wait already (IdempotencyMaxWaiters)");
        txn->problem = IDEM_IN_PROGRESS;
        return IDEM_EV_WAITERS_FULL;
    }
    if (!txn->wait_until)
        txn->wait_until = idem_monotonic() + txn->settings->wait;
    event = wait_for_change(txn);
    leave(place);
    return event;
}
