/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claim.c - how a lease begins: claimed, taken over, and still ours when the handler is entered.
 *
 * Called by the gate. What always holds: where nobody knows whether the store did its call, the keeper withdraws it
 * once the store answers again.
 */
#include "claim.h"

#include "child.h"
#include "compare.h"
#include "keeper.h"
#include "log.h"
#include "prints.h"
#include "threads.h"

/* Whatever was claimed is withdrawn once the store answers again. What was taken over goes back to being unknown. */
static void withdraw_claim(idem_txn *txn)
{
    idem_head head = txn->head;

    head.state = IDEM_STATE_UNKNOWN;
    if (head.attempt > 1)
        idem_keeper_settle_head(txn->front, &head);
    else
        idem_keeper_withdraw(txn->front, txn->head.slot, txn->head.token);
}

static idem_event store_trouble(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    idem_txn_log_store(txn, what, rv, why);
    txn->problem = IDEM_PROBLEM_STORE_UNAVAILABLE;
    return IDEM_EV_STORE_DOWN;
}

/* Claim or takeover failed. Without an answer, or with one that does not say what happened, it may have been done. */
static idem_event lease_trouble(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    if (rv != IDEM_EDOWN && rv != IDEM_EDAMAGED && rv != IDEM_EFULL && rv != IDEM_ETOOBIG)
        withdraw_claim(txn);
    return store_trouble(txn, what, rv, why);
}

/* A key claimed here would be held for the child, which knows nothing of this process and lives on when it dies. */
static void tell_of_copy(idem_txn *txn)
{
    if (idem_child_is_copy() && idem_child_may_tell())
        IDEM_LOG(txn, APLOG_ERR, 171,
                 "a process that was forked from a child of httpd serves this request; it has no store, so its "
                 "guarded requests get 503. Another module forks for requests, or a handler's fork() returned");
}

/* Where the slot was seen to be empty it is so still, as a rule: the claim finds out. */
static apr_status_t send_claim(idem_txn *txn, int was_empty, const char **why)
{
    apr_status_t rv = idem_front_lease(txn->front, &txn->head);

    txn->claimed_at = idem_monotonic();
    if (rv == APR_SUCCESS)
        rv = idem_prints_tell(txn);
    if (rv != APR_SUCCESS)
        return rv;
    return was_empty ? idem_front_claim_empty(txn->front, &txn->head, txn->r->pool, &txn->seen, why)
                     : idem_front_claim(txn->front, &txn->head, txn->r->pool, &txn->seen, why);
}

idem_event idem_txn_claim(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_peek(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why);

    if (rv != APR_EEXIST)
        rv = send_claim(txn, rv == APR_NOTFOUND, &why);
    if (rv == APR_SUCCESS)
        return IDEM_EV_WON;
    if (rv == APR_EEXIST) {
        if (txn->seen.corrupt)
            IDEM_LOG(txn, APLOG_WARNING, 11, "the store holds an unusable value: %s", why ? why : "unknown reason");
        return idem_compare_found(txn);
    }
    tell_of_copy(txn);
    lease_trouble(txn, "claim", rv, why);
    return txn->settings->store_failure == IDEM_FAILURE_BYPASS && !txn->detecting ? IDEM_EV_STORE_BYPASS
                                                                                  : IDEM_EV_STORE_DOWN;
}

idem_event idem_txn_take_over(idem_txn *txn)
{
    unsigned char dead[IDEM_TOKEN_LEN];
    const char *why = NULL;
    apr_status_t rv = idem_front_lease(txn->front, &txn->head);

    memcpy(dead, txn->seen.head.token, sizeof(dead));
    txn->claimed_at = idem_monotonic();
    txn->head.attempt = txn->seen.head.attempt + 1;
    if (rv == APR_SUCCESS)
        rv = idem_front_takeover(txn->front, &txn->head, dead, txn->r->pool, &why);
    if (rv == APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_NOTICE, 12,
                 "this request takes over the key: its owner died or did not know its outcome, attempt %u",
                 txn->head.attempt);
        return IDEM_EV_WON;
    }
    if (rv != IDEM_ELOST && rv != IDEM_EALIVE && rv != APR_NOTFOUND)
        return lease_trouble(txn, "takeover", rv, why);
    txn->head.attempt = 1;
    return IDEM_EV_LOST;
}

idem_event idem_txn_start(idem_txn *txn)
{
    const char *why = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (idem_front_store(txn->front)->flags & IDEM_HOST_LOCAL)
        return IDEM_EV_STARTED;
    if (idem_monotonic() - txn->claimed_at > txn->head.lease / 2)
        rv = idem_front_renew(txn->front, &txn->head, txn->r->pool, &why);
    if (rv == IDEM_ELOST || rv == APR_NOTFOUND)
        return IDEM_EV_LOST;
    if (rv == APR_SUCCESS)
        rv = idem_renewer_hold(txn->front, &txn->head, &txn->held);
    if (rv == APR_SUCCESS)
        return IDEM_EV_STARTED;
    withdraw_claim(txn); /* it was won, and nothing has run */
    return store_trouble(txn, "renewal", rv, why);
}
