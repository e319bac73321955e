/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - the store in memcached: its driver's table, its life, its state.
 *
 * The front calls it. A slot belongs to one of the servers, by its number and for good. While that server is away, its
 * slots are refused, and the slots of the others are served. What always holds: no connection crosses a fork. Limits:
 * memcached keeps everything in memory. So a restart of a server forgets its slots, and without -M a full server drops
 * live entries. open() says so. No client can list the keys of memcached, so nothing here can name its entries.
 */
#include "memcache_private.h"

#include <apr_strings.h>

#define USUAL_TIMEOUT apr_time_from_msec(500)

/* A call for one of the servers, with its share of the time that is left for all of them. */
static idem_mc_op op_for(idem_mc *store, int which, idem_call *call, apr_time_t until)
{
    apr_time_t now = idem_clock_uptime();
    idem_mc_op op = {store, &store->servers[which], call, NULL, until};

    op.until = now + (until - now) / (store->server_count - which);
    return op;
}

static apr_interval_time_t timeout_of(const idem_mc *store)
{
    return store->env->timeout ? store->env->timeout : USUAL_TIMEOUT;
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static const char *also_warn(const char *all, const char *one, apr_pool_t *pool)
{
    return all ? apr_pstrcat(pool, all, "; ", one, NULL) : one;
}

static const char *of_eviction(const idem_mc_server *server, const idem_mc_facts *facts, apr_pool_t *pool)
{
    if (facts->evicts == 0)
        return NULL;
    if (facts->evicts < 0)
        return apr_psprintf(pool, "%s does not show its settings: the module cannot tell whether it drops live entries",
                            server->name);
    return apr_psprintf(pool,
                        "%s drops live entries when it is full, and their operations can run again: run it with -M",
                        server->name);
}

/* Asks one server for its setup. A fact that it does not tell counts as the worse one. */
static apr_status_t examine_servers(idem_mc *store, const idem_mc_op *op, apr_pool_t *pool, const char **warning)
{
    apr_size_t most = IDEM_MC_ITEM_USUAL;
    idem_mc_facts facts;
    const char *eviction;
    apr_status_t rv = idem_mc_ask_facts(op, &facts);

    if (rv != APR_SUCCESS) {
        store->super.flags |= IDEM_EVICTS;
        *warning =
            also_warn(*warning, apr_psprintf(pool, "%s; its keys are refused until it is there", op->call->why), pool);
        return rv;
    }
    if (facts.item_max > 2 * IDEM_MC_OVERHEAD)
        most = facts.item_max;
    if (store->super.max_value == 0 || most - IDEM_MC_OVERHEAD < store->super.max_value)
        store->super.max_value = most - IDEM_MC_OVERHEAD;
    eviction = of_eviction(op->server, &facts, pool);
    if (eviction) {
        store->super.flags |= IDEM_EVICTS;
        *warning = also_warn(*warning, eviction, pool);
    }
    return APR_SUCCESS;
}

/* If no server answers, the store can still be used when one comes back. */
static apr_status_t memcache_open(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_mc *store = (idem_mc *)base;
    apr_time_t until = idem_clock_uptime() + timeout_of(store);
    unsigned flags = base->flags;
    apr_size_t most = base->max_value;
    const char *warning =
        "memcached keeps everything in memory: after a restart of a server its operations can run again";
    apr_status_t rv = APR_EGENERAL;

    base->flags = IDEM_OFFLINE | IDEM_LOOKS | IDEM_VOLATILE;
    base->max_value = 0;
    for (int i = 0; i < store->server_count; i++) {
        idem_call call = {.pool = pool, .deadline = 0};
        idem_mc_op op = op_for(store, i, &call, until);
        apr_status_t one = examine_servers(store, &op, pool, &warning);
        if (one != APR_SUCCESS)
            *why = call.why;
        if (rv != APR_SUCCESS)
            rv = one;
    }
    if (rv == APR_SUCCESS) {
        base->warning = warning;
        return rv;
    }
    base->flags = flags;
    base->max_value = most;
    return rv;
}

/* ---- attach ------------------------------------------------------------------------------------------------------ */

static void memcache_detach(idem_store *base)
{
    idem_mc *store = (idem_mc *)base;

    for (int i = 0; i < store->server_count; i++)
        idem_mc_server_stop(&store->servers[i]);
}

/* One server that answers is enough. The slots of the others are refused until they answer. */
static apr_status_t memcache_attach(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_mc *store = (idem_mc *)base;
    apr_time_t until = idem_clock_uptime() + timeout_of(store);
    apr_status_t rv = APR_EGENERAL;

    for (int i = 0; i < store->server_count; i++) {
        idem_call call = {.pool = pool, .deadline = 0};
        idem_mc_op op = op_for(store, i, &call, until);
        apr_status_t one;

        op.server->timeout = timeout_of(store);
        op.server->connections_most = store->env->threads + 2; /* who renews, and who looks whether it is back */
        one = idem_mc_server_start(op.server, &op, pool);
        if (one != APR_SUCCESS)
            *why = call.why;
        if (rv != APR_SUCCESS)
            rv = one;
    }
    if (rv != APR_SUCCESS)
        memcache_detach(base);
    return rv;
}

/* ---- state ------------------------------------------------------------------------------------------------------- */

static apr_status_t memcache_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton)
{
    (void)store, (void)visitor, (void)baton;
    call->why = "memcached cannot list its keys";
    return APR_ENOTIMPL;
}

