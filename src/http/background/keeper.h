/*
 * keeper.h - what must outlive a request: settlements the store did not take, claims to withdraw, sweeps.
 *
 * One thread per child does it; where the MPM has no threads, from the first job on.
 *
 * Jobs own their memory. Their number of bytes is bounded: beyond it a record is shortened to a tombstone. The thread touches
 * nothing that a dying child frees; at the child's end it is parked, not joined, since prefork ends inside a signal handler.
 */
#ifndef IDEM_KEEPER_H
#define IDEM_KEEPER_H

#include "front.h"

#include <httpd.h>

void idem_keeper_start(apr_pool_t *pchild, server_rec *s);

/* child_stopping: from here on no cleanup does store I/O (an ungraceful stop), see DESIGN of cleanups in docs/design.md. */
void idem_keeper_child_stopping(apr_pool_t *pchild, int graceful);
int idem_keeper_stopping(void);

/* Repeats the settlement until the store acknowledges or refuses it. value is copied; fallback (a tombstone) too. */
void idem_keeper_settle(idem_front *front, idem_blob value, idem_blob fallback);

/* The same for an outcome without a response that could not be encoded, for want of memory: that is repeated too. */
void idem_keeper_settle_head(idem_front *front, const idem_head *head);

/* The store answers again: what waits for it is tried at once. Any thread. */
void idem_keeper_hurry(const idem_front *front);

/*
 * A guarded request was answered: in a process without threads, this is when the store is swept; a thread that was not to be had is
 * asked for again.
 */
void idem_keeper_request_ended(void);

/* Withdraws a claim whose answer was lost. */
void idem_keeper_withdraw(idem_front *front, const unsigned char *slot, const unsigned char *token);

#endif
