/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renewer.c - one thread per child and shared store.
 *
 * Called by transactions when they win and settle a lease. A held lease is malloc'ed and has two owners: the request,
 * and the thread while it renews. The last one to let go frees it. A slot that the store lost is claimed again with the
 * owner's own token. Threads are detached and never joined, as the keeper's is not. Under an MPM without threads a
 * child has none before it holds a lease (threads.h).
 */
#include "renewer.h"

#include "keeper.h"
#include "log.h"
#include "notify.h"
#include "pools.h"
#include "stores.h"
#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <apr_ring.h>

#define SHORTEST_PAUSE apr_time_from_msec(50)

struct idem_held {
    APR_RING_ENTRY(idem_held) link;
    struct renewer_thread *renewer;
    idem_head lease;
    apr_interval_time_t due; /* monotonic: a clock that is set back would let the lease lapse */
    int late;                /* the last renewal failed */
    int renewing;            /* the thread is in the store for it, without the lock */
    int abandoned;           /* the request did not wait: the thread frees it */
    int given_back;          /* … and has released its lease: what the thread may have claimed since is withdrawn */
};

APR_RING_HEAD(held_ring, idem_held);

typedef struct renewer_thread {
    idem_front *front;
    server_rec *server;
    pthread_mutex_t lock; /* guards ring and what stands in it */
    pthread_cond_t changed;
    struct held_ring ring;
    int trouble; /* the last renewal failed: said once */
    int started;
} renewer_thread;

static renewer_thread *renewers;
static int renewer_count;
static atomic_int stop, busy;

/* A third of the lease: two renewals may fail before it lapses. */
static apr_interval_time_t renewal_period(const idem_held *held)
{
    return held->lease.lease / 3;
}

static void say_renewal(renewer_thread *renewer, const idem_held *held, apr_status_t rv, const char *why)
{
    int trouble = rv != APR_SUCCESS && rv != IDEM_ELOST;

    if (rv == IDEM_ELOST)
        IDEM_SLOG(renewer->server, APLOG_WARNING, 90, "store %s: a running request lost its lease %02x%02x%02x%02x",
                  idem_front_url(renewer->front), held->lease.slot[0], held->lease.slot[1], held->lease.slot[2],
                  held->lease.slot[3]);
    if (rv == IDEM_ELOST)
        idem_notify_post(IDEM_TELL_LOST, renewer->front, held->lease.slot, 0);
    if (trouble && !renewer->trouble)
        IDEM_SLOG(renewer->server, APLOG_WARNING, 91, "store %s: leases cannot be renewed: %s",
                  idem_front_url(renewer->front), why ? why : "unknown reason");
    renewer->trouble = trouble;
}

/* Has the request settled while the store was asked for it? */
static int is_abandoned(renewer_thread *renewer, const idem_held *held)
{
    int abandoned;

    pthread_mutex_lock(&renewer->lock);
    abandoned = held->abandoned;
    pthread_mutex_unlock(&renewer->lock);
    return abandoned;
}

/* In the store, without the lock; held cannot go away meanwhile. */
static apr_status_t renew_lease(renewer_thread *renewer, const idem_held *held)
{
    apr_pool_t *pool;
    const char *why = NULL;
    idem_seen seen;
    apr_status_t rv;

    if (idem_pool_alone(&pool) != APR_SUCCESS)
        return APR_ENOMEM;
    rv = idem_front_renew(renewer->front, &held->lease, pool, &why);
    /* The store lost it: nobody else has it yet, or claim says who. Where the request is over that is as it should
     * be. */
    if (rv == APR_NOTFOUND && !is_abandoned(renewer, held))
        rv = idem_front_claim(renewer->front, &held->lease, pool, &seen, &why);
    if (rv == APR_EEXIST)
        rv = IDEM_ELOST;
    say_renewal(renewer, held, rv, why);
    apr_pool_destroy(pool);
    return rv;
}

/* Who ends the child sets stop, and waits for who is inside. */
static apr_status_t renew_unless_ending(renewer_thread *renewer, const idem_held *held)
{
    apr_status_t rv = APR_SUCCESS;

    atomic_fetch_add(&busy, 1);
    if (!atomic_load(&stop))
        rv = renew_lease(renewer, held);
    atomic_fetch_sub(&busy, 1);
    return rv;
}

static idem_held *next_due(renewer_thread *renewer, apr_interval_time_t now, apr_interval_time_t *wake)
{
    for (idem_held *held = APR_RING_FIRST(&renewer->ring); held != APR_RING_SENTINEL(&renewer->ring, idem_held, link);
         held = APR_RING_NEXT(held, link)) {
        if (held->due <= now)
            return held;
        if (held->due < *wake)
            *wake = held->due;
    }
    return NULL;
}

/* A claim that was under way when the request released its lease may have come after that: nobody would ever settle
 * it. */
static void end_abandoned(renewer_thread *renewer, idem_held *held)
{
    if (held->given_back)
        idem_keeper_withdraw(renewer->front, held->lease.slot, held->lease.token);
    free(held);
}

