/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_slot.c - what each operation does to one slot, in one process.
 *
 * Every condition of idem_store.h's operations, each from every state a slot can be in. "Changes nothing" is checked by
 * comparing the bytes that stand there afterwards.
 */
#include "conformance_kit.h"

#define FAMILY 1

typedef struct names {
    kit_name slot, mine, other;
} names;

static names of(unsigned long number)
{
    names n = {kit_slot(FAMILY, number), kit_token(FAMILY, 2 * number), kit_token(FAMILY, 2 * number + 1)};
    return n;
}

static const idem_state settled[] = {IDEM_STATE_RECORD, IDEM_STATE_TOMBSTONE, IDEM_STATE_UNKNOWN};
#define SETTLED_STATES (sizeof(settled) / sizeof(settled[0]))

/* ---- claim ------------------------------------------------------------------------------------------------------- */

static void claim_job(worker *w)
{
    names n = of(1);

    EXPECT(w, kit_fetch(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_EEXIST);
    CHECK(w->k, kit_same(w->found.value, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine)));
    CHECK(w->k, !w->found.owner_dead);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS); /* the repetition of one whose answer was lost */
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));

    for (size_t i = 0; i < SETTLED_STATES; i++) {
        n = of(10 + i);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_EEXIST);
        CHECK(w->k, kit_same(w->found.value, kit_small(w, settled[i], &n.slot, &n.mine)));
        EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_EEXIST); /* its own token, but no lease any more */
    }
}

static void claim_orphan_job(worker *w)
{
    names n = of(20);
    kit_orphan(w, &n.slot, &n.mine);
    EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_EEXIST);
    CHECK(w->k, w->found.owner_dead);
    CHECK(w->k, memcmp(idem_value_token(w->found.value), n.mine.bytes, IDEM_TOKEN_LEN) == 0);
}

/* A claim whose caller says that it has just seen the slot empty. */
static apr_status_t claim_as_empty(worker *w, const kit_name *slot, const kit_name *token)
{
    idem_call *call = kit_call(w);

    call->looked = 1;
    return w->k->driver->claim(w->store, call, slot->bytes, kit_small(w, IDEM_STATE_LEASE, slot, token), &w->found);
}

static void claim_looked_job(worker *w)
{
    names n = of(900), lost = of(901);

    EXPECT(w, claim_as_empty(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, claim_as_empty(w, &n.slot, &n.mine), APR_SUCCESS); /* the repetition of one whose answer was lost */
    EXPECT(w, claim_as_empty(w, &n.slot, &n.other), APR_EEXIST); /* another came between */
    CHECK(w->k, kit_same(w->found.value, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine)));
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &lost.slot, &lost.mine), APR_SUCCESS);
    EXPECT(w, claim_as_empty(w, &lost.slot, &lost.other), APR_EEXIST);
    CHECK(w->k, kit_same(w->found.value, kit_small(w, IDEM_STATE_RECORD, &lost.slot, &lost.mine)));
}

/* ---- settle ------------------------------------------------------------------------------------------------------ */

static void settle_job(worker *w)
{
    for (size_t i = 0; i < SETTLED_STATES; i++) {
        names n = of(30 + i);
        idem_blob kept = kit_small(w, settled[i], &n.slot, &n.mine);
        EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT_STANDS(w, &n.slot, kept);
        for (size_t j = 0; j < SETTLED_STATES; j++)
            EXPECT(w, kit_settle(w, settled[j], &n.slot, &n.mine), APR_SUCCESS); /* repeated, and changes nothing */
        EXPECT_STANDS(w, &n.slot, kept);
        EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &n.slot, &n.other), IDEM_ELOST);
        EXPECT_STANDS(w, &n.slot, kept);
    }
}

static void settle_other_job(worker *w)
{
    names n = of(40);
    EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_SUCCESS);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &n.slot, &n.mine), IDEM_ELOST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.other));
}

