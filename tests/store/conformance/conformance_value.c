/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_value.c - a store keeps bytes as they are: any size up to its limit, any content, each listed once.
 */
#include "conformance_kit.h"

#include <stdlib.h>
#include <string.h>

#define FAMILY 2
#define LARGEST_TRIED ((apr_size_t)16 << 20) /* of stores without a limit */
#define LISTED 300

static kit_value value_of(worker *w, idem_state state, const kit_name *slot, const kit_name *token, apr_size_t len)
{
    kit_value v = {state, slot->bytes, token->bytes, w->store->owner, KIT_LONG, len};
    return v;
}

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

static void round_trip(worker *w, unsigned long number, apr_size_t len)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    kit_value v = value_of(w, IDEM_STATE_RECORD, &slot, &token, len);
    idem_blob value = kit_make(&v, w->pool);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, value), APR_SUCCESS);
    EXPECT_STANDS(w, &slot, value);
    EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    apr_pool_clear(w->pool);
}

static void sizes_job(worker *w)
{
    static const apr_size_t sizes[] = {IDEM_HEAD_MIN, 81,     320,    1000,    2000,   2040,  2048,
                                       4000,          4080,   4096,   8176,    16384,  65535, 65536,
                                       100000,        262144, 524288, 1000000, 1048576};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        if (w->store->max_value == 0 || sizes[i] <= w->store->max_value)
            round_trip(w, 100 + i, sizes[i]);
    }
}

static void sizes_case(kit *k)
{
    kit_alone(k, sizes_job, NULL);
}

static void largest_job(worker *w)
{
    w->is_fat = 1;
    round_trip(w, 1, w->store->max_value ? w->store->max_value : LARGEST_TRIED);
}

static void largest_case(kit *k)
{
    kit_alone(k, largest_job, NULL);
}

/* "Before anything is touched": an entry stands as it was, and an empty slot is empty. */
static void too_big_job(worker *w)
{
    const idem_driver *d = w->k->driver;
    kit_name slot = kit_slot(FAMILY, 2), token = kit_token(FAMILY, 2), other = kit_token(FAMILY, 3);
    kit_value v = value_of(w, IDEM_STATE_RECORD, &slot, &token, w->store->max_value + 1);
    idem_blob record = kit_make(&v, w->pool), lease;

    v.state = IDEM_STATE_LEASE;
    lease = kit_make(&v, w->pool);
    EXPECT(w, d->claim(w->store, kit_call(w), slot.bytes, lease, &w->found), IDEM_ETOOBIG);
    EXPECT(w, d->settle(w->store, kit_call(w), slot.bytes, record), IDEM_ETOOBIG);
    EXPECT(w, kit_fetch(w, &slot), APR_NOTFOUND);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, d->settle(w->store, kit_call(w), slot.bytes, record), IDEM_ETOOBIG);
    CHECK(w->k, w->call.why != NULL);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_LEASE, &slot, &token));
    EXPECT(w, kit_settle(w, IDEM_STATE_UNKNOWN, &slot, &token), APR_SUCCESS);

    v.token = other.bytes;
    lease = kit_make(&v, w->pool);
    EXPECT(w, d->takeover(w->store, kit_call(w), slot.bytes, token.bytes, lease), IDEM_ETOOBIG);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_UNKNOWN, &slot, &token));
}

static void too_big_case(kit *k)
{
    if (k->store->max_value == 0)
        kit_skip(k, "its values have no limit");
    if (k->store->max_value > LARGEST_TRIED)
        kit_skip(k, "its limit is too far away to be tried");
    kit_alone(k, too_big_job, NULL);
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void odd_bytes(worker *w, int slot_byte, int token_byte, int rest_byte)
{
    kit_name slot, token;
    kit_value v;
    idem_blob value;

    memset(slot.bytes, slot_byte, sizeof(slot.bytes));
    memset(token.bytes, token_byte, sizeof(token.bytes));
    v = value_of(w, IDEM_STATE_RECORD, &slot, &token, KIT_SMALL);
    value = kit_make(&v, w->pool);
    memset((unsigned char *)(apr_uintptr_t)value.data + IDEM_HEAD_MIN, rest_byte, value.len - IDEM_HEAD_MIN);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, value), APR_SUCCESS);
    EXPECT_STANDS(w, &slot, value);
}

static void bytes_job(worker *w)
{
    odd_bytes(w, 0x00, 0x00, 0x00);
    odd_bytes(w, 0xff, 0xff, 0xff);
    odd_bytes(w, 0x0a, 0x00, 0x20);
    odd_bytes(w, 0x80, 0x0d, 0x00);
}

static void bytes_case(kit *k)
{
    kit_alone(k, bytes_job, NULL);
}

/* What lies behind the head is the front's to judge; a state that a later version may know is kept as well. */
static void torn_job(worker *w)
{
    apr_uint64_t state = 7;

    for (unsigned long i = 0; i < 40; i++) {
        kit_name slot = kit_slot(FAMILY, 200 + i), token = kit_token(FAMILY, 200 + i),
                 other = kit_token(FAMILY, 300 + i);
        apr_size_t len = IDEM_HEAD_MIN + (apr_size_t)(kit_random(&state) % 200);
        kit_value v = value_of(w, IDEM_STATE_RECORD, &slot, &token, len);
        idem_blob value = kit_make(&v, w->pool);
        unsigned char *data = (unsigned char *)(apr_uintptr_t)value.data;
        data[4] = (unsigned char)kit_random(&state);
        data[5] = (unsigned char)(i % 2 ? IDEM_STATE_RECORD : 5 + kit_random(&state) % 251);
        data[6] = (unsigned char)kit_random(&state);

        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, value), APR_SUCCESS);
        EXPECT_STANDS(w, &slot, value);
        EXPECT(w, kit_claim(w, &slot, &other), APR_EEXIST);
        EXPECT(w, kit_takeover(w, &slot, &token, &other), IDEM_ELOST);
        EXPECT(w, kit_release(w, &slot, &token), IDEM_ELOST);
        EXPECT_STANDS(w, &slot, value);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    }
}

