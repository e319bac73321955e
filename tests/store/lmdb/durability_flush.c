/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_flush.c - an acknowledgement comes after its flush, and what was flushed alone is a store with the record.
 */
#include "durability_kit.h"

#include <apr_strings.h>
#include <stdio.h>
#include <sys/stat.h>

#define FAMILY 20
#define ROUNDS 25
#define THREADS 8
#define WRITES_EACH 10
#define BODY 30000

static const char *const options[] = {"size=16M", NULL};

/* ---- one thread: after each acknowledgement nothing is unflushed ------------------------------------------------- */

typedef struct copy_check {
    unsigned long number;
    idem_blob value; /* what must stand */
} copy_check;

static void compare_job(worker *w)
{
    const copy_check *c = w->baton;
    kit_name slot = kit_slot(FAMILY, c->number);
    EXPECT_STANDS(w, &slot, c->value);
}

/* In a process of its own: opens a copy of the shadow as a store of its own, and looks. */
static void check_copy(worker *w, unsigned long number, idem_blob value)
{
    kit copy = *w->k;
    copy_check check = {number, value};
    const char *from = apr_pstrcat(w->pool, w->k->rest, "/data.mdb", NULL);

    copy.pool = w->pool; /* the run's is shared with other threads */
    copy.rest = apr_psprintf(w->pool, "%s-copy-%lu-%d", w->k->rest, number, (int)idem_value_state(value));
    CHECK(w->k, mkdir(copy.rest, 0700) == 0);
    CHECK(w->k, durability_snapshot(from, disk_path(&copy, "data.mdb")) == 0);
    disk_open_well(&copy);
    kit_alone(&copy, compare_job, &check);
}

static idem_blob value_of(worker *w, idem_state state, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    kit_value v = {state, slot.bytes, token.bytes, 1, KIT_LONG, state == IDEM_STATE_RECORD ? BODY : KIT_SMALL};
    return kit_make(&v, w->pool);
}

static void one_by_one_job(worker *w)
{
    const idem_driver *d = w->k->driver;

    for (unsigned long i = 0; i < ROUNDS; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        idem_blob lease = value_of(w, IDEM_STATE_LEASE, i), record = value_of(w, IDEM_STATE_RECORD, i);
        long flushes = atomic_load(&durability_find()->flushes);

        EXPECT(w, d->claim(w->store, kit_call(w), slot.bytes, lease, &w->found), APR_SUCCESS);
        CHECK_NUMBER(w->k, durability_unflushed(), 0);
        CHECK(w->k, atomic_load(&durability_find()->flushes) > flushes);
        check_copy(w, i, lease);

        flushes = atomic_load(&durability_find()->flushes);
        EXPECT(w, d->settle(w->store, kit_call(w), slot.bytes, record), APR_SUCCESS);
        CHECK_NUMBER(w->k, durability_unflushed(), 0);
        CHECK(w->k, atomic_load(&durability_find()->flushes) > flushes);
        check_copy(w, i, record);
    }
}

static void one_by_one_case(kit *k)
{
    disk_use(k, "flush-one", options);
    disk_open_well(k);
    kit_alone(k, one_by_one_job, NULL);
}

/* ---- many threads: groups share a flush, and each member's acknowledgement still comes after it ------------------ */

static void group_job(worker *w)
{
    const idem_driver *d = w->k->driver;

    for (unsigned long i = 0; i < WRITES_EACH; i++) {
        unsigned long number = 1000 + (unsigned long)w->number * WRITES_EACH + i;
        kit_name slot = kit_slot(FAMILY, number);

        EXPECT(w, d->claim(w->store, kit_call(w), slot.bytes, value_of(w, IDEM_STATE_LEASE, number), &w->found),
               APR_SUCCESS);
        EXPECT(w, d->settle(w->store, kit_call(w), slot.bytes, value_of(w, IDEM_STATE_RECORD, number)), APR_SUCCESS);
        if (i % 5 == 0) /* others write meanwhile: the snapshot is whatever has been flushed at this instant */
            check_copy(w, number, value_of(w, IDEM_STATE_RECORD, number));
    }
}

static void group_case(kit *k)
{
    disk_use(k, "flush-group", options);
    disk_open_well(k);
    kit_together(k, 1, THREADS, group_job, NULL);
}

/* While the first one flushes the others queue up, and the next flush is for all of them. */
#define GROUPED 24

static void grouped_job(worker *w)
{
    unsigned long number = 2000 + (unsigned long)w->number;
    kit_name slot = kit_slot(FAMILY, number);
    long flushes;

    pthread_barrier_wait(&w->k->shared->barrier);
    flushes = atomic_load(&durability_find()->flushes);
    EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, value_of(w, IDEM_STATE_RECORD, number)),
           APR_SUCCESS);
    pthread_barrier_wait(&w->k->shared->barrier);
    if (w->number == 0)
        atomic_store(&w->k->shared->counter[0], atomic_load(&durability_find()->flushes) - flushes);
}

static void grouped_case(kit *k)
{
    disk_use(k, "flush-grouped", options);
    disk_open_well(k);
    kit_together(k, 1, GROUPED, grouped_job, NULL);
    CHECK(k, atomic_load(&k->shared->counter[0]) < GROUPED);
}

/* ---- sync=off promises less, and costs less ---------------------------------------------------------------------- */

static void unsynced_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 3000), token = kit_token(FAMILY, 3000);
    long flushes = atomic_load(&durability_find()->flushes);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    CHECK_NUMBER(w->k, atomic_load(&durability_find()->flushes), flushes);
}

static void unsynced_case(kit *k)
{
    static const char *const off[] = {"size=16M", "sync=off", NULL};
    disk_use(k, "flush-off", off);
    disk_open_well(k);
    kit_alone(k, unsynced_job, NULL);
}

const kit_case durability_cases_flush[] = {
    {"each claim and settlement is acknowledged after its flush, and flushed writes alone are a store with it", 0,
     one_by_one_case},
    {"so it is when threads write in groups", 0, group_case},
    {"threads that write at once share flushes", 0, grouped_case},
    {"with sync=off nothing is flushed", 0, unsynced_case},
    {NULL, 0, NULL},
};
