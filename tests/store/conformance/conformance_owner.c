/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_owner.c - processes that are killed, stopped and started again.
 *
 * Where the operating system says who lives: a killed owner is dead at once, a stopped one is not. Whatever dies at any
 * moment, acknowledged entries are there afterwards. Whatever process is stopped at any moment, the others have an
 * answer by their deadline.
 */
#include "conformance_kit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAMILY 5

/* ---- an owner's death -------------------------------------------------------------------------------------------- */

enum { HELD, NEVER, GO, GONE };
enum { HELPER, ACKNOWLEDGED };

static void owner_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 1), token = kit_token(FAMILY, 1);
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    kit_open_gate(w->k, HELD);
    kit_pass_gate(w->k, NEVER);
}

/* The helper that an interpreter forks and that outlives its parent must not be taken for it. */
static void owner_with_helper_job(worker *w)
{
    int ready[2], piped = pipe(ready);
    pid_t helper = fork();
    char byte = 0;

    CHECK(w->k, piped == 0);
    if (helper == 0) { /* what a fork does to the owner's lock is done when it has returned here */
        CHECK(w->k, write(ready[1], &byte, 1) == 1);
        alarm(60);
        pause();
        _exit(0);
    }
    CHECK(w->k, read(ready[0], &byte, 1) == 1);
    atomic_store(&w->k->shared->counter[HELPER], helper);
    owner_job(w);
}

static void heir_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 1), dead = kit_token(FAMILY, 1), token = kit_token(FAMILY, 2);

    EXPECT(w, kit_takeover(w, &slot, &dead, &token), IDEM_EALIVE);
    kit_open_gate(w->k, GO); /* now it is stopped */
    kit_pass_gate(w->k, GONE);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
    CHECK(w->k, !w->found.owner_dead);
    EXPECT(w, kit_takeover(w, &slot, &dead, &token), IDEM_EALIVE);
    kit_open_gate(w->k, GO); /* now it is killed */
    kit_pass_gate(w->k, GONE);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
    CHECK(w->k, w->found.owner_dead);
    EXPECT(w, kit_claim(w, &slot, &token), APR_EEXIST);
    CHECK(w->k, w->found.owner_dead);
    EXPECT(w, kit_takeover(w, &slot, &dead, &token), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
}

static void death_of(kit *k, kit_job *job)
{
    pid_t owner, heir;

    if (!(k->store->flags & IDEM_HOST_LOCAL))
        kit_skip(k, "its owners live by renewing");
    owner = kit_start(k, 0, job, NULL);
    kit_pass_gate(k, HELD);
    heir = kit_start(k, 1, heir_job, NULL);
    kit_pass_gate(k, GO);
    kit_signal(k, owner, SIGSTOP);
    kit_open_gate(k, GONE);
    kit_pass_gate(k, GO);
    kit_kill(k, owner);
    kit_open_gate(k, GONE);
    kit_join(k, heir);
}

static void death_case(kit *k)
{
    death_of(k, owner_job);
}

static void helper_case(kit *k)
{
    death_of(k, owner_with_helper_job);
    kill((pid_t)atomic_load(&k->shared->counter[HELPER]), SIGKILL);
}

/* ---- killed writers ---------------------------------------------------------------------------------------------- */

#define WRITERS 4
#define CHAOS_SLOTS 1000

typedef struct chaos {
    atomic_ulong next[WRITERS];
    unsigned room;        /* slots of one writer */
    atomic_uchar acked[]; /* 0 nothing, 1 the claim, 2 the settlement */
} chaos;

static unsigned long chaos_number(const chaos *c, int writer, unsigned long i)
{
    return CHAOS_SLOTS + (unsigned long)writer * c->room + i;
}

/* The record says nothing of who wrote it, since that may have been an earlier process. */
static idem_blob chaos_record(worker *w, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    kit_value v = {IDEM_STATE_RECORD, slot.bytes, token.bytes, 0, KIT_LONG, KIT_SMALL + number % 7 * 100};
    return kit_make(&v, w->pool);
}

