/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - the store in a database, over apr_dbd: its driver's table, its life, and the operations.
 *
 * The front calls it. An entry is a row of one table. Each operation is a statement of its own: a transaction that the
 * database commits before it answers. The database decides by its own clock. What always holds: no connection crosses a
 * fork. No call outlasts its deadline, whatever a client library does. Limits: the database's configuration may lose
 * acknowledged entries. open() says which settings do.
 */
#include "dbd_private.h"
#include "place.h"

#include <apr_strings.h>

#define EACH_BATCH 20

static idem_call dbd_first_call(const idem_dbd *store, apr_pool_t *pool)
{
    idem_call call = {.pool = pool, .deadline = apr_time_now() + idem_dbd_timeout(store)};
    return call;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static apr_status_t dbd_open(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_dbd *store = (idem_dbd *)base;
    idem_call call = dbd_first_call(store, pool);
    idem_dbd_facts facts;
    apr_status_t rv = idem_dbd_probe(store, &call, &facts);

    *why = call.why;
    if (rv != APR_SUCCESS)
        return rv;
    base->flags = facts.flags;
    base->max_value = facts.max_value;
    base->warning = *facts.warning ? apr_pstrdup(pool, facts.warning) : NULL;
    return APR_SUCCESS;
}

static void dbd_detach(idem_store *base)
{
    idem_dbd *store = (idem_dbd *)base;

    if (store->workers)
        idem_dbd_pool_stop(store->workers);
    store->workers = NULL;
}

static apr_status_t dbd_attach(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_dbd *store = (idem_dbd *)base;
    idem_call call = dbd_first_call(store, pool);
    idem_dbd_order order = {.task = idem_dbd_do_nothing, .harmless_twice = 1};
    idem_dbd_access *access;
    apr_status_t rv = idem_dbd_access_make(store, &call, &access);

    *why = call.why;
    if (rv != APR_SUCCESS)
        return rv;
    rv = idem_dbd_pool_start(access, &store->workers);
    if (rv != APR_SUCCESS) {
        idem_dbd_access_done(access);
        return rv;
    }
    rv = idem_dbd_run(store, &call, &order);
    *why = call.why;
    if (rv != APR_SUCCESS)
        dbd_detach(base);
    return rv;
}

/* ---- operations on one slot -------------------------------------------------------------------------------------- */

static idem_dbd_order order_of(idem_dbd_statement statement, const unsigned char *slot, const unsigned char *token)
{
    idem_dbd_order order = {.task = idem_dbd_do_slot, .statement = statement, .slot_len = IDEM_SLOT_LEN};

    memcpy(order.slot, slot, IDEM_SLOT_LEN);
    if (token)
        memcpy(order.token, token, IDEM_TOKEN_LEN);
    /* A second release or forget would find no entry. */
    order.harmless_twice =
        statement != IDEM_DBD_RELEASE && statement != IDEM_DBD_FORGET && statement != IDEM_DBD_FORGET_SEEN;
    return order;
}

static apr_status_t dbd_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                              idem_found *found)
{
    idem_dbd_order order = order_of(IDEM_DBD_CLAIM, slot, idem_value_token(value));
    apr_status_t rv;

    order.value = value;
    rv = idem_dbd_run((idem_dbd *)store, call, &order);
    *found = order.found;
    return rv;
}

static apr_status_t dbd_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *seen, idem_blob value)
{
    idem_dbd_order order = order_of(IDEM_DBD_TAKEOVER, slot, idem_value_token(value));

    memcpy(order.seen, seen, IDEM_TOKEN_LEN);
    order.value = value;
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

static apr_status_t dbd_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    idem_dbd_order order = order_of(IDEM_DBD_RENEW, slot, token);
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

static apr_status_t dbd_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    idem_dbd_order order = order_of(IDEM_DBD_SETTLE, slot, idem_value_token(value));

    order.value = value;
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

static apr_status_t dbd_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token)
{
    idem_dbd_order order = order_of(IDEM_DBD_RELEASE, slot, token);
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

static apr_status_t dbd_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    idem_dbd_order order = order_of(IDEM_DBD_FETCH, slot, NULL);
    apr_status_t rv = idem_dbd_run((idem_dbd *)store, call, &order);

    *found = order.found;
    return rv;
}

