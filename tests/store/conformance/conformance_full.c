/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_full.c - a store without room refuses new keys, keeps every live record, and lets those finish who have
 * begun.
 */
#include "conformance_kit.h"

#include <string.h>
#include <unistd.h>

#define FAMILY 6
#define FILLABLE ((apr_uint64_t)8 << 20) /* bytes; a larger store is not filled */
#define RECORDS_MOST 100000
#define BODY 3000
#define LEASES 40
#define SHORT 3000         /* milliseconds: until the store is full, on a busy disk, too */
#define ROOM_TIME 20000000 /* microseconds */
#define ROOM_PAUSE 2000

static apr_status_t claim(worker *w, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    return kit_claim(w, &slot, &token);
}

/* Odd ones live long, even ones do not. */
static idem_blob record(worker *w, unsigned long number, apr_size_t len)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    kit_value v = {IDEM_STATE_RECORD, slot.bytes, token.bytes, w->store->owner, number % 2 ? KIT_LONG : SHORT, len};
    return kit_make(&v, w->pool);
}

static apr_status_t settle(worker *w, unsigned long number, idem_state state)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    if (state == IDEM_STATE_RECORD)
        return w->k->driver->settle(w->store, kit_call(w), slot.bytes, record(w, number, BODY));
    return kit_settle(w, state, &slot, &token);
}

/*
 * Claims and settles until a claim is refused; returns how many records there are. A store may have room for a claim
 * and none for its record. A tombstone settles that one, and claims fill the rest.
 */
static unsigned long fill(worker *w)
{
    unsigned long n = 0;
    apr_status_t status = APR_SUCCESS, kept = APR_SUCCESS;

    for (; n < RECORDS_MOST && kept == APR_SUCCESS; n += kept == APR_SUCCESS) {
        status = claim(w, LEASES + n);
        if (status != APR_SUCCESS)
            break;
        kept = settle(w, LEASES + n, IDEM_STATE_RECORD);
        if (kept != APR_SUCCESS) {
            EXPECT(w, kept, IDEM_EFULL);
            EXPECT(w, settle(w, LEASES + n, IDEM_STATE_TOMBSTONE), APR_SUCCESS);
        }
        apr_pool_clear(w->pool);
    }
    for (unsigned long i = 0; status == APR_SUCCESS && i < RECORDS_MOST; i++) {
        status = claim(w, LEASES + 2 * RECORDS_MOST + i);
        apr_pool_clear(w->pool);
    }
    EXPECT(w, status, IDEM_EFULL);
    CHECK(w->k, w->call.why != NULL);
    CHECK(w->k, n > 10);
    return n;
}

static void expect_records(worker *w, unsigned long count, unsigned long step)
{
    for (unsigned long n = 0; n < count; n += step) {
        kit_name slot = kit_slot(FAMILY, LEASES + n + 1);
        if ((LEASES + n + 1) % 2 == 0)
            continue;
        if (n + 1 < count)
            EXPECT_STANDS(w, &slot, record(w, LEASES + n + 1, BODY));
        apr_pool_clear(w->pool);
    }
}

/* An owner can do everything with its lease, whatever is full. The first few have been used up. */
static void finish_leases(worker *w)
{
    for (unsigned long i = LEASES / 2; i < LEASES; i++) {
        kit_name slot = kit_slot(FAMILY, i), token = kit_token(FAMILY, i);
        switch (i % 4) {
        case 0: EXPECT(w, settle(w, i, IDEM_STATE_TOMBSTONE), APR_SUCCESS); break;
        case 1: EXPECT(w, settle(w, i, IDEM_STATE_UNKNOWN), APR_SUCCESS); break;
        case 2: EXPECT(w, kit_release(w, &slot, &token), APR_SUCCESS); break;
        default: EXPECT(w, kit_forget(w, &slot), APR_SUCCESS); break;
        }
    }
}

/*
 * Large responses stop before the last page is gone. One that finds no room is refused, and its lease stands, so that a
 * tombstone can settle it.
 */
static void settle_large(worker *w)
{
    apr_status_t status = APR_SUCCESS;
    unsigned long i;

    for (i = 0; i < LEASES / 2 && status == APR_SUCCESS; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        status = w->k->driver->settle(w->store, kit_call(w), slot.bytes, record(w, i, w->store->max_value));
        if (status != APR_SUCCESS) {
            kit_name token = kit_token(FAMILY, i);
            EXPECT(w, status, IDEM_EFULL);
            EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_LEASE, &slot, &token));
        }
    }
    EXPECT(w, status, IDEM_EFULL);
    while (--i > 0) {
        kit_name slot = kit_slot(FAMILY, i - 1);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
        EXPECT(w, kit_settle(w, IDEM_STATE_UNKNOWN, &slot, &slot), APR_SUCCESS);
    }
}

/* What expires by itself makes room within some time. */
static void await_room(worker *w, unsigned long number)
{
    apr_time_t until = kit_clock() + ROOM_TIME;
    apr_status_t status;

    while ((status = claim(w, number)) == IDEM_EFULL && kit_clock() < until)
        usleep(ROOM_PAUSE);
    EXPECT(w, status, APR_SUCCESS);
}

/* New keys are taken again, by themselves or after a sweep. */
static void expect_room(worker *w, unsigned long count)
{
    apr_status_t claimed = claim(w, LEASES + count + 1), swept;
    int removed = 0;

    swept = w->k->driver->sweep(w->store, kit_call(w), RECORDS_MOST, &removed);
    if (swept != APR_ENOTIMPL) {
        EXPECT(w, claimed, APR_SUCCESS);
        EXPECT(w, swept, APR_SUCCESS);
        CHECK(w->k, removed > 0);
    }
    for (unsigned long i = 0; i < count / 4; i++)
        await_room(w, LEASES + RECORDS_MOST + i);
}

static void full_job(worker *w)
{
    idem_store_status status;
    unsigned long count;
    kit_name last;

    EXPECT(w, w->k->driver->status(w->store, kit_call(w), &status), APR_SUCCESS);
    if (status.bytes_max == 0 || status.bytes_max > FILLABLE)
        kit_skip(w->k, "it is too large to be filled");
    for (unsigned long i = 0; i < LEASES; i++)
        EXPECT(w, claim(w, i), APR_SUCCESS);
    count = fill(w);
    EXPECT(w, claim(w, LEASES + 1), APR_EEXIST); /* what is there is still answered */
    expect_records(w, count, 1);
    settle_large(w);
    finish_leases(w);
    expect_records(w, count, 1);

    /* Half of it expires, and the other half stays. */
    last = kit_slot(FAMILY, (LEASES + count - 1) & ~1UL);
    kit_await_expiry(w, &last, 0);
    expect_room(w, count);
    expect_records(w, count, 1);
}

static void full_case(kit *k)
{
    kit_alone(k, full_job, NULL);
}

const kit_case kit_cases_full[] = {
    {"a full store refuses new keys, keeps what lives, and is usable again after a sweep", IDEM_EVICTS, full_case},
    {NULL, 0, NULL},
};
