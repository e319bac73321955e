/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.h - IdempotencyMaxKeys: how many new keys one scope may bring in a period.
 *
 * Only new keys count: a key that the store knows is never refused. The gate asks twice. Called before a claim, so a
 * scope that has had its share costs one look at the store and no write. Called again after a claim that won, where the
 * count is exact. A key that is given back (nothing was executed, or the application said so) is taken off the count
 * again.
 *
 * The counters are one table of fixed size for the server, in memory that its children share. They are this host's, and
 * begin anew with each restart, a graceful one included: until its last requests have ended, the old generation counts
 * for itself.
 */
#ifndef IDEM_QUOTA_H
#define IDEM_QUOTA_H

#include "txn.h"

/* post_config: makes the table. */
apr_status_t idem_quota_open(apr_pool_t *pconf);

/* Names the counter of a scope; values as idem_slot_make() has them. */
apr_status_t idem_quota_name(idem_txn *txn, const idem_part_value *scope, int parts);

/* No claim is sent: the scope has had its share, and the store does not know this key. Fills txn->problem then. */
int idem_quota_spent(idem_txn *txn);

/* A claim has won: counts its key, once. Not zero if there was no room for it; fills txn->problem then. */
int idem_quota_exceeded(idem_txn *txn);

/* The slot is given back. */
void idem_quota_give_back(idem_txn *txn);

#endif
