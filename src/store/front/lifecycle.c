/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lifecycle.c - the life of a store's front: configured, opened, attached, detached.
 *
 * Called by the glue at start and in each child; the calls of guarded requests are in calls.c and come here only while
 * the driver is not attached. What always holds: one thread at a time is inside the driver's attach(), with a pool that
 * no other thread uses. After a failed attempt comes a pause of RETRY_INTERVAL. A store found damaged stays so until
 * the next start. The breaker is open while the driver is not attached, so the front's health shows it. A process that
 * was forked from the one that attached calls nothing, not even to detach. Limits: a front is attached by one process
 * at a time; reasons are cut at IDEM_REASON_LEN.
 */
#include "front_private.h"

#include "processes.h"
#include "threads.h"

#include <apr_allocator.h>
#include <apr_strings.h>

#include "url.h"

#define DEFAULT_TIMEOUT apr_time_from_msec(500)
#define RETRY_INTERVAL apr_time_from_sec(1)

static apr_status_t make_locks(idem_front *front, apr_pool_t *pool)
{
    apr_status_t rv = apr_thread_mutex_create(&front->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    front->parts = front->store->parts > 1 && front->store->driver->part ? front->store->parts : 1;
    front->answers = apr_pcalloc(pool, (apr_size_t)front->parts * sizeof(*front->answers));
    front->breakers = apr_pcalloc(pool, (apr_size_t)front->parts * sizeof(*front->breakers));
    for (int i = 0; i < front->parts && rv == APR_SUCCESS; i++)
        rv = idem_breaker_init(&front->breakers[i], i, front->parts, pool);
    idem_front_set_timeout(front, front->timeout);
    return rv;
}

apr_status_t idem_front_configure(idem_front **out, const idem_env *env, const char *url, const char *const *options,
                                  apr_pool_t *pool, const char **why)
{
    idem_front *front = apr_pcalloc(pool, sizeof(*front));
    const char *rest = strchr(url, ':'), *names;
    const idem_driver *driver;
    apr_status_t rv;

    front->url = idem_url_masked(url, pool);
    front->timeout = DEFAULT_TIMEOUT;
    front->look_only = env->look_only;
    atomic_init(&front->phase, IDEM_FRONT_DETACHED);
    apr_cpystrn(front->reason, "the store has not been attached in this process", sizeof(front->reason));
    if (!rest) {
        *why = apr_psprintf(
            pool, "\"%s\" is not the address of a store: write DRIVER:PLACE, for example lmdb:idempotency", front->url);
        return APR_EINVAL;
    }
    driver = idem_registry_find(apr_pstrmemdup(pool, url, (apr_size_t)(rest - url)), &names, pool);
    if (!driver) {
        *why = apr_psprintf(pool, "no driver knows the store \"%s\"; this build has %s, modules can add others",
                            front->url, names);
        return APR_EINVAL;
    }
    rv = driver->configure(&front->store, env, rest + 1, options, pool, why);
    if (rv != APR_SUCCESS)
        return rv;
    front->store->driver = driver;
    rv = make_locks(front, pool);
    if (rv == APR_SUCCESS)
        *out = front;
    else
        *why = idem_store_sentence(rv, pool);
    return rv;
}

void idem_front_set_timeout(idem_front *front, apr_interval_time_t timeout)
{
    front->timeout = timeout;
    for (int i = 0; i < front->parts; i++)
        idem_breaker_set_timeout(&front->breakers[i], timeout);
}

void idem_front_set_ring(idem_front *front, const idem_keyring *ring)
{
    front->ring = ring;
}

const idem_keyring *idem_front_ring(const idem_front *front)
{
    return front->ring;
}

apr_interval_time_t idem_front_timeout(const idem_front *front)
{
    return front->timeout;
}

void idem_front_set_observer(idem_front *front, idem_front_observer *observer, void *baton)
{
    front->observer = observer;
    front->baton = baton;
}

const char *idem_front_url(const idem_front *front)
{
    return front->url;
}

const idem_store *idem_front_store(const idem_front *front)
{
    return front->store;
}

/* The lock is held, or there is one thread. A damaged store stays so: only a new configuration looks again. */
static void set_phase(idem_front *front, int phase, const char *reason)
{
    if (atomic_load(&front->phase) == IDEM_FRONT_DAMAGED)
        return;
    if (reason)
        apr_cpystrn(front->reason, reason, sizeof(front->reason));
    atomic_store(&front->phase, phase);
}

static void trip_all(idem_front *front, const char *reason)
{
    for (int i = 0; i < front->parts; i++)
        idem_breaker_trip(&front->breakers[i], reason);
}

static int phase_after(apr_status_t failure)
{
    return failure == IDEM_EDAMAGED ? IDEM_FRONT_DAMAGED : IDEM_FRONT_DETACHED;
}

/* Also what the store itself told. */
void idem_front_damaged(idem_front *front, const char *why)
{
    apr_thread_mutex_lock(front->lock);
    set_phase(front, IDEM_FRONT_DAMAGED, why);
    apr_thread_mutex_unlock(front->lock);
    trip_all(front, why);
}

apr_status_t idem_front_open(idem_front *front, apr_pool_t *pool, const char **why)
{
    apr_status_t rv;
    *why = NULL;
    rv = front->store->driver->open(front->store, pool, why);
    if (rv != APR_SUCCESS && !*why)
        *why = idem_store_sentence(rv, pool);
    if (rv != APR_SUCCESS)
        set_phase(front, phase_after(rv), *why);
    if (rv == IDEM_EDAMAGED)
        trip_all(front, *why);
    return rv;
}

/* The process's pool goes, and what attach() made with it. */
static apr_status_t forget_home(void *data)
{
    idem_front *front = data;
    front->home = NULL;
    set_phase(front, IDEM_FRONT_DETACHED, "the process is about to end");
    return APR_SUCCESS;
}

/* A pool with an allocator of its own, so any thread may try attach() again while others use the parent pool. */
static apr_status_t make_home(idem_front *front, apr_pool_t *pool)
{
    apr_allocator_t *allocator;
    apr_thread_mutex_t *mutex;
    apr_status_t rv = apr_allocator_create(&allocator);

    if (rv == APR_SUCCESS)
        rv = apr_pool_create_ex(&front->home, pool, NULL, allocator);
    if (rv != APR_SUCCESS)
        return rv;
    apr_allocator_owner_set(allocator, front->home);
    rv = apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, front->home);
    if (rv == APR_SUCCESS)
        apr_allocator_mutex_set(allocator, mutex);
    apr_pool_cleanup_register(front->home, front, forget_home, apr_pool_cleanup_null);
    return rv;
}

