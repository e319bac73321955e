/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.c - counts failures, watches the calls inside the driver, and shuts the way to it while the store does not
 * answer.
 *
 * Called by the front before and after each call. What always holds: of the calls inside, at most one began while the
 * breaker was open. A store that answers is used again at the latest LONGEST_PAUSE after its last failed probe. The
 * watcher is called once for each opening and closing. Limits: a driver call that never returns blocks the prober for
 * ever. Then a stuck call must return before the store is used again.
 */
#include "breaker.h"

#include "threads.h"

#include <stdio.h>
#include <string.h>

/*
 * One failure is not the store's end: a server that restarts fails each call that was under way, and answers the next.
 * Every failure costs a request its timeout, so there should not be many more.
 */
#define FAILURES_MOST 5

/*
 * Soon at first, since a pause of the store's (a flush, an election) is often short; then at a pace that costs nothing.
 * Where a probe succeeds and calls fail again at once, the pace is kept, or log and clients would see it flicker.
 */
#define FIRST_PAUSE apr_time_from_msec(100)
#define LONGEST_PAUSE apr_time_from_msec(500)
#define CALM apr_time_from_sec(10)

/* A driver that keeps to a deadline comes back a little after it: a busy machine needs this long to wake a thread. */
#define GRACE apr_time_from_msec(50)

apr_status_t idem_breaker_init(idem_breaker *b, int part, int parts, apr_pool_t *pool)
{
    b->health.part = part;
    b->health.parts = parts;
    APR_RING_INIT(&b->visits, idem_visit, link);
    APR_RING_INIT(&b->strays, idem_visit, link);
    b->changed_at = idem_monotonic();
    return apr_thread_mutex_create(&b->lock, APR_THREAD_MUTEX_DEFAULT, pool);
}

void idem_breaker_set_timeout(idem_breaker *b, apr_interval_time_t timeout)
{
    apr_interval_time_t more = timeout / 4;
    b->limit = timeout + (more > GRACE ? more : GRACE);
}

/* ---- under the lock ---------------------------------------------------------------------------------------------- */

static int is_stuck(const idem_breaker *b, const idem_visit *visit, apr_interval_time_t now)
{
    return now - visit->began > b->limit;
}

/* The one that has been inside for longest, if that is too long. */
static idem_visit *first_stuck(idem_breaker *b, apr_interval_time_t now)
{
    idem_visit *first = APR_RING_FIRST(&b->visits);
    return !APR_RING_EMPTY(&b->visits, idem_visit, link) && is_stuck(b, first, now) ? first : NULL;
}

static void remember_slot(idem_breaker *b, const unsigned char *slot)
{
    b->has_slot = slot != NULL;
    if (slot)
        memcpy(b->slot, slot, IDEM_SLOT_LEN);
}

static void wait_longer(idem_breaker *b, apr_interval_time_t now)
{
    b->pause = 2 * b->pause < LONGEST_PAUSE ? 2 * b->pause : LONGEST_PAUSE;
    b->due = now + b->pause;
}

static void change_state(idem_breaker *b, int open, apr_interval_time_t now)
{
    b->open = open;
    b->health.before = now - b->changed_at;
    b->changed_at = now;
}

/* b->health.reason has been written. Returns 1: the watcher is to be told. */
static int do_open(idem_breaker *b, const unsigned char *slot, apr_interval_time_t now)
{
    int calm = !b->pause || now - b->changed_at > CALM;

    remember_slot(b, slot);
    change_state(b, 1, now);
    b->health.opened++;
    if (calm)
        b->pause = FIRST_PAUSE / 2;
    wait_longer(b, now);
    return 1;
}

/* A call that is still inside belongs to the outage that is over. Its end says nothing about the store now. */
static int do_close(idem_breaker *b, apr_interval_time_t now)
{
    change_state(b, 0, now);
    b->closings++;
    b->health.in_a_row = 0;
    APR_RING_CONCAT(&b->strays, &b->visits, idem_visit, link);
    return 1;
}

static int open_if_stuck(idem_breaker *b, apr_interval_time_t now)
{
    const idem_visit *stuck = b->open ? NULL : first_stuck(b, now);

    if (!stuck)
        return 0;
    snprintf(b->health.reason, sizeof(b->health.reason), "a call has not returned for %d ms",
             (int)apr_time_as_msec(now - stuck->began));
    return do_open(b, stuck->slot, now);
}

static int open_if_many(idem_breaker *b, const idem_visit *visit, const char *why, apr_interval_time_t now)
{
    b->health.failed++;
    if (b->open || visit->closings != b->closings || ++b->health.in_a_row < FAILURES_MOST)
        return 0;
    snprintf(b->health.reason, sizeof(b->health.reason), "%d calls in a row failed: %s", b->health.in_a_row, why);
    return do_open(b, visit->slot, now);
}

/*
 * The probe looked where the trouble was. Another call's answer is one of a part of the store only, as long as others
 * are stuck: behind one front there may be several servers.
 */
static int close_if_answered(idem_breaker *b, const idem_visit *visit, apr_interval_time_t now)
{
    b->health.in_a_row = 0;
    if (!b->open || (!visit->is_probe && first_stuck(b, now)))
        return 0;
    return do_close(b, now);
}

