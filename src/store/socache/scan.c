/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - the socache driver's operations that look at every entry: each, sweep, status.
 *
 * Called by the front, the keeper and the administrator's tools. What always holds: the provider's iterator is let run
 * to its end, since one that is stopped early leaves a dbm file open and locked; a visitor is called without the mutex.
 * Limits: the mutex is held for a whole walk through the cache.
 */
#include "socache_private.h"

#include <apr_strings.h>
#include <apr_tables.h>

typedef struct slot_name {
    unsigned char bytes[IDEM_SLOT_LEN];
} slot_name;

/* A walk under the mutex. */
typedef struct walk {
    idem_socache *store;
    apr_array_header_t *slots; /* of slot_name; NULL: count only */
    int most;                  /* slots wanted, negative for all */
    int expired;               /* wanted are the expired ones, else the others */
    apr_uint64_t entries, bytes;
} walk;

/* NOLINTNEXTLINE(readability-function-size): the parameters are httpd's */
static apr_status_t on_entry(ap_socache_instance_t *cache, server_rec *s, void *baton, const unsigned char *id,
                             unsigned int idlen, const unsigned char *data, unsigned int len, apr_pool_t *pool)
{
    walk *w = baton;
    (void)cache, (void)s, (void)pool;

    if (idlen != IDEM_SLOT_LEN)
        return APR_SUCCESS;
    w->entries++;
    w->bytes += len;
    if (!w->slots || (w->most >= 0 && w->slots->nelts >= w->most))
        return APR_SUCCESS;
    if (idem_socache_entry_of(w->store, data, len).expired == w->expired)
        memcpy(APR_ARRAY_PUSH(w->slots, slot_name).bytes, id, IDEM_SLOT_LEN);
    return APR_SUCCESS;
}

/* The mutex is held. */
static apr_status_t take_walk(walk *w, idem_call *call)
{
    idem_socache *store = w->store;
    apr_pool_t *pool;
    apr_status_t rv;

    apr_pool_create(&pool, call->pool); /* the iterator's buffers grow with the largest entry */
    rv = store->provider->iterate(store->cache, store->env->server, w, on_entry, pool);
    apr_pool_destroy(pool);
    if (rv == APR_NOTFOUND)
        rv = APR_SUCCESS;
    if (rv != APR_SUCCESS)
        call->why = "the entries of the cache could not be listed";
    return rv;
}

apr_status_t idem_socache_status(idem_store *base, idem_call *call, idem_store_status *status)
{
    idem_socache *store = (idem_socache *)base;
    walk w = {.store = store};
    apr_status_t rv = idem_socache_lock(store, call);

    if (rv != APR_SUCCESS)
        return rv;
    rv = take_walk(&w, call);
    apr_global_mutex_unlock(store->mutex);
    memset(status, 0, sizeof(*status));
    status->entries = w.entries;
    status->entries_known = rv == APR_SUCCESS;
    status->bytes_used = w.bytes;
    status->bytes_max = store->kind->capacity ? store->kind->capacity(store) : 0;
    status->text = store->super.warning;
    return rv;
}

apr_status_t idem_socache_sweep(idem_store *base, idem_call *call, int most, int *removed)
{
    idem_socache *store = (idem_socache *)base;
    walk w = {.store = store, .most = most, .expired = 1};
    apr_status_t rv = idem_socache_lock(store, call);

    *removed = 0;
    if (rv != APR_SUCCESS)
        return rv;
    w.slots = apr_array_make(call->pool, 16, sizeof(slot_name));
    rv = take_walk(&w, call);
    for (int i = 0; rv == APR_SUCCESS && i < w.slots->nelts; i++) {
        const unsigned char *slot = APR_ARRAY_IDX(w.slots, i, slot_name).bytes;
        rv = store->provider->remove(store->cache, store->env->server, slot, IDEM_SLOT_LEN, call->pool);
        *removed += rv == APR_SUCCESS;
    }
    apr_global_mutex_unlock(store->mutex);
    return rv;
}

static apr_status_t list_live(idem_socache *store, idem_call *call, apr_array_header_t *slots)
{
    walk w = {.store = store, .slots = slots, .most = -1};
    apr_status_t rv = idem_socache_lock(store, call);

    if (rv != APR_SUCCESS)
        return rv;
    rv = take_walk(&w, call);
    apr_global_mutex_unlock(store->mutex);
    return rv;
}

apr_status_t idem_socache_each(idem_store *base, idem_call *call, idem_visitor *visitor, void *baton)
{
    apr_array_header_t *slots = apr_array_make(call->pool, 64, sizeof(slot_name));
    apr_status_t rv = list_live((idem_socache *)base, call, slots);
    idem_call one = *call;
    int more = 1;

    for (int i = 0; rv == APR_SUCCESS && more && i < slots->nelts; i++) {
        const unsigned char *slot = APR_ARRAY_IDX(slots, i, slot_name).bytes;
        idem_found found;
        apr_pool_create(&one.pool, call->pool); /* one entry at a time, however many there are */
        rv = idem_socache_fetch(base, &one, slot, &found);
        if (rv == APR_SUCCESS)
            more = visitor(baton, slot, &found);
        if (rv == APR_NOTFOUND)
            rv = APR_SUCCESS; /* gone in the meantime */
        if (one.why)
            call->why = apr_pstrdup(call->pool, one.why);
        apr_pool_destroy(one.pool);
    }
    return rv;
}