static void chaos_writer(worker *w)
{
    chaos *c = w->baton;
    unsigned long i;

    while ((i = atomic_fetch_add(&c->next[w->number], 1)) < c->room) {
        unsigned long number = chaos_number(c, w->number, i);
        kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
        atomic_uchar *acked = &c->acked[number - CHAOS_SLOTS];

        EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
        atomic_store(acked, 1);
        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, chaos_record(w, number)), APR_SUCCESS);
        atomic_store(acked, 2);
        atomic_fetch_add(&w->k->shared->counter[ACKNOWLEDGED], 1);
        apr_pool_clear(w->pool);
    }
    kit_pass_gate(w->k, NEVER); /* until it is killed */
}

static void check_acknowledged(worker *w)
{
    chaos *c = w->baton;
    long settled = 0;

    for (unsigned long number = CHAOS_SLOTS; number < CHAOS_SLOTS + (unsigned long)c->room * WRITERS; number++) {
        kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
        int acked = atomic_load(&c->acked[number - CHAOS_SLOTS]);
        apr_status_t status = kit_fetch(w, &slot);

        if (acked == 2) {
            EXPECT_STANDS(w, &slot, chaos_record(w, number));
            settled++;
        }
        else if (acked == 1)
            EXPECT(w, status, APR_SUCCESS);
        if (status == APR_SUCCESS) {
            CHECK(w->k, memcmp(idem_value_token(w->found.value), token.bytes, IDEM_TOKEN_LEN) == 0);
            CHECK(w->k, idem_value_state(w->found.value) == IDEM_STATE_RECORD || w->found.owner_dead ||
                            !(w->store->flags & IDEM_HOST_LOCAL));
        }
        apr_pool_clear(w->pool);
    }
    CHECK(w->k, settled > 0);
}

/* Until so many more settlements stand, and then some moment of what comes next. */
static void let_them_work(kit *k, long more, useconds_t moment)
{
    long until = atomic_load(&k->shared->counter[ACKNOWLEDGED]) + more;
    while (atomic_load(&k->shared->counter[ACKNOWLEDGED]) < until)
        usleep(200);
    usleep(moment);
}

static void chaos_case(kit *k)
{
    unsigned room = (unsigned)k->effort.kills * 100; /* they must never run out of work */
    chaos *c = kit_share(k, sizeof(*c) + (apr_size_t)room * WRITERS);
    apr_uint64_t random = k->effort.seed;
    pid_t writer[WRITERS];

    c->room = room;
    for (int i = 0; i < WRITERS; i++)
        writer[i] = kit_start(k, i, chaos_writer, c);
    for (int kill = 0; kill < k->effort.kills; kill++) {
        int victim = (int)(kit_random(&random) % WRITERS);
        let_them_work(k, (long)(kit_random(&random) % 40), (useconds_t)(kit_random(&random) % 2000));
        kit_kill(k, writer[victim]);
        writer[victim] = kit_start(k, victim, chaos_writer, c);
    }
    for (int i = 0; i < WRITERS; i++)
        kit_kill(k, writer[i]);
    kit_alone(k, check_acknowledged, c);
}

/* ---- stopped writers --------------------------------------------------------------------------------------------- */

#define STOPS 15
#define PATIENCE 200000             /* microseconds: the deadline of who asks meanwhile */
#define LATE (2 * APR_USEC_PER_SEC) /* beyond it: slowness of the machine */
#define STOP_SLOTS 500000

static void busy_job(worker *w)
{
    kit_open_gate(w->k, HELD);
    for (unsigned long i = 0;; i++) {
        kit_name slot = kit_slot(FAMILY, STOP_SLOTS + i % 100), token = kit_token(FAMILY, STOP_SLOTS + i);
        EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
        EXPECT(w, kit_release(w, &slot, &token), APR_SUCCESS);
        apr_pool_clear(w->pool);
    }
}

static void asking_job(worker *w)
{
    const idem_driver *d = w->k->driver;

    kit_open_gate(w->k, HELD);
    for (unsigned long i = 0; i < STOPS; i++) {
        kit_name slot = kit_slot(FAMILY, STOP_SLOTS + 1000 + i), token = kit_token(FAMILY, STOP_SLOTS + i);
        idem_blob lease = kit_small(w, IDEM_STATE_LEASE, &slot, &token);
        apr_time_t asked;
        apr_status_t status;

        kit_pass_gate(w->k, GO);
        asked = kit_clock();
        kit_call(w)->deadline = apr_time_now() + PATIENCE;
        status = d->claim(w->store, &w->call, slot.bytes, lease, &w->found);
        if (status != APR_TIMEUP)
            EXPECT(w, status, APR_SUCCESS);
        else
            CHECK(w->k, w->call.why != NULL);
        CHECK(w->k, kit_clock() - asked < PATIENCE + LATE);
        kit_open_gate(w->k, GONE);
    }
}

