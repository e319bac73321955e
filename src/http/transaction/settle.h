/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle.h - the store calls by which a transaction ends its lease.
 */
#ifndef IDEM_SETTLE_H
#define IDEM_SETTLE_H

#include "txn.h"

/* If txn still holds a lease when its request's pool ends, the lease is settled then, and the request is counted. */
void idem_txn_settle_at_end(idem_txn *txn);

/* Gives the slot back before anything was executed. */
void idem_txn_release(idem_txn *txn);

/*
 * Sends the settlement that event asks for (RECORDED with a response, OVERSIZE, RETRYABLE, CUT, BODY_CUT, DECLINED,
 * GONE) and goes on until the transaction is done. Returns IDEM_DO_ANSWER, IDEM_DO_KEEP or IDEM_DO_ANSWER_FROM_SLOT.
 */
idem_action idem_txn_settle(idem_txn *txn, idem_event event, const idem_response *response);

/* Fills txn->seen from the slot as it is now; problem says why where there is no record. Whose it is, compare.h
 * says. */
void idem_txn_look_again(idem_txn *txn);

#endif