/* ---- renew, release, forget -------------------------------------------------------------------------------------- */

static void renew_job(worker *w)
{
    names n = of(50);
    EXPECT(w, kit_renew(w, &n.slot, &n.mine), APR_NOTFOUND);
    EXPECT(w, kit_fetch(w, &n.slot), APR_NOTFOUND); /* never creates */
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_renew(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_renew(w, &n.slot, &n.other), IDEM_ELOST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));
}

static void late_renewal_job(worker *w)
{
    for (size_t i = 0; i < SETTLED_STATES; i++) {
        names n = of(60 + i);
        apr_time_t expires;
        EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_fetch(w, &n.slot), APR_SUCCESS);
        expires = w->found.expires;
        EXPECT(w, kit_renew(w, &n.slot, &n.mine), IDEM_ELOST);
        EXPECT_STANDS(w, &n.slot, kit_small(w, settled[i], &n.slot, &n.mine));
        CHECK_NUMBER(w->k, w->found.expires, expires);
    }
}

static void release_job(worker *w)
{
    names n = of(70);
    EXPECT(w, kit_release(w, &n.slot, &n.mine), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_release(w, &n.slot, &n.other), IDEM_ELOST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));
    EXPECT(w, kit_release(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_fetch(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_release(w, &n.slot, &n.mine), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_SUCCESS);
    EXPECT(w, kit_release(w, &n.slot, &n.mine), IDEM_ELOST); /* late: the slot has another owner */

    for (size_t i = 0; i < SETTLED_STATES; i++) {
        n = of(75 + i);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_release(w, &n.slot, &n.mine), IDEM_ELOST);
        EXPECT_STANDS(w, &n.slot, kit_small(w, settled[i], &n.slot, &n.mine));
    }
}

static void forget_job(worker *w)
{
    names n = of(80);
    EXPECT(w, kit_forget(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &n.slot), APR_SUCCESS); /* a lease too: an administrator's word */
    EXPECT(w, kit_fetch(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &n.slot), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.other), APR_SUCCESS);
}

/* What an administrator has seen goes, and nothing that has come instead. */
static void forget_seen_job(worker *w)
{
    names n = of(84);

    if (!w->k->driver->forget_seen)
        return;
    EXPECT(w, kit_forget_seen(w, &n.slot, &n.mine), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_forget_seen(w, &n.slot, &n.mine), IDEM_ELOST); /* a lease is not settled */
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));
    EXPECT(w, kit_release(w, &n.slot, &n.mine), APR_SUCCESS);
    for (size_t i = 0; i < SETTLED_STATES; i++) {
        n = of(85 + i);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.other), APR_SUCCESS);
        EXPECT(w, kit_forget_seen(w, &n.slot, &n.mine), IDEM_ELOST); /* another one by now */
        EXPECT_STANDS(w, &n.slot, kit_small(w, settled[i], &n.slot, &n.other));
        EXPECT(w, kit_forget_seen(w, &n.slot, &n.other), APR_SUCCESS);
        EXPECT(w, kit_forget_seen(w, &n.slot, &n.other), APR_NOTFOUND);
        EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    }
}

/* ---- takeover ---------------------------------------------------------------------------------------------------- */

static void takeover_job(worker *w)
{
    names n = of(90);
    kit_name third = kit_token(FAMILY, 999);

    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), APR_NOTFOUND);
    EXPECT(w, kit_fetch(w, &n.slot), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), IDEM_EALIVE);
    EXPECT(w, kit_takeover(w, &n.slot, &third, &n.other), IDEM_ELOST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));

    n = of(91);
    kit_orphan(w, &n.slot, &n.mine);
    EXPECT(w, kit_takeover(w, &n.slot, &third, &n.other), IDEM_ELOST);
    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), APR_SUCCESS);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.other));
    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), APR_SUCCESS); /* repeated: its answer was lost */
    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &third), IDEM_ELOST);
}

