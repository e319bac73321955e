/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.c - what differs for a transaction that only watches.
 *
 * Called by the gate instead of answering, after a handler, and when the request is logged. The lease's table is the
 * same. A finished request leaves a tombstone, which here stands for any entry that would have been kept.
 */
#include "detect.h"

#include "intake.h"
#include "log.h"
#include "conclude.h"
#include "returned.h"
#include "settle.h"

#include <http_protocol.h>

int idem_detect_pass(idem_txn *txn, idem_outcome outcome)
{
    idem_txn_outcome(txn, outcome);
    return DECLINED;
}

static idem_event detected_verdict(const idem_txn *txn, request_rec *r, int rv)
{
    int status = rv == OK || rv == DONE ? r->status : rv;
    idem_returned means = status == rv ? idem_returned_means(txn, r, rv) : IDEM_RETURNED_NOTHING;
    int listed = idem_is_release_status(txn, status);

    if (means == IDEM_RETURNED_UNSENT || means == IDEM_RETURNED_FAILURE)
        return means == IDEM_RETURNED_UNSENT && listed ? IDEM_EV_RETRYABLE : IDEM_EV_CUT;
    if (idem_intake_cut(txn))
        return IDEM_EV_BODY_CUT;
    if (r->connection->aborted || idem_proxy_broke(r, rv))
        return IDEM_EV_CUT;
    return txn->app_says_no_store || listed ? IDEM_EV_RETRYABLE : IDEM_EV_OVERSIZE;
}

int idem_detect_conclude(idem_txn *txn, request_rec *r, int rv)
{
    if (txn->phase != IDEM_PHASE_RUNNING || rv == SUSPENDED)
        return rv;
    if (rv != DECLINED)
        idem_txn_settle(txn, detected_verdict(txn, r, rv), NULL);
    else if (r == txn->r)
        idem_txn_settle(txn, IDEM_EV_DECLINED, NULL);
    idem_txn_export(txn, txn->r);
    return rv;
}

void idem_detect_end(idem_txn *txn)
{
    const idem_print *kept = &txn->seen.head.print;

    if (txn->outcome == IDEM_OUTCOME_REPLAYED && (kept->body_flags & IDEM_BODY_KNOWN) &&
        idem_intake_print(txn, &txn->head.print) == APR_SUCCESS &&
        idem_print_compare_body(kept, &txn->head.print) == IDEM_LIKENESS_DIFFERENT)
        txn->outcome = idem_outcome_of(IDEM_PROBLEM_KEY_REUSED);
    IDEM_LOG(txn, APLOG_INFO, 55, "%s", txn->outcome ? idem_txn_outcome_text(txn) : "detected: nothing");
}
