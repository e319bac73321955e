/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patience.c - waits until a connection to Redis can be used, and no longer than its call's deadline.
 *
 * Called by transport.c and tls.c, which find that there is nothing to read yet, or no room to write. What always
 * holds: this is the only place of the driver that waits for a socket, connecting apart. Limits: milliseconds.
 */
#include "redis_private.h"

#include <errno.h>

#define POLL_MOST apr_time_from_sec(60)

apr_status_t idem_redis_late(idem_call *call)
{
    return idem_fail(call, APR_TIMEUP, "Redis did not answer in time");
}

apr_status_t idem_redis_wait(const idem_redis_conn *conn, short what, idem_call *call)
{
    for (;;) {
        struct pollfd ready = {conn->redis->fd, what, 0};
        apr_interval_time_t left = call->deadline - apr_time_now();
        int count;

        if (left <= 0)
            return idem_redis_late(call);
        count = poll(&ready, 1, (int)((left < POLL_MOST ? left : POLL_MOST) / 1000 + 1));
        if (count > 0)
            return APR_SUCCESS;
        if (count < 0 && errno != EINTR)
            return idem_fail(call, errno, "waiting for Redis failed: %s", strerror(errno));
    }
}
