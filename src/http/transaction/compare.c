/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare.c - verdicts on two fingerprints.
 *
 * Called by the gate, and by conclude.c for an owner that lost its slot. The client is told the configured names of the
 * parts that differ, never their values. Where credentials differ, nothing else is named: a stranger learns nothing
 * about the request that used the key.
 */
#include "compare.h"

#include "identity.h"
#include "intake.h"
#include "log.h"
#include "prints.h"
#include "settle.h"

#include <apr_strings.h>

static const idem_part *part_at(const idem_txn *txn, int i)
{
    return &APR_ARRAY_IDX(txn->settings->fingerprint, i, const idem_part);
}

/*
 * A client is told no more than that its credentials differ. An administrator is told in what, by name: where a cookie
 * changes with each page, IdempotencySessionCookie has to name the one that counts. Only a record knows what the first
 * request's client was known by.
 */
static void say_who_differs(const idem_txn *txn)
{
    static const idem_response nothing;
    int is_known = txn->seen.head.state == IDEM_STATE_RECORD;
    const char *names = idem_identity_differs(&txn->asked, idem_keyring_print_key(txn->ring),
                                              is_known ? &txn->seen.response : &nothing);

    IDEM_LOG(txn, APLOG_INFO, 140, "the credentials are not those of the key's first request%s: %s",
             is_known ? ", they differ in" : "; this request has",
             names ? names : "credentials of a kind that is not told apart");
}

/* What should have been found in a body that was too long to be looked into: there the bytes count. */
static int stands_for_body(const idem_txn *txn, const idem_part *part)
{
    return idem_part_is_in_body(part) && !idem_parts_have(txn->settings->fingerprint, IDEM_PART_BODY);
}

static idem_problem key_reused(idem_txn *txn, unsigned differ, int body_differs)
{
    apr_array_header_t *names = apr_array_make(txn->r->pool, 4, sizeof(const char *));

    for (int i = 0; i < txn->settings->fingerprint->nelts && i < IDEM_PARTS_MAX; i++) {
        const idem_part *part = part_at(txn, i);
        int differs = part->kind == IDEM_PART_BODY
                          ? body_differs
                          : (int)(differ >> i & 1U) || (body_differs && stands_for_body(txn, part));

        if (!differs)
            continue;
        if (part->kind == IDEM_PART_CREDENTIALS) {
            apr_array_clear(names);
            APR_ARRAY_PUSH(names, const char *) = part->spelled;
            say_who_differs(txn);
            break;
        }
        APR_ARRAY_PUSH(names, const char *) = part->spelled;
    }
    txn->detail = apr_psprintf(txn->r->pool,
                               "This key was used before for a request that differs in: %s. Use a new key for a "
                               "new operation. Use the same key only to repeat the same request.",
                               apr_array_pstrcat(txn->r->pool, names, ','));
    return IDEM_PROBLEM_KEY_REUSED;
}

/* All parts but the body. Which of them differ is asked for only where one does. */
static idem_likeness compare_rest(idem_txn *txn, const idem_print *kept, unsigned *differ)
{
    const idem_print *mine = &txn->head.print;
    idem_likeness likeness;

    if (kept->body_flags & mine->body_flags & IDEM_PRINT_BRIEF) {
        likeness = idem_print_compare_rest(kept, mine, differ);
        if (likeness != IDEM_LIKENESS_DIFFERENT)
            return likeness;
    }
    mine = idem_prints_like(txn, kept);
    return mine ? idem_print_compare_rest(kept, mine, differ) : IDEM_LIKENESS_INCOMPARABLE;
}

/* What can be said without reading on: SAME means "nothing speaks against it". */
static idem_likeness compare_now(idem_txn *txn)
{
    const idem_print *kept = &txn->seen.head.print;
    unsigned differ = 0;
    idem_likeness likeness = compare_rest(txn, kept, &differ);
    int body_differs = likeness != IDEM_LIKENESS_INCOMPARABLE && (kept->body_flags & IDEM_BODY_USED) &&
                       idem_print_compare_body(kept, &txn->head.print) == IDEM_LIKENESS_DIFFERENT;

    if (likeness == IDEM_LIKENESS_INCOMPARABLE)
        return likeness;
    if (likeness == IDEM_LIKENESS_SAME && !body_differs)
        return IDEM_LIKENESS_SAME;
    txn->problem = key_reused(txn, differ, body_differs);
    return IDEM_LIKENESS_DIFFERENT;
}

