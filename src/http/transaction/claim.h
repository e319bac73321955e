/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.h - the store calls by which a transaction gets its lease.
 */
#ifndef IDEM_CLAIM_H
#define IDEM_CLAIM_H

#include "txn.h"

/* Each returns the event that tells the table what came out. */
idem_event idem_txn_claim(idem_txn *txn);
idem_event idem_txn_take_over(idem_txn *txn);

/*
 * The handler is about to be entered: STARTED. On a shared store, if half a lease has passed since the claim was sent,
 * a renewal comes first: LOST or STORE_DOWN may come of it.
 */
idem_event idem_txn_start(idem_txn *txn);

#endif