static void takeover_settled_job(worker *w)
{
    for (size_t i = 0; i < SETTLED_STATES; i++) {
        names n = of(100 + i);
        int unknown = settled[i] == IDEM_STATE_UNKNOWN;
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_takeover(w, &n.slot, &n.other, &n.other), IDEM_ELOST);
        EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), unknown ? APR_SUCCESS : IDEM_ELOST);
        EXPECT_STANDS(w, &n.slot,
                      unknown ? kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.other)
                              : kit_small(w, settled[i], &n.slot, &n.mine));
    }
}

static void late_owner_job(worker *w)
{
    names n = of(110);
    kit_orphan(w, &n.slot, &n.mine);
    EXPECT(w, kit_takeover(w, &n.slot, &n.mine, &n.other), APR_SUCCESS);

    for (size_t i = 0; i < SETTLED_STATES; i++)
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), IDEM_ELOST);
    EXPECT(w, kit_renew(w, &n.slot, &n.mine), IDEM_ELOST);
    EXPECT(w, kit_release(w, &n.slot, &n.mine), IDEM_ELOST);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_EEXIST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.other));

    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &n.slot, &n.other), APR_SUCCESS);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &n.slot, &n.mine), IDEM_ELOST);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_RECORD, &n.slot, &n.other));
}

static void heal_job(worker *w)
{
    names n = of(120);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &n.slot), APR_SUCCESS); /* stands for a store that lost it */
    EXPECT(w, kit_renew(w, &n.slot, &n.mine), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
    EXPECT_STANDS(w, &n.slot, kit_small(w, IDEM_STATE_LEASE, &n.slot, &n.mine));

    for (size_t i = 0; i < SETTLED_STATES; i++) {
        n = of(121 + i);
        EXPECT(w, kit_claim(w, &n.slot, &n.mine), APR_SUCCESS);
        EXPECT(w, kit_forget(w, &n.slot), APR_SUCCESS);
        EXPECT(w, kit_settle(w, settled[i], &n.slot, &n.mine), APR_SUCCESS);
        EXPECT_STANDS(w, &n.slot, kit_small(w, settled[i], &n.slot, &n.mine));
    }
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

#define ALONE(name)                     \
    static void name##_case(kit *k)     \
    {                                   \
        kit_alone(k, name##_job, NULL); \
    }

ALONE(claim)
ALONE(claim_looked)
ALONE(claim_orphan)
ALONE(settle)
ALONE(settle_other)
ALONE(renew)
ALONE(late_renewal)
ALONE(release)
ALONE(forget)
ALONE(forget_seen)
ALONE(takeover)
ALONE(takeover_settled)
ALONE(late_owner)
ALONE(heal)

const kit_case kit_cases_slot[] = {
    {"a claim wins an empty slot, loses to whatever stands, and may be repeated", 0, claim_case},
    {"a claim of a slot that was seen empty finds what has come since", 0, claim_looked_case},
    {"a claim that meets an orphaned lease loses and is told so", 0, claim_orphan_case},
    {"settling replaces one's own lease once; repeating it changes nothing", 0, settle_case},
    {"settling another's lease is refused and changes nothing", 0, settle_other_case},
    {"renewing needs one's own lease and never creates", 0, renew_case},
    {"a late renewal after settling changes nothing", 0, late_renewal_case},
    {"releasing removes one's own lease and nothing else", 0, release_case},
    {"forgetting removes whatever stands", 0, forget_case},
    {"forgetting what was seen removes that settled entry and nothing else", 0, forget_seen_case},
    {"takeover of a lease needs the token seen and a dead owner", 0, takeover_case},
    {"takeover of what is settled: unknown yes, record and tombstone no", 0, takeover_settled_case},
    {"a late owner is refused everything", 0, late_owner_case},
    {"an entry that was lost is healed by its owner", 0, heal_case},
    {NULL, 0, NULL},
};
