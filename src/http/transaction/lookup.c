/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lookup.c - the look of a client that only asks.
 *
 * Called by the gate, which then does what the lease's table says. A slot that is empty is refused like a key for which
 * there is no room. What always holds: the store is read and never written.
 */
#include "lookup.h"

#include "compare.h"
#include "prefer.h"

int idem_lookup_is_wanted(const idem_settings *settings, const idem_asked *asked)
{
    return settings->lookup && idem_prefers(idem_header_joined(asked, "Prefer", ","), "idempotency", "lookup");
}

idem_event idem_lookup(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why);

    if (rv == APR_SUCCESS)
        return idem_compare_found(txn);
    if (rv == APR_NOTFOUND) {
        txn->problem = txn->key_expired ? IDEM_PROBLEM_KEY_EXPIRED : IDEM_PROBLEM_KEY_UNKNOWN;
        return IDEM_EV_OVER_LIMIT;
    }
    idem_txn_log_store(txn, "fetch", rv, why);
    txn->problem = IDEM_PROBLEM_STORE_UNAVAILABLE;
    return IDEM_EV_STORE_DOWN;
}
