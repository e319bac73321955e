/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyage.h - IdempotencyKeyAge: a key that is older than the server remembers keys begins nothing any more.
 *
 * A record is forgotten; a client that comes back after that would execute its operation again. Some keys say when they
 * were made. If the store knows such a key, it is answered as usual. If the store does not know it and the key is too
 * old, the request is refused.
 */
#ifndef IDEM_KEYAGE_H
#define IDEM_KEYAGE_H

#include "txn.h"

/*
 * Reads the key's time. IDEM_PROBLEM_KEY_INVALID, with txn->detail, for one that lies in the future or is missing where
 * there must be one.
 */
idem_problem idem_keyage_read(idem_txn *txn);

/* No claim is sent: the key is too old, and the store does not know it. Fills txn->problem then. */
int idem_keyage_spent(idem_txn *txn);

/* A claim has won: may this key begin anything? Not zero if it may not; fills txn->problem then. */
int idem_keyage_exceeded(idem_txn *txn);

#endif
