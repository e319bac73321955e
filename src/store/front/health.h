/* SPDX-License-Identifier: Apache-2.0 */
/*
 * health.h - the health of a store as one process sees it: the breaker knows it, and the front reports it.
 */
#ifndef IDEM_HEALTH_H
#define IDEM_HEALTH_H

#include "idem_store.h"

#define IDEM_EDOWN (IDEM_ESTART + 20) /* not attached, or known to be down: nothing was sent */
#define IDEM_REASON_LEN 512

typedef enum idem_breaker_state {
    IDEM_BREAKER_CLOSED,    /* calls reach the driver */
    IDEM_BREAKER_HALF_OPEN, /* one call is inside to see whether the store is back; the others are refused */
    IDEM_BREAKER_OPEN       /* calls are refused: the store does not answer, or is not attached, or damaged */
} idem_breaker_state;

/* How this process finds the store. The counters begin with the process. */
typedef struct idem_health {
    idem_breaker_state state;
    int part, parts; /* of a store whose parts fail one by one: whose health this is, from 0, and how many there are */
    apr_interval_time_t lasts;            /* microseconds since it last closed or opened; half-open counts as open */
    apr_interval_time_t before;           /* what lasts had been until then: after closing, how long it was open */
    int in_a_row;                         /* calls that failed since one was last answered */
    int inside;                           /* calls inside the driver now */
    int stuck;                            /* … of these, longer than a call may take */
    apr_uint64_t opened, failed, refused; /* how often it opened; calls that failed, and that it refused */
    char reason[IDEM_REASON_LEN];         /* why it opened last; "" if it never did */
} idem_health;

/* Called when the breaker of a part has opened or closed, in the thread whose call made it so, with no lock held. */
typedef void idem_front_watcher(void *baton, const idem_health *health);

#endif
