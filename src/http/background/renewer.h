/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renewer.h - leases on stores that several hosts share: renewed while their owner lives.
 *
 * On such a store an owner that is not heard of for IdempotencyLease counts as dead. One thread per child and shared
 * store renews every held lease at a third of that time. So a store that hangs delays no other store's leases.
 */
#ifndef IDEM_RENEWER_H
#define IDEM_RENEWER_H

#include "front.h"

#include <httpd.h>

typedef struct idem_held idem_held;

/* child_init: a thread for each front whose store is not host-local. */
void idem_renewer_start(apr_pool_t *pchild, server_rec *s);

/*
 * Renews lease from now on; *held is NULL where the store needs no renewal. Fails where nobody could renew the lease.
 * Its owner would then be taken for dead, so nothing may run. Any thread.
 */
apr_status_t idem_renewer_hold(idem_front *front, const idem_head *lease, idem_held **held);

/*
 * No more renewals, held may be NULL. Waits for a renewal under way, at most as long as a store call may take. A later
 * renewal finds a settled entry, and does not change it (renew's contract). given_back: the lease is about to be
 * released, and no entry remains. If the store lost the lease and the thread claimed it again meanwhile, that claim
 * goes, too.
 */
void idem_renewer_drop(idem_held *held, int given_back);

/* The store answers again: leases that could not be renewed are renewed at once. Any thread. */
void idem_renewer_hurry(const idem_front *front);

/* Async-signal-safe: the threads touch nothing more once their call under way has ended. */
void idem_renewer_stop(void);
/* It has been stopped, and a call of its is under way. */
int idem_renewer_ending(void);

#endif
