/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.c - the connections of a process that wait for their next call.
 *
 * Called by the redis driver, from any thread. There are never more connections than threads in the store at once: a
 * thread uses one at a time, and takes a waiting one before it makes a new one. What always holds: a connection that
 * failed is closed, and so are all that are older than the failure. A restart, a failover or a lost host has hit them
 * all. Under the lock there are only changes of links, and poll. Limits: connections beyond the present need are closed
 * one at a time, as calls end.
 */
#include "redis_private.h"
#include "threads.h"

#define IDLE_MOST apr_time_from_sec(60)

apr_status_t idem_redis_pool_start(idem_redis *store, apr_pool_t *pool)
{
    APR_RING_INIT(&store->idle, idem_redis_conn, link);
    return apr_thread_mutex_create(&store->lock, APR_THREAD_MUTEX_DEFAULT, pool);
}

void idem_redis_pool_stop(idem_redis *store)
{
    while (!APR_RING_EMPTY(&store->idle, idem_redis_conn, link)) {
        idem_redis_conn *conn = APR_RING_FIRST(&store->idle);
        APR_RING_REMOVE(conn, link);
        idem_redis_hang_up(conn);
    }
    store->lock = NULL;
}

static idem_redis_conn *first_idle_conn(idem_redis *store)
{
    idem_redis_conn *conn = NULL;

    apr_thread_mutex_lock(store->lock);
    if (!APR_RING_EMPTY(&store->idle, idem_redis_conn, link)) {
        conn = APR_RING_FIRST(&store->idle);
        APR_RING_REMOVE(conn, link);
    }
    apr_thread_mutex_unlock(store->lock);
    return conn;
}

apr_status_t idem_redis_take(idem_redis *store, idem_call *call, idem_redis_conn **conn)
{
    apr_status_t rv;

    while ((*conn = first_idle_conn(store)) != NULL) {
        if ((*conn)->generation == atomic_load(&store->generation) && idem_redis_is_quiet(*conn))
            return APR_SUCCESS;
        idem_redis_hang_up(*conn);
    }
    rv = idem_redis_connect(store, call, conn);
    if (rv != APR_SUCCESS)
        return rv;
    apr_thread_mutex_lock(store->lock);
    store->facts = (*conn)->facts;
    apr_thread_mutex_unlock(store->lock);
    return APR_SUCCESS;
}

/* The one that has waited longest, if it has waited too long. The lock is held. */
static idem_redis_conn *unneeded_conn(idem_redis *store)
{
    idem_redis_conn *last = APR_RING_LAST(&store->idle);

    if (APR_RING_EMPTY(&store->idle, idem_redis_conn, link) || idem_monotonic() - last->idle_since < IDLE_MOST)
        return NULL;
    APR_RING_REMOVE(last, link);
    return last;
}

void idem_redis_give(idem_redis *store, idem_redis_conn *conn, int trusted)
{
    idem_redis_conn *surplus;

    if (!trusted)
        atomic_fetch_add(&store->generation, 1);
    if (conn->generation != atomic_load(&store->generation)) {
        idem_redis_hang_up(conn);
        return;
    }
    conn->idle_since = idem_monotonic();
    apr_thread_mutex_lock(store->lock);
    surplus = unneeded_conn(store);
    APR_RING_INSERT_HEAD(&store->idle, conn, idem_redis_conn, link);
    apr_thread_mutex_unlock(store->lock);
    if (surplus)
        idem_redis_hang_up(surplus);
}
