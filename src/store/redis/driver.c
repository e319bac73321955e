/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - the store in Redis: its drivers' tables, its life, and the operations on one slot.
 *
 * Called by the front. Each operation on a slot is one round trip, decided by one script inside Redis, by Redis's
 * clock. An entry is one string that expires by itself, a lease not before its deadline. What always holds: no
 * connection crosses a fork. No call outlasts its deadline, except where a host's name must be looked up. Limits: Redis
 * can lose acknowledged entries, if its configuration allows that. open() says which.
 */
#include "redis_private.h"

#include <apr_strings.h>

#define USUAL_TIMEOUT apr_time_from_msec(500)

static idem_call redis_first_call(const idem_redis *store, apr_pool_t *pool)
{
    apr_interval_time_t patience = store->env->timeout ? store->env->timeout : USUAL_TIMEOUT;
    idem_call call = {.pool = pool, .deadline = apr_time_now() + patience};
    return call;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

/* Only looks how the server is set up. Without an answer the store may be used all the same, once there is one. */
static apr_status_t redis_open(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_redis *store = (idem_redis *)base;
    idem_call call = redis_first_call(store, pool);
    idem_redis_conn *conn;
    apr_status_t rv = idem_redis_tls_start(store->tls, pool, &call.why);

    if (rv == APR_SUCCESS)
        rv = idem_redis_connect(store, &call, &conn);
    *why = call.why;
    if (rv == APR_SUCCESS) {
        base->flags = IDEM_OFFLINE | IDEM_LOOKS | idem_redis_flags(&conn->facts);
        base->warning = idem_redis_warning(store, &conn->facts, pool);
        idem_redis_hang_up(conn);
    }
    idem_redis_tls_stop(store->tls); /* each process makes its own */
    return rv;
}

static apr_status_t redis_attach(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_redis *store = (idem_redis *)base;
    idem_call call = redis_first_call(store, pool);
    idem_redis_conn *conn;
    apr_status_t rv = idem_redis_tls_start(store->tls, pool, &call.why);

    if (rv == APR_SUCCESS)
        rv = idem_redis_pool_start(store, pool);
    if (rv == APR_SUCCESS)
        rv = idem_redis_take(store, &call, &conn);
    *why = call.why;
    if (rv == APR_SUCCESS)
        idem_redis_give(store, conn, 1);
    if (rv != APR_SUCCESS) {
        store->lock = NULL;
        idem_redis_tls_stop(store->tls);
    }
    return rv;
}

static void redis_detach(idem_store *base)
{
    idem_redis *store = (idem_redis *)base;
    if (store->lock)
        idem_redis_pool_stop(store);
    idem_redis_tls_stop(store->tls);
}

/* ---- operations on one slot -------------------------------------------------------------------------------------- */

static apr_status_t redis_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                                idem_found *found)
{
    idem_redis_order order = {.operation = "claim", .slot = slot, .value = value, .found = found};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *seen, idem_blob value)
{
    idem_redis_order order = {.operation = "takeover", .slot = slot, .token = seen, .value = value};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token)
{
    idem_redis_order order = {.operation = "renew", .slot = slot, .token = token};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    idem_redis_order order = {.operation = "settle", .slot = slot, .value = value};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                  const unsigned char *token)
{
    idem_redis_order order = {.operation = "release", .slot = slot, .token = token};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    idem_redis_order order = {.operation = "fetch", .slot = slot, .found = found, .reads = 1};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    idem_redis_order order = {.operation = "forget", .slot = slot};
    return idem_redis_run((idem_redis *)store, call, &order);
}

static apr_status_t redis_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                      const unsigned char *token)
{
    idem_redis_order order = {.operation = "forget_seen", .slot = slot, .token = token};
    return idem_redis_run((idem_redis *)store, call, &order);
}

/* Redis removes what has expired by itself. */
static apr_status_t redis_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    (void)store, (void)call, (void)most;
    *removed = 0;
    return APR_ENOTIMPL;
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* They differ in how a server is found. */
#define OPERATIONS                                                                                      \
    .open = redis_open, .attach = redis_attach, .detach = redis_detach, .claim = redis_claim,           \
    .takeover = redis_takeover, .renew = redis_renew, .settle = redis_settle, .release = redis_release, \
    .fetch = redis_fetch, .each = idem_redis_each, .forget = redis_forget, .sweep = redis_sweep,        \
    .status = idem_redis_status, .page = idem_redis_page, .forget_seen = redis_forget_seen

const idem_driver idem_driver_redis = {.scheme = "redis", .configure = idem_redis_configure_tcp, OPERATIONS};
const idem_driver idem_driver_redis_tls = {.scheme = "rediss", .configure = idem_redis_configure_tls, OPERATIONS};
const idem_driver idem_driver_redis_unix = {.scheme = "redis+unix", .configure = idem_redis_configure_unix, OPERATIONS};
const idem_driver idem_driver_redis_sentinel = {
    .scheme = "redis-sentinel", .configure = idem_redis_configure_sentinel, OPERATIONS};
const idem_driver idem_driver_redis_sentinel_tls = {
    .scheme = "rediss-sentinel", .configure = idem_redis_configure_sentinel_tls, OPERATIONS};