static void finish_renewal(renewer_thread *renewer, idem_held *held, apr_status_t rv)
{
    held->renewing = 0;
    if (held->abandoned) {
        end_abandoned(renewer, held);
        return;
    }
    held->due =
        idem_monotonic() + (rv == APR_SUCCESS ? renewal_period(held) : renewal_period(held) / 4 + SHORTEST_PAUSE);
    held->late = rv != APR_SUCCESS && rv != IDEM_ELOST;
    if (rv == IDEM_ELOST)
        held->due = APR_INT64_MAX; /* settling will say so to the request */
    APR_RING_INSERT_TAIL(&renewer->ring, held, idem_held, link);
    pthread_cond_broadcast(&renewer->changed);
}

static void *run_renewer(void *data)
{
    renewer_thread *renewer = data;

    pthread_mutex_lock(&renewer->lock);
    while (!atomic_load(&stop)) {
        apr_interval_time_t now = idem_monotonic(), wake = now + apr_time_from_sec(1);
        idem_held *held = next_due(renewer, now, &wake);
        apr_status_t rv;

        if (!held) {
            idem_cond_wait(&renewer->changed, &renewer->lock, wake);
            continue;
        }
        APR_RING_REMOVE(held, link);
        held->renewing = 1;
        pthread_mutex_unlock(&renewer->lock);
        rv = renew_unless_ending(renewer, held);
        pthread_mutex_lock(&renewer->lock);
        finish_renewal(renewer, held, rv);
    }
    pthread_mutex_unlock(&renewer->lock);
    return NULL;
}

/* The lock is held. 0, or why there is none; the next lease tries again. */
static int start_if_needed(renewer_thread *renewer)
{
    int failed = renewer->started ? 0 : idem_thread_start(run_renewer, renewer, 0);

    renewer->started = !failed;
    if (failed)
        IDEM_SLOG(renewer->server, APLOG_ERR, 92, "cannot start the thread that renews leases on %s (%d)",
                  idem_front_url(renewer->front), failed);
    return failed;
}

static renewer_thread *renewer_of(const idem_front *front)
{
    for (int i = 0; i < renewer_count; i++)
        if (renewers[i].front == front)
            return &renewers[i];
    return NULL;
}

apr_status_t idem_renewer_hold(idem_front *front, const idem_head *lease, idem_held **out)
{
    renewer_thread *renewer = renewer_of(front);
    idem_held *held;
    int failed;

    *out = NULL;
    if (!renewer)
        return APR_SUCCESS;
    held = calloc(1, sizeof(*held));
    if (!held)
        return APR_ENOMEM;
    held->renewer = renewer;
    held->lease = *lease;
    held->due = idem_monotonic() + renewal_period(held);
    pthread_mutex_lock(&renewer->lock);
    failed = start_if_needed(renewer);
    if (!failed) {
        APR_RING_INSERT_TAIL(&renewer->ring, held, idem_held, link);
        pthread_cond_broadcast(&renewer->changed);
        *out = held;
    }
    pthread_mutex_unlock(&renewer->lock);
    if (failed)
        free(held);
    return APR_FROM_OS_ERROR(failed);
}

void idem_renewer_drop(idem_held *held, int given_back)
{
    renewer_thread *renewer = held ? held->renewer : NULL;
    apr_interval_time_t limit;

    if (!held)
        return;
    limit = idem_monotonic() + idem_front_timeout(renewer->front);
    pthread_mutex_lock(&renewer->lock);
    while (held->renewing && idem_cond_wait(&renewer->changed, &renewer->lock, limit) == 0)
        ;
    held->given_back = given_back;
    if (held->renewing)
        held->abandoned = 1;
    else {
        APR_RING_REMOVE(held, link);
        free(held);
    }
    pthread_mutex_unlock(&renewer->lock);
}

void idem_renewer_hurry(const idem_front *front)
{
    renewer_thread *renewer = renewer_of(front);

    if (!renewer || atomic_load(&stop))
        return;
    pthread_mutex_lock(&renewer->lock);
    for (idem_held *held = APR_RING_FIRST(&renewer->ring); held != APR_RING_SENTINEL(&renewer->ring, idem_held, link);
         held = APR_RING_NEXT(held, link))
        if (held->late)
            held->due = 0;
    pthread_cond_broadcast(&renewer->changed);
    pthread_mutex_unlock(&renewer->lock);
}

void idem_renewer_stop(void)
{
    atomic_store(&stop, 1);
}

int idem_renewer_ending(void)
{
    return atomic_load(&stop) && atomic_load(&busy) > 0;
}

void idem_renewer_start(apr_pool_t *pchild, server_rec *s)
{
    const apr_array_header_t *fronts = idem_stores_all();

    (void)pchild; /* the threads outlive it by a moment: what they touch is not its memory */
    renewers = calloc((size_t)fronts->nelts + 1, sizeof(*renewers));
    if (!renewers)
        abort();
    for (int i = 0; i < fronts->nelts; i++) {
        idem_front *front = APR_ARRAY_IDX(fronts, i, idem_front *);
        renewer_thread *renewer = &renewers[renewer_count];

        if (idem_front_store(front)->flags & IDEM_HOST_LOCAL)
            continue;
        renewer_count++;
        renewer->front = front;
        renewer->server = s;
        APR_RING_INIT(&renewer->ring, idem_held, link);
        pthread_mutex_init(&renewer->lock, NULL);
        idem_cond_init(&renewer->changed);
    }
}