static apr_status_t dbd_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    idem_dbd_order order = order_of(IDEM_DBD_FORGET, slot, NULL);
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

static apr_status_t dbd_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                    const unsigned char *token)
{
    idem_dbd_order order = order_of(IDEM_DBD_FORGET_SEEN, slot, token);
    return idem_dbd_run((idem_dbd *)store, call, &order);
}

/* ---- all entries ------------------------------------------------------------------------------------------------- */

static apr_status_t dbd_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    idem_dbd_order order = {.task = idem_dbd_do_sweep, .statement = IDEM_DBD_SWEEP, .most = most, .harmless_twice = 1};
    apr_status_t rv = idem_dbd_run((idem_dbd *)store, call, &order);

    *removed = rv == APR_SUCCESS ? order.count : 0;
    return rv;
}

static apr_status_t dbd_status(idem_store *store, idem_call *call, idem_store_status *status)
{
    idem_dbd_order order = {.task = idem_dbd_do_status, .statement = IDEM_DBD_STATUS, .harmless_twice = 1};
    apr_status_t rv = idem_dbd_run((idem_dbd *)store, call, &order);

    *status = order.status;
    return rv;
}

/* A batch at a time, in the order of slots; the next begins behind the last. */
static apr_status_t dbd_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton)
{
    idem_dbd_order order = {
        .task = idem_dbd_do_each, .statement = IDEM_DBD_EACH, .most = EACH_BATCH, .harmless_twice = 1};
    idem_call batch = *call;
    apr_status_t rv;
    int goes_on = 1;

    apr_pool_create(&batch.pool, call->pool);
    do {
        apr_pool_clear(batch.pool);
        rv = idem_dbd_run((idem_dbd *)store, &batch, &order);
        if (rv != APR_SUCCESS)
            break;
        for (int i = 0; i < order.count && goes_on; i++)
            goes_on = visitor(baton, order.entries[i].slot, &order.entries[i].found);
        if (order.count > 0)
            memcpy(order.slot, order.entries[order.count - 1].slot, IDEM_SLOT_LEN);
        order.slot_len = IDEM_SLOT_LEN;
    } while (goes_on && order.count == EACH_BATCH);
    call->why = apr_pstrdup(call->pool, batch.why);
    apr_pool_destroy(batch.pool);
    return rv;
}

/* A place is the slot behind which it goes on. */
static apr_status_t dbd_page(idem_store *store, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                             void *baton)
{
    idem_dbd_order order = {
        .task = idem_dbd_do_each, .statement = IDEM_DBD_EACH, .most = EACH_BATCH, .harmless_twice = 1};
    apr_status_t rv;
    int i = 0, goes_on = 1;

    if (*place && !idem_slot_of_place(place, order.slot))
        return APR_EINVAL;
    order.slot_len = *place ? IDEM_SLOT_LEN : 0;
    rv = idem_dbd_run((idem_dbd *)store, call, &order);
    if (rv != APR_SUCCESS)
        return rv;
    for (; i < order.count && goes_on; i++)
        goes_on = visitor(baton, order.entries[i].slot, &order.entries[i].found);
    if (i == order.count && order.count < EACH_BATCH)
        *place = '\0';
    else
        idem_place_of_slot(order.entries[i - 1].slot, place);
    return APR_SUCCESS;
}

const idem_driver idem_driver_dbd = {
    .scheme = "dbd",
    .configure = idem_dbd_configure,
    .open = dbd_open,
    .attach = dbd_attach,
    .detach = dbd_detach,
    .claim = dbd_claim,
    .takeover = dbd_takeover,
    .renew = dbd_renew,
    .settle = dbd_settle,
    .release = dbd_release,
    .fetch = dbd_fetch,
    .each = dbd_each,
    .forget = dbd_forget,
    .sweep = dbd_sweep,
    .status = dbd_status,
    .page = dbd_page,
    .page_by_slot = 1,
    .forget_seen = dbd_forget_seen,
};