/* A handler that hangs is neither waited for nor run beside. Its record, should it come, is replayed as ever. */
static int runs_too_long(idem_txn *txn)
{
    if (!txn->settings->max_run || txn->seen.age < txn->settings->max_run)
        return 0;
    txn->detail =
        "The first request with this idempotency key has been running for longer than the server waits. It may "
        "still take effect. This one was not executed. Find out by other means what happened. If the first one "
        "still ends, a repeated request gets its response.";
    return 1;
}

static int may_wait(const idem_txn *txn)
{
    return txn->settings->concurrent == IDEM_CONCURRENT_WAIT && !txn->detecting && !txn->lookup;
}

/* The configuration lets an interrupted operation run again, or an administrator has decided so for this one. */
static int may_take_over(const idem_txn *txn)
{
    int is_allowed = txn->settings->interrupted == IDEM_INTERRUPTED_RETRY || (txn->seen.head.flags & IDEM_HEAD_RETRY);

    return is_allowed && !txn->lookup;
}

idem_event idem_compare_found(idem_txn *txn)
{
    idem_likeness likeness;

    txn->problem = IDEM_PROBLEM_OUTCOME_UNKNOWN;
    if (txn->seen.corrupt)
        return IDEM_EV_UNSURE;
    if (txn->seen.head.state == IDEM_STATE_RECORD || txn->seen.head.state == IDEM_STATE_TOMBSTONE)
        return IDEM_EV_FOUND;
    likeness = compare_now(txn);
    if (txn->seen.head.state == IDEM_STATE_LEASE && !txn->seen.owner_dead) {
        if (likeness == IDEM_LIKENESS_DIFFERENT)
            return IDEM_EV_BUSY;
        if (runs_too_long(txn))
            return IDEM_EV_UNSURE;
        txn->problem = IDEM_PROBLEM_IN_PROGRESS;
        return may_wait(txn) ? IDEM_EV_BUSY_WAIT : IDEM_EV_BUSY;
    }
    txn->is_same = likeness == IDEM_LIKENESS_SAME;
    if (likeness == IDEM_LIKENESS_SAME && may_take_over(txn))
        return IDEM_EV_UNSURE_RETRY;
    return IDEM_EV_UNSURE;
}

idem_event idem_compare_settled(idem_txn *txn)
{
    const idem_print *kept = &txn->seen.head.print;
    idem_likeness likeness = compare_now(txn);

    if (likeness == IDEM_LIKENESS_DIFFERENT)
        return IDEM_EV_DIFFERENT;
    if (likeness == IDEM_LIKENESS_SAME && (kept->body_flags & IDEM_BODY_USED) && !txn->detecting) {
        txn->input_status = idem_intake_reach(txn, kept, &txn->head.print);
        if (txn->input_status != OK)
            return IDEM_EV_BODY_CUT;
        likeness = idem_print_compare_body(kept, &txn->head.print);
        if (likeness == IDEM_LIKENESS_DIFFERENT) {
            txn->problem = key_reused(txn, 0, 1);
            return IDEM_EV_DIFFERENT;
        }
    }
    if (likeness == IDEM_LIKENESS_INCOMPARABLE) {
        txn->problem = IDEM_PROBLEM_OUTCOME_UNKNOWN;
        txn->detail = "The server's rules for comparing two requests have changed since this key was used.";
        return IDEM_EV_UNSURE;
    }
    txn->is_same = 1;
    if (txn->seen.head.state == IDEM_STATE_RECORD)
        return IDEM_EV_SAME;
    txn->problem = txn->detecting ? IDEM_PROBLEM_NONE : IDEM_PROBLEM_RESPONSE_NOT_KEPT;
    return IDEM_EV_SAME_TOMBSTONE;
}

void idem_compare_lost(idem_txn *txn)
{
    idem_txn_look_again(txn);
    if (txn->problem == IDEM_PROBLEM_IN_PROGRESS) {
        if (compare_now(txn) != IDEM_LIKENESS_DIFFERENT)
            return;
    }
    else if (txn->problem == IDEM_PROBLEM_NONE || txn->problem == IDEM_PROBLEM_RESPONSE_NOT_KEPT) {
        idem_event event = idem_compare_settled(txn);

        if (event == IDEM_EV_SAME || event == IDEM_EV_SAME_TOMBSTONE)
            return;
    }
    txn->problem = IDEM_PROBLEM_OUTCOME_UNKNOWN;
    txn->detail = NULL;
}