static void let_in(idem_breaker *b, idem_visit *visit, const unsigned char *slot, apr_interval_time_t now)
{
    visit->began = now;
    visit->slot = slot;
    visit->closings = b->closings;
    visit->is_probe = b->open;
    b->probing |= b->open;
    b->health.inside++;
    APR_RING_INSERT_TAIL(&b->visits, visit, idem_visit, link);
}

static int is_due(const idem_breaker *b, apr_interval_time_t now)
{
    return b->open && !b->probing && now >= b->due;
}

static int count_stuck(const idem_breaker *b, const struct idem_visits *visits, apr_interval_time_t now)
{
    int count = 0;

    for (const idem_visit *visit = APR_RING_FIRST(visits); visit != APR_RING_SENTINEL(visits, idem_visit, link);
         visit = APR_RING_NEXT(visit, link))
        count += is_stuck(b, visit, now);
    return count;
}

static void describe_health(const idem_breaker *b, idem_health *health, apr_interval_time_t now)
{
    *health = b->health;
    health->lasts = now - b->changed_at;
    health->stuck = count_stuck(b, &b->visits, now) + count_stuck(b, &b->strays, now);
    health->state = !b->open                       ? IDEM_BREAKER_CLOSED
                    : b->probing && !health->stuck ? IDEM_BREAKER_HALF_OPEN
                                                   : IDEM_BREAKER_OPEN;
}

/* The way out of every function that took the lock. */
static void unlock_breaker(idem_breaker *b, int changed, apr_interval_time_t now)
{
    idem_health health;

    if (changed)
        describe_health(b, &health, now);
    apr_thread_mutex_unlock(b->lock);
    if (changed && b->watcher)
        b->watcher(b->baton, &health);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

int idem_breaker_enter(idem_breaker *b, idem_visit *visit, const unsigned char *slot, char why[IDEM_REASON_LEN])
{
    apr_interval_time_t now;
    int changed, enters;

    apr_thread_mutex_lock(b->lock);
    now = idem_monotonic();
    changed = open_if_stuck(b, now);
    enters = !b->open || (!atomic_load(&b->others_probe) && is_due(b, now));
    if (enters)
        let_in(b, visit, slot, now);
    else {
        b->health.refused++;
        memcpy(why, b->health.reason, IDEM_REASON_LEN);
    }
    unlock_breaker(b, changed, now);
    return enters;
}

int idem_breaker_enter_to_probe(idem_breaker *b, idem_visit *visit, unsigned char slot[IDEM_SLOT_LEN], int *has_slot)
{
    apr_interval_time_t now;
    const idem_visit *stuck;
    int enters;

    apr_thread_mutex_lock(b->lock);
    now = idem_monotonic();
    enters = is_due(b, now);
    stuck = first_stuck(b, now);
    if (stuck && stuck->slot)
        remember_slot(b, stuck->slot);
    memcpy(slot, b->slot, IDEM_SLOT_LEN);
    *has_slot = b->has_slot;
    if (enters)
        let_in(b, visit, *has_slot ? slot : NULL, now);
    unlock_breaker(b, 0, now);
    return enters;
}

void idem_breaker_leave(idem_breaker *b, idem_visit *visit, idem_sign sign, const char *why)
{
    apr_interval_time_t now;
    int changed = 0;

    apr_thread_mutex_lock(b->lock);
    now = idem_monotonic();
    APR_RING_REMOVE(visit, link);
    b->health.inside--;
    if (visit->is_probe)
        b->probing = 0;
    if (sign == IDEM_SIGN_ANSWER)
        changed = close_if_answered(b, visit, now);
    else if (sign == IDEM_SIGN_FAILURE) {
        changed = open_if_many(b, visit, why, now);
        if (visit->is_probe)
            wait_longer(b, now);
    }
    unlock_breaker(b, changed, now);
}

/* ---- the driver's own life --------------------------------------------------------------------------------------- */

void idem_breaker_trip(idem_breaker *b, const char *reason)
{
    apr_thread_mutex_lock(b->lock);
    snprintf(b->health.reason, sizeof(b->health.reason), "%s", reason);
    if (!b->open)
        do_open(b, NULL, idem_monotonic());
    unlock_breaker(b, 0, 0);
}

void idem_breaker_mend(idem_breaker *b)
{
    apr_interval_time_t now;

    apr_thread_mutex_lock(b->lock);
    now = idem_monotonic();
    unlock_breaker(b, b->open && do_close(b, now), now);
}

apr_interval_time_t idem_breaker_due(idem_breaker *b)
{
    apr_interval_time_t left = 0;

    apr_thread_mutex_lock(b->lock);
    if (b->open) {
        left = b->due - idem_monotonic();
        if (left < 1)
            left = b->probing ? FIRST_PAUSE : 1;
    }
    unlock_breaker(b, 0, 0);
    return left;
}

void idem_breaker_describe(idem_breaker *b, idem_health *health)
{
    apr_interval_time_t now;

    apr_thread_mutex_lock(b->lock);
    now = idem_monotonic();
    describe_health(b, health, now);
    apr_thread_mutex_unlock(b->lock);
}
