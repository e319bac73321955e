/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wakeup.h - places of requests that wait for another one, and the bells that wake them.
 *
 * A waiter holds a worker. So places have two bounds: one over the whole server, and one per child in proportion to its
 * threads. A child thus always has threads for other requests. All functions but the first two may be called by any
 * thread.
 */
#ifndef IDEM_WAKEUP_H
#define IDEM_WAKEUP_H

#include "idem_store.h"

/* post_config: makes the shared table in pconf; most is IdempotencyMaxWaiters, 0 for a quarter of the workers. */
apr_status_t idem_wakeup_open(apr_pool_t *pconf, apr_int64_t most);

/* child_init. */
void idem_wakeup_attach(void);

/* A place for one waiter, NULL when all are taken. Given back by idem_place_leave(). */
volatile apr_uint32_t *idem_place_take(void);
void idem_place_leave(volatile apr_uint32_t *place);

/*
 * A waiter notes the rings for its slot, looks at the store, and sleeps: a ring that came between the two ends the
 * sleep at once. pause is the longest sleep, in microseconds.
 */
apr_uint32_t idem_wakeup_rings(const unsigned char slot[IDEM_SLOT_LEN]);
void idem_wakeup_sleep(const unsigned char slot[IDEM_SLOT_LEN], apr_uint32_t rings, apr_interval_time_t pause);

/* Somebody of this process settled or released slot. */
void idem_wakeup_ring(const unsigned char slot[IDEM_SLOT_LEN]);

#endif
