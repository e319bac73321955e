/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execution.h - a guarded request that reaches a guard of the same store again on its way is still the one decision.
 *
 * The guard that executes adds a field to what a proxy sends on. A second guard reads from it which lease that is, and
 * looks it up. The request passes if the lease's owner lives and the key is that owner's.
 *
 *   Idempotency-Execution: SLOT.PROOF.KEY, …
 *
 * All three are in hex. SLOT names the lease. PROOF is made of it and of its token, which only the lease's owner and
 * the store know. KEY is made of that token and the key. So nobody can make one who has not been given one, and it is
 * worth nothing with another key. What proves nothing goes no further than the guard that looks at it.
 */
#ifndef IDEM_EXECUTION_H
#define IDEM_EXECUTION_H

#include "txn.h"

#define IDEM_EXECUTION_HEADER "Idempotency-Execution"

/* What the field of a request says. */
typedef struct idem_way {
    int inside;                        /* it is on its way in a living execution of the same key: it passes */
    const char *members;               /* those that proved something, for the next guard; NULL for none */
    int over;                          /* it was sent by an execution of the same key that is over */
    unsigned char slot[IDEM_SLOT_LEN]; /* … of this slot */
} idem_way;

/* Reads r's field for a request with this key, and takes it away. Asks the store only where there is one. */
void idem_execution_read(request_rec *r, idem_front *front, idem_blob key, idem_way *way);

/* Is r's chain one that passes? */
int idem_execution_passing(request_rec *r);

/* …; then r's handler is shown whose execution that is. Called for each request of the chain. */
int idem_execution_passes(request_rec *r);

/* Adds the field for the handler of r, if that is a proxy. Returns what idem_execution_hide() needs. */
int idem_execution_show(const idem_txn *txn, request_rec *r);
void idem_execution_hide(request_rec *r, int shown);

#endif
