/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - is the store there, and is it back?
 *
 * Called by the glue's thread while the breaker is open, and by others that want to know the store's health. What
 * always holds: at most one probe is inside the driver; it changes nothing in the store. Limits: a driver that is stuck
 * holds the thread that probes.
 */
#include "front_private.h"

/* Between two looks at a driver that another thread is attaching, or may attach in a moment. */
#define SHORT_PAUSE apr_time_from_msec(50)

/*
 * First where the trouble was. Then a settlement: a store that only answers readers (replicas are missing, a writer
 * holds the lock) is not back.
 */
static apr_status_t look_again(idem_front *front, int part, idem_call *call, const unsigned char *slot)
{
    apr_status_t rv = APR_SUCCESS;
    idem_found found;

    memset(&found, 0, sizeof(found));
    if (slot)
        rv = front->store->driver->fetch(front->store, call, slot, &found);
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return rv;
    call->deadline = apr_time_now() + front->timeout; /* the first may have had to connect */
    return idem_front_mark_again(front, part, call);
}

static void probe_part(idem_front *front, int part, apr_pool_t *pool)
{
    idem_breaker *breaker = &front->breakers[part];
    idem_call call = {.pool = pool, .deadline = apr_time_now() + front->timeout};
    unsigned char slot[IDEM_SLOT_LEN];
    idem_visit visit;
    int has_slot;
    apr_status_t rv;

    if (!idem_breaker_enter_to_probe(breaker, &visit, slot, &has_slot))
        return;
    rv = look_again(front, part, &call, has_slot ? slot : NULL);
    if (rv != APR_SUCCESS && !call.why)
        call.why = idem_store_sentence(rv, pool);
    idem_breaker_leave(breaker, &visit, idem_front_sign(front, IDEM_OP_SETTLE, rv), call.why);
    if (rv == IDEM_EDAMAGED)
        idem_front_damaged(front, call.why);
}

apr_interval_time_t idem_front_probe(idem_front *front, int part, apr_pool_t *pool)
{
    const char *why;
    apr_status_t rv = idem_front_ready(front, 1, pool, &why);

    if (rv == IDEM_EDAMAGED)
        return 0;
    if (rv != APR_SUCCESS)
        return SHORT_PAUSE;
    probe_part(front, part, pool);
    return atomic_load(&front->phase) == IDEM_FRONT_ATTACHED ? idem_breaker_due(&front->breakers[part]) : 0;
}
