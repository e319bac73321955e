/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_race.c - many claimers, one winner; many heirs, one heir; many writers, nobody lost.
 *
 * Contenders meet at a barrier before each round, so that every round is a race.
 */
#include "conformance_kit.h"

#include <stdlib.h>
#include <string.h>

#define FAMILY 4
#define PROCESSES 2
#define THREADS 2
#define CONTENDERS (PROCESSES * THREADS)
#define RACERS_PROCESSES 4
#define RACERS (RACERS_PROCESSES * 2)

/* What a round came to; each contender writes its own places only. */
typedef struct round {
    unsigned char won[RACERS];
    unsigned char lost[RACERS];
    unsigned char seen[RACERS][IDEM_TOKEN_LEN]; /* whose lease the loser was shown */
} round_result;

static kit_name contender_token(int contender, unsigned long round)
{
    return kit_token(FAMILY + (unsigned)contender, round);
}

static void meet(worker *w)
{
    pthread_barrier_wait(&w->k->shared->barrier);
    if (atomic_load(&w->k->shared->failed))
        _Exit(1);
}

/* ---- claims ------------------------------------------------------------------------------------------------------ */

static void claim_rounds(worker *w)
{
    round_result *rounds = w->baton;

    for (int r = 0; r < w->k->effort.rounds; r++) {
        kit_name slot = kit_slot(FAMILY, (unsigned long)r), token = contender_token(w->number, (unsigned long)r);
        apr_status_t status;

        meet(w);
        status = kit_claim(w, &slot, &token);
        if (status == APR_SUCCESS)
            rounds[r].won[w->number] = 1;
        else {
            EXPECT(w, status, APR_EEXIST);
            CHECK(w->k, idem_value_plausible(w->found.value) && !w->found.owner_dead);
            memcpy(rounds[r].seen[w->number], idem_value_token(w->found.value), IDEM_TOKEN_LEN);
            rounds[r].lost[w->number] = 1;
        }
        apr_pool_clear(w->pool);
    }
    meet(w); /* a winner that has left already would look dead to who is still asking */
}

static int winner_of(kit *k, const round_result *round, int contenders)
{
    int winner = -1;
    for (int c = 0; c < contenders; c++) {
        CHECK_NUMBER(k, round->won[c] + round->lost[c], 1);
        if (round->won[c]) {
            CHECK_NUMBER(k, winner, -1);
            winner = c;
        }
    }
    CHECK(k, winner >= 0);
    return winner;
}

static void one_winner_case(kit *k)
{
    round_result *rounds = kit_share(k, sizeof(*rounds) * (apr_size_t)k->effort.rounds);

    if (k->store->flags & IDEM_EVICTS && k->effort.rounds > 1000)
        k->effort.rounds = 1000; /* more would only evict its own */
    kit_together(k, PROCESSES, THREADS, claim_rounds, rounds);
    for (int r = 0; r < k->effort.rounds; r++) {
        kit_name token = contender_token(winner_of(k, &rounds[r], CONTENDERS), (unsigned long)r);
        for (int c = 0; c < CONTENDERS; c++) {
            if (rounds[r].lost[c])
                CHECK(k, memcmp(rounds[r].seen[c], token.bytes, IDEM_TOKEN_LEN) == 0);
        }
    }
}

/* ---- takeovers --------------------------------------------------------------------------------------------------- */

#define TAKEOVER_ROUNDS 200
#define TAKEOVER_SLOTS 100000

static void orphan_job(worker *w)
{
    for (unsigned long r = 0; r < TAKEOVER_ROUNDS; r++) {
        kit_name slot = kit_slot(FAMILY, TAKEOVER_SLOTS + r), token = kit_token(FAMILY + 50, r);
        kit_orphan(w, &slot, &token);
        apr_pool_clear(w->pool);
    }
}

static void takeover_rounds(worker *w)
{
    round_result *rounds = w->baton;

    for (unsigned long r = 0; r < TAKEOVER_ROUNDS; r++) {
        kit_name slot = kit_slot(FAMILY, TAKEOVER_SLOTS + r), seen = kit_token(FAMILY + 50, r);
        kit_name token = contender_token(w->number, r);
        apr_status_t status;

        meet(w);
        status = kit_takeover(w, &slot, &seen, &token);
        if (status == APR_SUCCESS)
            rounds[r].won[w->number] = 1;
        else {
            EXPECT(w, status, IDEM_ELOST);
            rounds[r].lost[w->number] = 1;
        }
        meet(w);
        EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), rounds[r].won[w->number] ? APR_SUCCESS : IDEM_ELOST);
        apr_pool_clear(w->pool);
    }
}

static void one_heir_case(kit *k)
{
    round_result *rounds = kit_share(k, sizeof(*rounds) * TAKEOVER_ROUNDS);

    if (!(k->store->flags & IDEM_HOST_LOCAL))
        kit_skip(k, "its orphans take their time");
    kit_alone(k, orphan_job, NULL);
    kit_together(k, RACERS_PROCESSES, 2, takeover_rounds, rounds);
    for (int r = 0; r < TAKEOVER_ROUNDS; r++)
        winner_of(k, &rounds[r], RACERS);
}

/* ---- everyone writes --------------------------------------------------------------------------------------------- */

#define WRITES 40
#define WRITE_SLOTS 200000

static void write_job(worker *w)
{
    for (unsigned long i = 0; i < WRITES; i++) {
        unsigned long number = WRITE_SLOTS + (unsigned long)w->number * WRITES + i;
        kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY + 60, number);

        EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
        if (i % 4 == 3) {
            EXPECT(w, kit_release(w, &slot, &token), APR_SUCCESS);
            EXPECT(w, kit_fetch(w, &slot), APR_NOTFOUND);
        }
        else {
            EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
            EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_RECORD, &slot, &token));
        }
        apr_pool_clear(w->pool);
    }
}

static void everyone_writes_case(kit *k)
{
    kit_together(k, 2, 8, write_job, NULL);
}

const kit_case kit_cases_race[] = {
    {"of all who claim at once one wins, and the others see whose it is", 0, one_winner_case},
    {"of all who take over at once one does, and only it can settle", 0, one_heir_case},
    {"many threads of many processes write at once and each finds what it wrote", IDEM_EVICTS, everyone_writes_case},
    {NULL, 0, NULL},
};