/* Locks, connections, maps: all that a driver has made belongs to the process that it attached in. */
static int is_inherited(const idem_front *front)
{
    unsigned process = atomic_load(&front->process);

    return process && process != idem_this_process();
}

/* Calls the driver; front->attaching is ours and the lock is not held. *why is in pool. */
static apr_status_t try_attach(idem_front *front, apr_pool_t *pool, const char **why)
{
    apr_pool_t *trial;
    const char *reason = NULL;
    apr_status_t rv;

    *why = NULL;
    apr_pool_create(&trial, front->home);
    rv = front->store->driver->attach(front->store, trial, &reason);
    if (rv == APR_SUCCESS) {
        rv = idem_front_check_mark(front, pool, &reason);
        if (rv != APR_SUCCESS)
            front->store->driver->detach(front->store);
    }
    if (rv != APR_SUCCESS) {
        *why = reason ? apr_pstrdup(pool, reason) : idem_store_sentence(rv, pool);
        apr_pool_destroy(trial);
    }
    apr_thread_mutex_lock(front->lock);
    front->attaching = 0;
    front->owed |= rv == APR_SUCCESS;
    front->retry_at = idem_monotonic() + RETRY_INTERVAL;
    set_phase(front, rv == APR_SUCCESS ? IDEM_FRONT_ATTACHED : phase_after(rv), *why);
    apr_thread_mutex_unlock(front->lock);
    if (rv != APR_SUCCESS)
        trip_all(front, *why);
    for (int i = 0; i < front->parts && rv == APR_SUCCESS; i++) {
        if (front->answers[i])
            idem_breaker_mend(&front->breakers[i]);
        else
            idem_breaker_trip(&front->breakers[i], "this part did not answer when the other parts of this store did");
    }
    return rv;
}

apr_status_t idem_front_ready(idem_front *front, int may_attach, apr_pool_t *pool, const char **why)
{
    int phase, due;
    apr_status_t rv;

    if (is_inherited(front)) { /* before any lock: a thread that is not here may have held it */
        *why = "this process was forked from the one that uses the store";
        return IDEM_EDOWN;
    }
    if (atomic_load(&front->phase) == IDEM_FRONT_ATTACHED)
        return APR_SUCCESS;
    apr_thread_mutex_lock(front->lock);
    phase = atomic_load(&front->phase); /* another thread may just have attached it */
    due = may_attach && phase == IDEM_FRONT_DETACHED && front->home && !front->attaching &&
          idem_monotonic() >= front->retry_at;
    front->attaching |= due;
    *why = phase == IDEM_FRONT_ATTACHED ? NULL : apr_pstrdup(pool, front->reason);
    apr_thread_mutex_unlock(front->lock);
    if (phase == IDEM_FRONT_ATTACHED)
        return APR_SUCCESS;
    if (!due)
        return phase == IDEM_FRONT_DAMAGED ? IDEM_EDAMAGED : IDEM_EDOWN;
    rv = try_attach(front, pool, why);
    return rv == APR_SUCCESS || rv == IDEM_EDAMAGED ? rv : IDEM_EDOWN;
}

apr_status_t idem_front_attach(idem_front *front, apr_pool_t *pool, const char **why)
{
    apr_status_t rv = APR_SUCCESS;

    *why = NULL;
    if (atomic_load(&front->phase) == IDEM_FRONT_ATTACHED)
        return APR_SUCCESS;
    if (atomic_load(&front->phase) == IDEM_FRONT_DAMAGED) {
        *why = front->reason;
        return IDEM_EDAMAGED;
    }
    apr_thread_mutex_lock(front->lock);
    atomic_store(&front->process, idem_this_process());
    if (!front->home)
        rv = make_home(front, pool);
    front->attaching = 1;
    apr_thread_mutex_unlock(front->lock);
    if (rv != APR_SUCCESS) {
        *why = idem_store_sentence(rv, pool);
        return rv;
    }
    return try_attach(front, pool, why);
}

void idem_front_detach(idem_front *front)
{
    if (is_inherited(front))
        return;
    if (front->owed)
        front->store->driver->detach(front->store);
    front->owed = 0;
    if (front->home)
        apr_pool_destroy(front->home);
}
