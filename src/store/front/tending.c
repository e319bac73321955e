/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tending.c - an administrator's calls to a store: its list, its account, its mark, and to forget an entry.
 *
 * Called by the administrator's interfaces, from any thread. What always holds: the driver is asked only while it is
 * attached and known to answer, since nobody should wait in a hanging store for the sake of a look. These calls belong
 * to no request, so no observer hears of them. Limits: a driver without page() is walked through from its first entry
 * for each part of the list.
 */
#include "front_private.h"

#include <apr_strings.h>
#include <stdlib.h>

#define WALK_TIME apr_time_from_sec(60) /* of a driver without page() */

void idem_front_be_guest(idem_front *front)
{
    front->guest = 1;
}

void idem_front_want_mark(idem_front *front, const unsigned char *mark)
{
    front->wanted_mark = mark;
}

static apr_status_t begin_tending(idem_front *front, idem_call *call, apr_pool_t *pool)
{
    idem_health health;

    call->pool = pool;
    call->deadline = apr_time_now() + front->timeout;
    call->why = NULL;
    idem_front_health(front, &health);
    if (health.state == IDEM_BREAKER_CLOSED || front->parts > 1)
        return idem_front_ready(front, 0, pool, &call->why);
    call->why = apr_pstrdup(pool, health.reason);
    return IDEM_EDOWN;
}

static apr_status_t end_tending(const idem_call *call, apr_status_t rv, const char **why)
{
    *why = call->why || rv == APR_SUCCESS ? call->why : idem_store_sentence(rv, call->pool);
    return rv;
}

/* ---- the mark ---------------------------------------------------------------------------------------------------- */

apr_status_t idem_front_read_mark(idem_front *front, apr_pool_t *pool, unsigned char *mark, const char **why)
{
    idem_call call;
    idem_found found = {.value = {NULL, 0}};
    idem_head head;
    unsigned char slot[IDEM_SLOT_LEN];
    apr_status_t rv = begin_tending(front, &call, pool);

    if (rv == APR_SUCCESS)
        rv = idem_front_mark_slot(front, 0, slot, pool);
    if (rv == APR_SUCCESS)
        rv = front->store->driver->fetch(front->store, &call, slot, &found);
    if (rv == APR_SUCCESS && (call.why = idem_record_decode(NULL, found.value, slot, pool, &head, NULL)) != NULL)
        rv = APR_EGENERAL;
    if (rv == APR_SUCCESS)
        memcpy(mark, head.print.rest, IDEM_DIGEST_LEN);
    return end_tending(&call, rv, why);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* A place in the list of a driver that can only be walked through: how many entries stand before it. */
typedef struct counted_walk {
    idem_visitor *visitor;
    void *baton;
    apr_uint64_t skip, visited;
    int stopped;
} counted_walk;

static int visit_counted(void *baton, const unsigned char *slot, const idem_found *found)
{
    counted_walk *walk = baton;

    if (walk->visited++ < walk->skip)
        return 1;
    walk->stopped = !walk->visitor(walk->baton, slot, found);
    return !walk->stopped;
}

static apr_status_t page_by_walking(idem_front *front, idem_call *call, char place[IDEM_PLACE_LEN],
                                    idem_visitor *visitor, void *baton)
{
    counted_walk walk = {.visitor = visitor, .baton = baton};
    apr_status_t rv;

    if (strspn(place, "0123456789") != strlen(place) || strlen(place) > 18)
        return APR_EINVAL;
    walk.skip = (apr_uint64_t)apr_atoi64(place);
    call->deadline = apr_time_now() + WALK_TIME;
    rv = front->store->driver->each(front->store, call, visit_counted, &walk);
    if (rv != APR_SUCCESS)
        return rv;
    *place = '\0';
    if (walk.stopped)
        apr_snprintf(place, IDEM_PLACE_LEN, "%" APR_UINT64_T_FMT, walk.visited);
    return APR_SUCCESS;
}

apr_status_t idem_front_page(idem_front *front, char place[IDEM_PLACE_LEN], apr_pool_t *pool, idem_visitor *visitor,
                             void *baton, const char **why)
{
    const idem_driver *driver = front->store->driver;
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    if (rv != APR_SUCCESS)
        return end_tending(&call, rv, why);
    if (driver->page)
        rv = driver->page(front->store, &call, place, visitor, baton);
    else
        rv = page_by_walking(front, &call, place, visitor, baton);
    if (rv == APR_EINVAL && !call.why)
        call.why = "that is no place in the list of this store";
    return end_tending(&call, rv, why);
}

int idem_front_pages_by_slot(const idem_front *front)
{
    return front->store->driver->page && front->store->driver->page_by_slot;
}

/* ---- one entry, and the whole ------------------------------------------------------------------------------------ */

apr_status_t idem_front_look(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_found *found,
                             const char **why)
{
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    memset(found, 0, sizeof(*found));
    if (rv == APR_SUCCESS)
        rv = front->store->driver->fetch(front->store, &call, slot, found);
    return end_tending(&call, rv, why);
}

apr_status_t idem_front_forget(idem_front *front, const unsigned char *slot, apr_pool_t *pool, const char **why)
{
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    if (rv == APR_SUCCESS)
        rv = front->store->driver->forget(front->store, &call, slot);
    return end_tending(&call, rv, why);
}

/* A driver of version 1 has no step for it: there the look comes right before. */
static apr_status_t look_then_forget(idem_front *front, idem_call *call, const unsigned char *slot,
                                     const unsigned char *token)
{
    const idem_driver *driver = front->store->driver;
    idem_found found = {.value = {NULL, 0}};
    apr_status_t rv = driver->fetch(front->store, call, slot, &found);

    if (rv != APR_SUCCESS)
        return rv;
    if (!idem_value_plausible(found.value) || idem_value_state(found.value) == IDEM_STATE_LEASE ||
        memcmp(idem_value_token(found.value), token, IDEM_TOKEN_LEN) != 0)
        return IDEM_ELOST;
    return driver->forget(front->store, call, slot);
}

apr_status_t idem_front_forget_seen(idem_front *front, const unsigned char *slot, idem_blob seen, apr_pool_t *pool,
                                    const char **why)
{
    const idem_driver *driver = front->store->driver;
    const unsigned char *token = idem_value_token(seen);
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    if (rv != APR_SUCCESS)
        return end_tending(&call, rv, why);
    if (idem_value_state(seen) == IDEM_STATE_LEASE)
        rv = driver->release(front->store, &call, slot, token);
    else if (driver->forget_seen)
        rv = driver->forget_seen(front->store, &call, slot, token);
    else
        rv = look_then_forget(front, &call, slot, token);
    return end_tending(&call, rv, why);
}

apr_status_t idem_front_put(idem_front *front, idem_blob value, apr_pool_t *pool, const char **why)
{
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    if (rv == APR_SUCCESS)
        rv = front->store->driver->settle(front->store, &call, idem_value_slot(value), value);
    return end_tending(&call, rv, why);
}

apr_status_t idem_front_account(idem_front *front, apr_pool_t *pool, idem_store_status *status, const char **why)
{
    idem_call call;
    apr_status_t rv = begin_tending(front, &call, pool);

    memset(status, 0, sizeof(*status));
    if (rv == APR_SUCCESS)
        rv = front->store->driver->status(front->store, &call, status);
    return end_tending(&call, rv, why);
}

unsigned long idem_front_process(const idem_front *front, apr_uint64_t owner)
{
    const idem_driver *driver = front->store->driver;

    return driver->process && owner ? driver->process(front->store, owner) : 0;
}
