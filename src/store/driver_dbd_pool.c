/*
 * driver_dbd_pool.c - the desks of a process that wait for their next call.
 *
 * Called by the dbd driver, from any thread. There are never more desks in use than threads in the store at once, which
 * the server's configuration bounds: a thread uses one at a time, and takes a waiting one before it makes a new one.
 * (An apr_reslist would be cleaned up with the child's pool, which prefork does inside a signal handler, and aborts where
 * one is in use then.) What always holds: a desk that was left is in no list; nothing is done with the lock held but links.
 * Limits: desks beyond the present need are closed one at a time, as calls end.
 */
#include "driver_dbd_private.h"

#include <apr_strings.h>
#include <pthread.h>
#include <stdlib.h>

#define IDLE_MOST 60000 /* milliseconds */

typedef struct waiting {
    idem_dbd_desk *desk;
    apr_int64_t since; /* monotonic milliseconds */
} waiting;

struct idem_dbd_pool {
    idem_dbd_access *access;
    pthread_mutex_t lock;
    waiting *list; /* the longest waiting first */
    int count, room;
};

apr_status_t idem_dbd_pool_start(idem_dbd_access *access, idem_dbd_pool **out)
{
    idem_dbd_pool *pool = calloc(1, sizeof(*pool));

    if (!pool)
        return APR_ENOMEM;
    pool->access = access;
    pthread_mutex_init(&pool->lock, NULL);
    *out = pool;
    return APR_SUCCESS;
}

void idem_dbd_pool_stop(idem_dbd_pool *pool)
{
    while (pool->count > 0)
        idem_dbd_desk_close(pool->list[--pool->count].desk, 1);
    pthread_mutex_destroy(&pool->lock);
    free(pool->list);
    idem_dbd_access_done(pool->access);
    free(pool);
}

static apr_status_t take(idem_dbd_pool *pool, idem_dbd_desk **desk)
{
    *desk = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->count > 0)
        *desk = pool->list[--pool->count].desk; /* the latest used */
    pthread_mutex_unlock(&pool->lock);
    return *desk ? APR_SUCCESS : idem_dbd_desk_open(pool->access, desk);
}

/* The lock is held. One that has waited too long leaves the list. */
static idem_dbd_desk *unneeded(idem_dbd_pool *pool)
{
    idem_dbd_desk *first;

    if (pool->count == 0 || idem_dbd_monotonic() - pool->list[0].since < IDLE_MOST)
        return NULL;
    first = pool->list[0].desk;
    memmove(pool->list, pool->list + 1, sizeof(*pool->list) * (size_t)--pool->count);
    return first;
}

/* The lock is held. */
static int make_room(idem_dbd_pool *pool)
{
    waiting *list;

    if (pool->count < pool->room)
        return 1;
    list = realloc(pool->list, sizeof(*list) * (size_t)(pool->room + 16));
    if (!list)
        return 0;
    pool->list = list;
    pool->room += 16;
    return 1;
}

static void give(idem_dbd_pool *pool, idem_dbd_desk *desk)
{
    idem_dbd_desk *surplus;
    int kept;

    pthread_mutex_lock(&pool->lock);
    surplus = unneeded(pool);
    kept = make_room(pool);
    if (kept)
        pool->list[pool->count++] = (waiting){desk, idem_dbd_monotonic()};
    pthread_mutex_unlock(&pool->lock);
    if (surplus)
        idem_dbd_desk_close(surplus, 0);
    if (!kept)
        idem_dbd_desk_close(desk, 0);
}

apr_status_t idem_dbd_run(idem_dbd *store, idem_call *call, idem_dbd_order *order)
{
    idem_dbd_desk *desk;
    int left;
    apr_status_t rv = apr_time_now() < call->deadline ? take(store->desks, &desk) : APR_TIMEUP;

    if (rv == APR_TIMEUP)
        return rv;
    if (rv != APR_SUCCESS) {
        call->why = rv == APR_EBUSY
                        ? apr_psprintf(call->pool, "too many connections to %s hang", store->config.engine->title)
                        : apr_psprintf(call->pool, "no thread for a connection to %s", store->config.engine->title);
        return rv;
    }
    rv = idem_dbd_desk_ask(desk, call, order, &left);
    if (!left)
        give(store->desks, desk);
    return rv;
}
