/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - the socache driver's operations that look at every entry: each, page, sweep, status.
 *
 * Called by the front, the keeper and the administrator's tools. What always holds: the provider's iterator runs to its
 * end, since one that is stopped early leaves a dbm file open and locked. A visitor is called without the mutex.
 * Limits: the mutex is held for a whole walk through the cache.
 */
#include "socache_private.h"

#include "place.h"

#include <stdlib.h>

#include <apr_strings.h>
#include <apr_tables.h>

#define PAGE 256 /* entries shown at once */

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

static int by_slot(const void *a, const void *b)
{
    return memcmp(a, b, IDEM_SLOT_LEN);
}

/* The one of slots that stands there, if it still does. */
static apr_status_t visit_slot(idem_store *base, idem_call *call, const unsigned char *slot, idem_visitor *visitor,
                               void *baton, int *more)
{
    idem_call one = *call;
    idem_found found;
    apr_status_t rv;

    apr_pool_create(&one.pool, call->pool); /* one entry at a time, however many there are */
    rv = idem_socache_fetch(base, &one, slot, &found);
    if (rv == APR_SUCCESS)
        *more = visitor(baton, slot, &found);
    if (rv == APR_NOTFOUND)
        rv = APR_SUCCESS; /* gone in the meantime */
    if (one.why)
        call->why = apr_pstrdup(call->pool, one.why);
    apr_pool_destroy(one.pool);
    return rv;
}

/* A place is the slot behind which it goes on. The cache has no order: each page lists all slots, and shows some. */
apr_status_t idem_socache_page(idem_store *base, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                               void *baton)
{
    apr_array_header_t *slots = apr_array_make(call->pool, 64, sizeof(slot_name));
    unsigned char after[IDEM_SLOT_LEN];
    int i = 0, shown = 0, more = 1;
    apr_status_t rv;

    if (*place && !idem_slot_of_place(place, after))
        return APR_EINVAL;
    rv = list_live((idem_socache *)base, call, slots);
    if (rv != APR_SUCCESS)
        return rv;
    qsort(slots->elts, (size_t)slots->nelts, sizeof(slot_name), by_slot);
    while (*place && i < slots->nelts && memcmp(APR_ARRAY_IDX(slots, i, slot_name).bytes, after, IDEM_SLOT_LEN) <= 0)
        i++;
    for (; rv == APR_SUCCESS && more && shown < PAGE && i < slots->nelts; i++, shown++)
        rv = visit_slot(base, call, APR_ARRAY_IDX(slots, i, slot_name).bytes, visitor, baton, &more);
    if (rv != APR_SUCCESS)
        return rv;
    if (i < slots->nelts)
        idem_place_of_slot(APR_ARRAY_IDX(slots, i - 1, slot_name).bytes, place);
    else
        *place = '\0';
    return APR_SUCCESS;
}

apr_status_t idem_socache_each(idem_store *base, idem_call *call, idem_visitor *visitor, void *baton)
{
    apr_array_header_t *slots = apr_array_make(call->pool, 64, sizeof(slot_name));
    apr_status_t rv = list_live((idem_socache *)base, call, slots);
    int more = 1;

    for (int i = 0; rv == APR_SUCCESS && more && i < slots->nelts; i++)
        rv = visit_slot(base, call, APR_ARRAY_IDX(slots, i, slot_name).bytes, visitor, baton, &more);
    return rv;
}
