/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.h - what must outlive a request: settlements the store did not take, claims to withdraw, sweeps.
 *
 * One thread per child does it; where the MPM has no threads, from the first job on.
 *
 * Jobs own their memory. Their number of bytes is bounded: beyond it a record is shortened to a tombstone. The thread
 * touches nothing that a dying child frees.
 */
#ifndef IDEM_KEEPER_H
#define IDEM_KEEPER_H

#include "front.h"

#include <stdatomic.h>

#include <httpd.h>

/* child_init. */
void idem_keeper_start(server_rec *s);

/* Async-signal-safe: the thread touches nothing more once its call under way has ended. */
void idem_keeper_stop(void);

/* Is the thread inside a store? */
int idem_keeper_busy(void);

/*
 * A graceful end has time. The calling thread repeats all waiting jobs, since a store in trouble may recover meanwhile.
 * *hurry ends it before half a minute is over. Called after idem_keeper_stop().
 */
void idem_keeper_last_tries(const atomic_int *hurry);

/*
 * Repeats the settlement until the store acknowledges or refuses it, and keeps the lease until then. head is the
 * lease's; value is copied, fallback (a tombstone) too.
 */
void idem_keeper_settle(idem_front *front, const idem_head *head, idem_blob value, idem_blob fallback);

/* The same for an outcome without a response. If it could not be encoded for want of memory, that is repeated, too. */
void idem_keeper_settle_head(idem_front *front, const idem_head *head);

/* The store answers again: what waits for it is tried at once. Any thread. */
void idem_keeper_hurry(const idem_front *front);

/*
 * A guarded request was answered. A process without threads sweeps the store now. If the keeper's thread could not
 * start before, this tries again.
 */
void idem_keeper_request_ended(void);

/* Withdraws a claim whose answer was lost. */
void idem_keeper_withdraw(idem_front *front, const unsigned char *slot, const unsigned char *token);

#endif
