/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status.c - how full a store is, as its driver sees it.
 *
 * Called for readers of metrics, who come every few seconds. So it asks only stores whose status is a cheap look
 * without waiting, and only while they are known to answer. No observer is told of the call.
 */
#include "front_private.h"

apr_status_t idem_front_status(idem_front *front, apr_pool_t *pool, idem_store_status *status, const char **why)
{
    idem_call call = {.pool = pool, .deadline = apr_time_now() + front->timeout};
    idem_health health;
    apr_status_t rv;

    if (!(front->store->flags & IDEM_READS_FREE)) {
        *why = "this store would have to be searched";
        return APR_ENOTIMPL;
    }
    idem_front_health(front, &health);
    rv = health.state == IDEM_BREAKER_CLOSED ? idem_front_ready(front, 0, pool, &call.why) : IDEM_EDOWN;
    if (rv == APR_SUCCESS)
        rv = front->store->driver->status(front->store, &call, status);
    if (rv != APR_SUCCESS && !call.why)
        call.why = idem_store_sentence(rv, pool);
    *why = call.why;
    return rv;
}
