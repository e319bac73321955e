/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the workers of a process that wait for their next call.
 *
 * The dbd driver calls it, from any thread. There are never more workers in use than threads in the store at once, and
 * the server's configuration bounds these. A thread uses one worker at a time, and takes a waiting one before it makes
 * a new one. If fewer are allowed (connections=), a thread waits for its turn until its deadline. (An apr_reslist is
 * cleaned up with the child's pool. prefork does that inside a signal handler, and the list aborts if one of it is in
 * use then.) What always holds: a worker that was left is in no list. The lock guards only changes of links. Limits:
 * workers beyond the present need are closed one at a time, as calls end. The connection of an abandoned worker is not
 * counted while it is being closed.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <stdlib.h>

#define IDLE_MOST apr_time_from_sec(60)

typedef struct waiting {
    idem_dbd_worker *worker;
    apr_interval_time_t since; /* of idem_monotonic() */
} waiting;

struct idem_dbd_pool {
    idem_dbd_access *access;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    waiting *list; /* the longest waiting first */
    int count, room;
    int in_use;
};

apr_status_t idem_dbd_pool_start(idem_dbd_access *access, idem_dbd_pool **out)
{
    idem_dbd_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return APR_ENOMEM;
    pool->access = access;
    pthread_mutex_init(&pool->lock, NULL);
    idem_cond_init(&pool->returned);
    *out = pool;
    return APR_SUCCESS;
}

void idem_dbd_pool_stop(idem_dbd_pool *pool)
{
    while (pool->count > 0)
        idem_dbd_worker_close(pool->list[--pool->count].worker, 1);
    pthread_mutex_destroy(&pool->lock);
    pthread_cond_destroy(&pool->returned);
    free(pool->list);
    idem_dbd_access_done(pool->access);
    free(pool);
}

/* The lock is held. */
static int is_allowed(const idem_dbd_pool *pool)
{
    int most = pool->access->config.connections;
    return most == 0 || pool->in_use < most;
}

static apr_status_t take_worker(idem_dbd_pool *pool, const idem_call *call, idem_dbd_worker **worker)
{
    apr_interval_time_t until = idem_monotonic() + (call->deadline - apr_time_now());
    apr_status_t rv = APR_SUCCESS;

    *worker = NULL;
    pthread_mutex_lock(&pool->lock);
    while (!is_allowed(pool) && rv == APR_SUCCESS)
        rv = idem_cond_wait(&pool->returned, &pool->lock, until) == 0 ? APR_SUCCESS : APR_TIMEUP;
    if (rv == APR_SUCCESS) {
        pool->in_use++;
        if (pool->count > 0)
            *worker = pool->list[--pool->count].worker; /* the latest used */
    }
    pthread_mutex_unlock(&pool->lock);
    return rv == APR_SUCCESS && !*worker ? idem_dbd_worker_open(pool->access, worker) : rv;
}

/* A worker is not in use any more: given back, left, or never made. */
static void end_use(idem_dbd_pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->in_use--;
    pthread_cond_signal(&pool->returned);
    pthread_mutex_unlock(&pool->lock);
}

/* The lock is held. One that has waited too long leaves the list. */
static idem_dbd_worker *unneeded_worker(idem_dbd_pool *pool)
{
    idem_dbd_worker *first;

    if (pool->count == 0 || idem_monotonic() - pool->list[0].since < IDLE_MOST)
        return NULL;
    first = pool->list[0].worker;
    memmove(pool->list, pool->list + 1, sizeof(*pool->list) * (size_t)--pool->count);
    return first;
}

/* gcc 12 forgets, from here on, that what pool->list is given is kept. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* The lock is held. A place for one more; NULL if there is no memory. */
static waiting *waiting_place(idem_dbd_pool *pool)
{
    if (pool->count == pool->room) {
        waiting *list = realloc(pool->list, sizeof(*list) * (size_t)(pool->room + 16));
        if (!list)
            return NULL;
        pool->list = list;
        pool->room += 16;
    }
    return &pool->list[pool->count++];
}

static void give_worker(idem_dbd_pool *pool, idem_dbd_worker *worker)
{
    idem_dbd_worker *surplus;
    waiting *last;

    pthread_mutex_lock(&pool->lock);
    surplus = unneeded_worker(pool);
    last = waiting_place(pool);
    if (last)
        *last = (waiting){worker, idem_monotonic()};
    pthread_mutex_unlock(&pool->lock);
    if (surplus)
        idem_dbd_worker_close(surplus, 0);
    if (!last)
        idem_dbd_worker_close(worker, 0);
}

static apr_status_t no_worker(const idem_dbd *store, idem_call *call, apr_status_t status)
{
    const char *title = store->config.engine->title;

    if (status == APR_TIMEUP)
        call->why = apr_psprintf(call->pool, "all connections to %s stayed in use until the deadline", title);
    else if (status == APR_EBUSY)
        call->why = apr_psprintf(call->pool, "too many connections to %s hang", title);
    else
        call->why = apr_psprintf(call->pool, "cannot start a thread for a connection to %s", title);
    return status;
}

apr_status_t idem_dbd_run(idem_dbd *store, idem_call *call, idem_dbd_order *order)
{
    idem_dbd_worker *worker;
    int left;
    apr_status_t rv;

    if (apr_time_now() >= call->deadline)
        return APR_TIMEUP;
    rv = take_worker(store->workers, call, &worker);
    if (rv == APR_TIMEUP)
        return no_worker(store, call, rv);
    if (rv == APR_SUCCESS) {
        rv = idem_dbd_worker_ask(worker, call, order, &left);
        if (!left)
            give_worker(store->workers, worker);
    }
    else
        rv = no_worker(store, call, rv);
    end_use(store->workers);
    return rv;
}