static void torn_case(kit *k)
{
    kit_alone(k, torn_job, NULL);
}

/* ---- each -------------------------------------------------------------------------------------------------------- */

typedef struct listing {
    worker *w;
    int seen[LISTED];
    int visits, stop_after;
} listing;

static int number_of(const unsigned char *slot)
{
    for (unsigned long i = 0; i < LISTED; i++) {
        kit_name name = kit_slot(FAMILY + 100, i);
        if (memcmp(name.bytes, slot, IDEM_SLOT_LEN) == 0)
            return (int)i;
    }
    return -1;
}

static int visit(void *baton, const unsigned char *slot, const idem_found *found)
{
    listing *l = baton;
    int number = number_of(slot);

    if (number >= 0) {
        kit_name name, token = kit_token(FAMILY + 100, (unsigned long)number);
        memcpy(name.bytes, slot, IDEM_SLOT_LEN);
        CHECK(l->w->k, kit_same(found->value, kit_small(l->w, IDEM_STATE_RECORD, &name, &token)));
        l->seen[number]++;
    }
    return ++l->visits != l->stop_after;
}

static void each_job(worker *w)
{
    listing *all = calloc(1, sizeof(*all)), *some = calloc(1, sizeof(*some));
    apr_status_t status;

    CHECK(w->k, all && some);
    all->w = some->w = w;
    some->stop_after = LISTED / 2;
    for (unsigned long i = 0; i < LISTED; i++) {
        kit_name slot = kit_slot(FAMILY + 100, i), token = kit_token(FAMILY + 100, i);
        EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    }
    status = w->k->driver->each(w->store, kit_call(w), visit, all);
    if (status == APR_ENOTIMPL)
        kit_skip(w->k, "it cannot list its entries");
    EXPECT(w, status, APR_SUCCESS);
    for (int i = 0; i < LISTED; i++)
        CHECK_NUMBER(w->k, all->seen[i], 1);
    EXPECT(w, w->k->driver->each(w->store, kit_call(w), visit, some), APR_SUCCESS);
    CHECK_NUMBER(w->k, some->visits, LISTED / 2);
    for (unsigned long i = 0; i < LISTED; i++) {
        kit_name slot = kit_slot(FAMILY + 100, i);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    }
    free(all);
    free(some);
}

static void each_case(kit *k)
{
    kit_alone(k, each_job, NULL);
}

/* ---- page -------------------------------------------------------------------------------------------------------- */

/* From the beginning to the end in many steps, each of which is stopped after one entry. */
static void page_through(worker *w, listing *all)
{
    char place[IDEM_PLACE_LEN] = "", before[IDEM_PLACE_LEN];
    int steps = 0;

    do {
        memcpy(before, place, sizeof(before));
        all->stop_after = all->visits + 1;
        EXPECT(w, w->k->driver->page(w->store, kit_call(w), place, visit, all), APR_SUCCESS);
        CHECK(w->k, !*place || strcmp(before, place) != 0);
        CHECK(w->k, strlen(place) < IDEM_PLACE_LEN && ++steps < 100000);
    } while (*place);
}

static void page_job(worker *w)
{
    listing *all = calloc(1, sizeof(*all));
    char nowhere[IDEM_PLACE_LEN] = "no place";
    int slots_in_order = w->k->driver->page_by_slot;

    if (!w->k->driver->page)
        kit_skip(w->k, "it cannot list its entries in parts");
    CHECK(w->k, all != NULL);
    all->w = w;
    for (unsigned long i = 0; i < LISTED; i++) {
        kit_name slot = kit_slot(FAMILY + 100, i), token = kit_token(FAMILY + 100, i);
        EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    }
    page_through(w, all);
    for (int i = 0; i < LISTED; i++)
        CHECK(w->k, slots_in_order ? all->seen[i] == 1 : all->seen[i] >= 1);
    EXPECT(w, w->k->driver->page(w->store, kit_call(w), nowhere, visit, all), APR_EINVAL);
    for (unsigned long i = 0; i < LISTED; i++) {
        kit_name slot = kit_slot(FAMILY + 100, i);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    }
    free(all);
}

static void page_case(kit *k)
{
    kit_alone(k, page_job, NULL);
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

static void status_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 400), token = kit_token(FAMILY, 400);
    idem_store_status before, after;

    EXPECT(w, w->k->driver->status(w->store, kit_call(w), &before), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, w->k->driver->status(w->store, kit_call(w), &after), APR_SUCCESS);
    if (before.entries_known)
        CHECK_NUMBER(w->k, after.entries, before.entries + 1);
    CHECK(w->k, after.bytes_max == 0 || after.bytes_used <= after.bytes_max);
}

static void status_case(kit *k)
{
    kit_alone(k, status_job, NULL);
}

const kit_case kit_cases_value[] = {
    {"values of many sizes come back as they were", 0, sizes_case},
    {"the largest value comes back as it was", 0, largest_case},
    {"one byte more is refused before anything is touched", 0, too_big_case},
    {"zeros, newlines and high bytes are bytes like any other", 0, bytes_case},
    {"a torn value is kept, never replaced and never believed", 0, torn_case},
    {"each visits every entry once and stops when told", IDEM_EVICTS, each_case},
    {"page visits every entry in parts, and a place is where it goes on", IDEM_EVICTS, page_case},
    {"status counts", IDEM_EVICTS, status_case},
    {NULL, 0, NULL},
};
