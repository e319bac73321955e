/* SPDX-License-Identifier: Apache-2.0 */
/*
 * found.c - what a request found in its slot, in words for the log.
 *
 * Called for the one line that a replay or a refusal writes with LogLevel info, and not without it. Its readers want to
 * know what stands in the way, since when, and which process to look at. On a store of one host, each process writes
 * its owner's number to the log at its start (IDEM220).
 */
#include "found.h"

#include "text.h"

#include <apr_strings.h>

static const char *state_text(const idem_seen *seen)
{
    switch (seen->head.state) {
    case IDEM_STATE_LEASE: return "a lease";
    case IDEM_STATE_RECORD: return "a record";
    case IDEM_STATE_TOMBSTONE: return "a tombstone";
    case IDEM_STATE_UNKNOWN: return "an unknown outcome";
    default: return NULL;
    }
}

static const char *owner_text(const idem_txn *txn)
{
    const idem_seen *seen = &txn->seen;
    const idem_store *store = idem_front_store(txn->front);

    if (seen->head.state != IDEM_STATE_LEASE)
        return "";
    if (!(store->flags & IDEM_HOST_LOCAL))
        return seen->owner_dead ? ", its owner is silent" : ", its owner lives";
    if (seen->head.owner == store->owner)
        return ", its owner is this process";
    return apr_psprintf(txn->r->pool, ", its owner %s: %" APR_UINT64_T_HEX_FMT, seen->owner_dead ? "is dead" : "lives",
                        seen->head.owner);
}

const char *idem_found_text(const idem_txn *txn)
{
    const idem_seen *seen = &txn->seen;
    const char *state = state_text(seen), *since = "", *attempt = "";
    apr_pool_t *pool = txn->r->pool;

    if (seen->corrupt)
        return "; the slot holds an unusable value";
    if (!state)
        return "";
    if (seen->written)
        since = apr_pstrcat(pool, " since ", idem_time_text(seen->written, pool), NULL);
    if (seen->head.attempt > 1)
        attempt = apr_psprintf(pool, ", attempt %u", seen->head.attempt);
    return apr_pstrcat(pool, "; the slot holds ", state, since, attempt, owner_text(txn), NULL);
}