static void stopped_case(kit *k)
{
    apr_uint64_t random = k->effort.seed;
    pid_t busy = kit_start(k, 0, busy_job, NULL), asking;

    kit_pass_gate(k, HELD);
    asking = kit_start(k, 1, asking_job, NULL);
    kit_pass_gate(k, HELD);
    for (int i = 0; i < STOPS; i++) {
        usleep((useconds_t)(kit_random(&random) % 3000));
        kit_signal(k, busy, SIGSTOP);
        kit_open_gate(k, GO);
        kit_pass_gate(k, GONE);
        kit_signal(k, busy, SIGCONT);
    }
    kit_join(k, asking);
    kit_kill(k, busy);
}

/* ---- a restart --------------------------------------------------------------------------------------------------- */

#define RESTART_SLOTS 600000
#define RESTARTED 20

static void before_restart(worker *w)
{
    for (unsigned long i = RESTART_SLOTS; i < RESTART_SLOTS + RESTARTED; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, chaos_record(w, i)), APR_SUCCESS);
    }
    for (unsigned long i = 0; i < RESTARTED; i++) {
        kit_name slot = kit_slot(FAMILY, RESTART_SLOTS + 100 + i), token = kit_token(FAMILY, i);
        EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    }
}

static void after_restart(worker *w)
{
    for (unsigned long i = RESTART_SLOTS; i < RESTART_SLOTS + RESTARTED; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        EXPECT_STANDS(w, &slot, chaos_record(w, i));
    }
    for (unsigned long i = 0; i < RESTARTED; i++) {
        kit_name slot = kit_slot(FAMILY, RESTART_SLOTS + 100 + i);
        EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
        CHECK(w->k, w->found.owner_dead || !(w->store->flags & IDEM_HOST_LOCAL));
    }
}

static void restart_case(kit *k)
{
    kit_alone(k, before_restart, NULL);
    k->store = kit_open(k, k->pool);
    CHECK(k, k->store != NULL);
    kit_alone(k, after_restart, NULL);
}

/* An old generation finishes while the new one works: both see the same store. */
static void old_generation(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 700000), token = kit_token(FAMILY, 700000);
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    kit_open_gate(w->k, HELD);
    kit_pass_gate(w->k, GO);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
}

static void new_generation(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 700000), token = kit_token(FAMILY, 700001);
    int settled = w->baton != NULL;
    EXPECT(w, kit_claim(w, &slot, &token), APR_EEXIST);
    CHECK(w->k, !w->found.owner_dead);
    CHECK_NUMBER(w->k, idem_value_state(w->found.value), settled ? IDEM_STATE_RECORD : IDEM_STATE_LEASE);
}

static void graceful_case(kit *k)
{
    pid_t old = kit_start(k, 0, old_generation, NULL);

    kit_pass_gate(k, HELD);
    k->store = kit_open(k, k->pool);
    CHECK(k, k->store != NULL);
    kit_alone(k, new_generation, NULL);
    kit_open_gate(k, GO);
    kit_join(k, old);
    kit_alone(k, new_generation, k);
}

const kit_case kit_cases_owner[] = {
    {"a stopped owner lives, a killed one is dead at once", 0, death_case},
    {"a forked helper does not keep its dead parent alive", 0, helper_case},
    {"what killed writers had acknowledged is there", IDEM_EVICTS | IDEM_FRAGILE, chaos_case},
    {"whenever a writer is stopped, the others have an answer by their deadline", 0, stopped_case},
    {"what was stored is there after a restart", IDEM_VOLATILE | IDEM_EVICTS, restart_case},
    {"two generations share a store across a graceful restart", IDEM_VOLATILE, graceful_case},
    {NULL, 0, NULL},
};
