/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_time.c - entries expire when their time is over, not before, and never while a live owner holds them.
 *
 * Times to live are short, and nothing sleeps to be sure. A case waits until it sees the event, and checks that it did
 * not come early.
 */
#include "conformance_kit.h"

#include <signal.h>
#include <unistd.h>

#define FAMILY 3
#define SHORT 200 /* milliseconds */
#define SWEPT 50
#define SWEEP_STEP 20

static apr_status_t settle_for(worker *w, const kit_name *slot, const kit_name *token, apr_uint64_t ttl)
{
    kit_value v = {IDEM_STATE_RECORD, slot->bytes, token->bytes, w->store->owner, ttl, KIT_SMALL};
    return w->k->driver->settle(w->store, kit_call(w), slot->bytes, kit_make(&v, w->pool));
}

static apr_status_t claim_for(worker *w, const kit_name *slot, const kit_name *token, apr_uint64_t ttl)
{
    kit_value v = {IDEM_STATE_LEASE, slot->bytes, token->bytes, w->store->owner, ttl, KIT_SMALL};
    return w->k->driver->claim(w->store, kit_call(w), slot->bytes, kit_make(&v, w->pool), &w->found);
}

/* ---- expiry ------------------------------------------------------------------------------------------------------ */

static int refuse(void *baton, const unsigned char *slot, const idem_found *found)
{
    (void)found;
    return memcmp(slot, baton, IDEM_SLOT_LEN) != 0;
}

static void expiry_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 1), token = kit_token(FAMILY, 1), other = kit_token(FAMILY, 2);
    apr_time_t before = kit_clock();
    apr_status_t status;

    EXPECT(w, settle_for(w, &slot, &token, SHORT), APR_SUCCESS);
    kit_await_expiry(w, &slot, before + SHORT * 1000);
    status = w->k->driver->each(w->store, kit_call(w), refuse, slot.bytes);
    CHECK(w->k, status == APR_SUCCESS || status == APR_ENOTIMPL);
    EXPECT(w, kit_renew(w, &slot, &token), APR_NOTFOUND);
    EXPECT(w, kit_release(w, &slot, &token), APR_NOTFOUND);
    EXPECT(w, kit_takeover(w, &slot, &token, &other), APR_NOTFOUND);
    EXPECT(w, kit_forget(w, &slot), APR_NOTFOUND);
    EXPECT(w, kit_claim(w, &slot, &other), APR_SUCCESS);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), IDEM_ELOST);

    before = kit_clock();
    EXPECT(w, settle_for(w, &slot, &other, SHORT), APR_SUCCESS);
    kit_await_expiry(w, &slot, before + SHORT * 1000);
    EXPECT(w, kit_settle(w, IDEM_STATE_TOMBSTONE, &slot, &token),
           APR_SUCCESS); /* expired is absent to whoever settles */
}

static void expiry_case(kit *k)
{
    kit_alone(k, expiry_job, NULL);
}

static void restart_of_time_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 10), token = kit_token(FAMILY, 10), clock = kit_slot(FAMILY, 11);
    apr_time_t before;

    EXPECT(w, claim_for(w, &slot, &token, SHORT), APR_SUCCESS);
    EXPECT(w, settle_for(w, &slot, &token, KIT_LONG), APR_SUCCESS);
    before = kit_clock();
    EXPECT(w, settle_for(w, &clock, &token, SHORT), APR_SUCCESS);
    kit_await_expiry(w, &clock, before + SHORT * 1000); /* so the lease's time is over too */
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
}

static void restart_of_time_case(kit *k)
{
    kit_alone(k, restart_of_time_job, NULL);
}

/* ---- a live lease ------------------------------------------------------------------------------------------------ */

enum { HELD, DONE };

static void holder_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 20), token = kit_token(FAMILY, 20);
    EXPECT(w, claim_for(w, &slot, &token, SHORT), APR_SUCCESS);
    kit_open_gate(w->k, HELD);
    kit_pass_gate(w->k, DONE);
}

static void bystander_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 20), token = kit_token(FAMILY, 21), clock = kit_slot(FAMILY, 22);
    apr_time_t before = kit_clock();
    int removed;

    EXPECT(w, settle_for(w, &clock, &token, SHORT), APR_SUCCESS);
    kit_await_expiry(w, &clock, before + SHORT * 1000);
    EXPECT(w, w->k->driver->sweep(w->store, kit_call(w), 1000, &removed), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &slot, &token), APR_EEXIST);
    CHECK(w->k, !w->found.owner_dead);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
}

static void heir_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 20), token = kit_token(FAMILY, 21);
    EXPECT(w, kit_fetch(w, &slot), APR_NOTFOUND); /* owner dead and its time over: nothing stands */
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
}

static void live_lease_case(kit *k)
{
    pid_t holder;

    if (!(k->store->flags & IDEM_HOST_LOCAL))
        kit_skip(k, "its owners live by renewing");
    holder = kit_start(k, 0, holder_job, NULL);
    kit_pass_gate(k, HELD);
    kit_alone(k, bystander_job, NULL);
    kit_signal(k, holder, SIGSTOP);
    kit_alone(k, bystander_job, NULL);
    kit_kill(k, holder);
    kit_alone(k, heir_job, NULL);
}

/* ---- sweep ------------------------------------------------------------------------------------------------------- */

static int sweep_all(worker *w, int *total)
{
    int removed;
    *total = 0;
    do {
        apr_status_t status = w->k->driver->sweep(w->store, kit_call(w), SWEEP_STEP, &removed);
        if (status == APR_ENOTIMPL)
            return 0;
        EXPECT(w, status, APR_SUCCESS);
        CHECK(w->k, removed >= 0 && removed <= SWEEP_STEP);
        *total += removed;
    } while (removed > 0);
    return 1;
}

static void sweep_job(worker *w)
{
    kit_name last = kit_slot(FAMILY, 100 + SWEPT - 1), kept = kit_slot(FAMILY, 99), held = kit_slot(FAMILY, 98);
    kit_name token = kit_token(FAMILY, 100);
    apr_time_t before;
    int total;

    if (!sweep_all(w, &total))
        kit_skip(w->k, "it needs no sweep");
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &kept, &token), APR_SUCCESS);
    EXPECT(w, claim_for(w, &held, &token, 1), APR_SUCCESS);
    before = kit_clock();
    for (unsigned long i = 0; i < SWEPT; i++) {
        kit_name slot = kit_slot(FAMILY, 100 + i);
        before = kit_clock();
        EXPECT(w, settle_for(w, &slot, &token, SHORT), APR_SUCCESS);
    }
    kit_await_expiry(w, &last, before + SHORT * 1000);
    sweep_all(w, &total);
    if (!(w->store->flags & IDEM_EVICTS))
        CHECK_NUMBER(w->k, total, SWEPT);
    EXPECT(w, kit_fetch(w, &kept), APR_SUCCESS);
    if (w->store->flags & IDEM_HOST_LOCAL)
        EXPECT(w, kit_fetch(w, &held), APR_SUCCESS); /* its time is over, but its owner is we */
}

static void sweep_case(kit *k)
{
    kit_alone(k, sweep_job, NULL);
}

const kit_case kit_cases_time[] = {
    {"an entry expires after its time, not before, and is then absent to everyone", 0, expiry_case},
    {"settling starts the time to live anew", 0, restart_of_time_case},
    {"a lease whose owner lives never expires, stopped or not", 0, live_lease_case},
    {"a sweep removes what has expired, in bounded steps, and nothing else", 0, sweep_case},
    {NULL, 0, NULL},
};