/* memcached removes what has expired by itself. */
static apr_status_t memcache_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    (void)store, (void)call, (void)most;
    *removed = 0;
    return APR_ENOTIMPL;
}

/*
 * The state of all servers together; it names a server that is away. The memory limit of a server says little about
 * room: memcached keeps values of each size apart, and may refuse one size while it has room for another.
 */
static apr_status_t memcache_status(idem_store *base, idem_call *call, idem_store_status *status)
{
    idem_mc *store = (idem_mc *)base;
    apr_time_t until = idem_clock_uptime() + (call->deadline - apr_time_now());
    const char *text = NULL;
    apr_status_t rv = APR_EGENERAL;

    memset(status, 0, sizeof(*status));
    for (int i = 0; i < store->server_count; i++) {
        idem_mc_op op = op_for(store, i, call, until);
        idem_mc_facts facts;
        apr_status_t one = idem_mc_ask_facts(&op, &facts);
        const char *said = call->why;

        if (one == APR_SUCCESS) {
            rv = one;
            status->bytes_used += facts.bytes;
            said = apr_psprintf(call->pool, "memcached %s at %s, %lu of %lu MB, evictions %s", facts.version,
                                op.server->name, (unsigned long)(facts.bytes >> 20),
                                (unsigned long)(facts.bytes_max >> 20),
                                facts.evicts < 0 ? "unknown"
                                : facts.evicts   ? "on"
                                                 : "off");
        }
        else if (rv != APR_SUCCESS)
            rv = one;
        text = also_warn(text, said, call->pool);
    }
    status->text = text;
    return rv;
}

/* ---- the table --------------------------------------------------------------------------------------------------- */

const idem_driver idem_driver_memcache = {
    .scheme = "memcache",
    .configure = idem_mc_configure,
    .open = memcache_open,
    .attach = memcache_attach,
    .detach = memcache_detach,
    .claim = idem_mc_claim,
    .takeover = idem_mc_takeover,
    .renew = idem_mc_renew,
    .settle = idem_mc_settle,
    .release = idem_mc_release,
    .fetch = idem_mc_fetch,
    .each = memcache_each,
    .forget = idem_mc_forget,
    .sweep = memcache_sweep,
    .status = memcache_status,
    .part = idem_mc_part,
    .forget_seen = idem_mc_forget_seen,
};
