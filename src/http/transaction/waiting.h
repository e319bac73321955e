/*
 * waiting.h - duplicates that wait for the outcome of the request that has their slot (IdempotencyConcurrent wait).
 *
 * A waiter holds a worker, so their number is bounded twice: over the whole server, and per child in proportion to its threads, so
 * that a child always has threads for other requests. In its own process a waiter is woken when the owner settles; for an owner in
 * another process it looks with growing pauses.
 */
#ifndef IDEM_WAITERS_H
#define IDEM_WAITERS_H

#include "txn.h"

/* post_config: makes the shared table; most is IdempotencyMaxWaiters, 0 for a quarter of the workers. */
apr_status_t idem_waiters_open(apr_pool_t *pconf, apr_int64_t most);

/* child_init. */
void idem_waiters_attach(void);

/*
 * Waits until the slot holds something else than somebody's lease, or settings->wait has passed since the first call. Returns
 * the event for the lease's table; txn->seen and txn->problem are filled.
 */
idem_event idem_wait(idem_txn *txn);

/* Somebody of this process settled or released slot. Any thread, the keeper included. */
void idem_waiters_notify(const unsigned char slot[IDEM_SLOT_LEN]);

/* The client cannot be answered any more, as far as httpd can tell without waiting. */
int idem_client_gone(request_rec *r);

#endif
