/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare.h - is what stands in the slot the same request as this one, and what follows from that.
 *
 * These read txn->seen, set txn->problem and txn->detail where the answer will be a refusal, and return the event for
 * the lease's table.
 */
#ifndef IDEM_COMPARE_H
#define IDEM_COMPARE_H

#include "txn.h"

/* Somebody has the slot: BUSY, BUSY_WAIT, FOUND, UNSURE or UNSURE_RETRY. Reads nothing more of the request. */
idem_event idem_compare_found(idem_txn *txn);

/* A record or tombstone was found: SAME, SAME_TOMBSTONE, DIFFERENT, UNSURE or BODY_CUT. May read the body on. */
idem_event idem_compare_settled(idem_txn *txn);

/*
 * The owner's handler has run, and the slot is another's. Looks what stands there now; problem is NONE where txn->seen
 * is a record that may answer this request. After its execution a client is not told that the key is another's, nor to
 * come back when the store is there. It is told that the outcome is unknown: it has acted, and nobody keeps the result.
 */
void idem_compare_lost(idem_txn *txn);

#endif
