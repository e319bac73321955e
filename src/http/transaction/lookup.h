/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.h - a client asks for the outcome of a request, and has nothing executed (IdempotencyLookup).
 *
 * It sends the request once more, with "Prefer: idempotency=lookup". The slot's entry answers it, after the same
 * comparison and the same access checks as a retry. Nothing is claimed, taken over, waited for or written.
 */
#ifndef IDEM_LOOKUP_H
#define IDEM_LOOKUP_H

#include "txn.h"

#define IDEM_LOOKUP_APPLIED "idempotency=lookup" /* Preference-Applied */

/* Does r's client ask for an outcome, in a place where it may? */
int idem_lookup_is_wanted(const idem_settings *settings, const idem_asked *asked);

/* Instead of a claim: looks what the slot holds. OVER_LIMIT where it is empty, with txn->problem filled. */
idem_event idem_lookup(idem_txn *txn);

#endif
