/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.c - one entry: shown, resolved, forgotten.
 *
 * Called for an administrator. What always holds: to decide an unknown outcome, a process takes the entry by its token,
 * in one step of the store. A request that takes over does the same, so one of the two loses. The entry is then a lease
 * of this process. If the process ends before it has decided, the owner is dead, and the entry is unknown as before.
 */
#include "ops.h"

#include <apr_escape.h>
#include <apr_strings.h>

/* Of the lease between taking and deciding, on stores that hosts share. */
#define SHORT_LEASE apr_time_from_sec(30)

static const char *const resolutions[] = {
    [IDEM_RESOLVED_DONE] = "done", [IDEM_RESOLVED_NOT_DONE] = "not-done", [IDEM_RESOLVED_RETRY] = "retry"};

int idem_resolution_of(const char *word, idem_resolution *resolution)
{
    for (int i = 0; i <= IDEM_RESOLVED_RETRY; i++) {
        if (strcmp(word, resolutions[i]))
            continue;
        *resolution = (idem_resolution)i;
        return 1;
    }
    return 0;
}

idem_done idem_done_of(apr_status_t rv)
{
    switch (rv) {
    case APR_SUCCESS: return IDEM_DONE_OK;
    case APR_NOTFOUND: return IDEM_DONE_ABSENT;
    case IDEM_EALIVE: return IDEM_DONE_ALIVE;
    case IDEM_ELOST: return IDEM_DONE_CHANGED;
    case APR_ENOTIMPL: return IDEM_DONE_UNABLE;
    default: return IDEM_DONE_FAILED;
    }
}

int idem_slot_parse(const char *digits, unsigned char slot[IDEM_SLOT_LEN])
{
    apr_size_t len = 2 * IDEM_SLOT_LEN;

    return strlen(digits) == len && strspn(digits, "0123456789abcdefABCDEF") == len &&
           apr_unescape_hex(slot, digits, APR_ESCAPE_STRING, 0, NULL) == APR_SUCCESS;
}

static idem_done done_because(const char **why, idem_done done, const char *text)
{
    *why = text;
    return done;
}

idem_done idem_entry_show(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_view *view,
                          const char **why)
{
    idem_found found;
    apr_status_t rv = idem_front_is_own(slot) ? APR_NOTFOUND : idem_front_look(front, slot, pool, &found, why);

    if (rv == APR_NOTFOUND)
        return done_because(why, IDEM_DONE_ABSENT,
                            "there is no entry for this slot: nothing was kept, or it has expired");
    if (rv != APR_SUCCESS)
        return idem_done_of(rv);
    idem_view_make(front, slot, &found, pool, view);
    return IDEM_DONE_OK;
}

/* What stands there, if it is what the caller means. */
static idem_done meet_entry(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view,
                            const char **why)
{
    idem_done done = idem_entry_show(front, wish->slot, pool, view, why);

    if (done != IDEM_DONE_OK || !wish->version || !strcmp(wish->version, idem_view_version(view, pool)))
        return done;
    return done_because(why, IDEM_DONE_CHANGED, "the entry has changed since it was shown: look again");
}

static idem_done explain_absence(idem_done done, const char **why)
{
    switch (done) {
    case IDEM_DONE_ALIVE: return done_because(why, done, "the request runs, and its owner lives: wait for its end");
    case IDEM_DONE_CHANGED:
    case IDEM_DONE_ABSENT:
        return done_because(why, IDEM_DONE_CHANGED,
                            "somebody else was faster: the entry is another one by now; look again");
    default: return done;
    }
}

/* The entry becomes our lease, if it still has the token that was seen. Its print stays: a duplicate is compared as
 * before. */
static idem_done take_unknown(idem_front *front, const idem_view *view, idem_head *mine, apr_pool_t *pool,
                              const char **why)
{
    apr_status_t rv;

    *mine = view->head;
    rv = idem_front_lease(front, mine);
    if (mine->lease < SHORT_LEASE)
        mine->lease = SHORT_LEASE;
    if (rv == APR_SUCCESS)
        rv = idem_front_takeover(front, mine, view->head.token, pool, why);
    return explain_absence(idem_done_of(rv), why);
}

static idem_done give_up_lease(idem_front *front, const idem_head *mine, apr_pool_t *pool, const char **why)
{
    return explain_absence(idem_done_of(idem_front_release(front, mine->slot, mine->token, pool, why)), why);
}

static idem_done end_lease(idem_front *front, idem_head *mine, idem_resolution as, apr_pool_t *pool, const char **why)
{
    idem_blob value;
    apr_status_t rv;

    if (as == IDEM_RESOLVED_NOT_DONE)
        return give_up_lease(front, mine, pool, why);
    mine->state = as == IDEM_RESOLVED_DONE ? IDEM_STATE_TOMBSTONE : IDEM_STATE_UNKNOWN;
    mine->flags = as == IDEM_RESOLVED_DONE ? 0 : IDEM_HEAD_RETRY;
    rv = idem_front_encode(front, mine, NULL, pool, &value);
    if (rv == APR_SUCCESS)
        rv = idem_front_settle(front, value, pool, why);
    return explain_absence(idem_done_of(rv), why);
}

idem_done idem_entry_resolve(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view,
                             const char **why)
{
    idem_head mine;
    idem_done done = meet_entry(front, wish, pool, view, why);

    if (done != IDEM_DONE_OK)
        return done;
    if (view->state == IDEM_SHOWN_RUNNING)
        return explain_absence(IDEM_DONE_ALIVE, why);
    if (view->state == IDEM_SHOWN_DAMAGED)
        return done_because(why, IDEM_DONE_UNFIT,
                            "the entry is damaged and has no token to be taken by: forget frees its key");
    if (view->state != IDEM_SHOWN_UNKNOWN)
        return done_because(why, IDEM_DONE_UNFIT, "its outcome is known, so there is nothing to resolve");
    if (wish->dry_run)
        return IDEM_DONE_OK;
    done = take_unknown(front, view, &mine, pool, why);
    return done == IDEM_DONE_OK ? end_lease(front, &mine, wish->as, pool, why) : done;
}

idem_done idem_entry_forget(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view,
                            const char **why)
{
    idem_head mine;
    idem_done done = meet_entry(front, wish, pool, view, why);

    if (done != IDEM_DONE_OK)
        return done;
    if (view->state == IDEM_SHOWN_RUNNING && !wish->force)
        return explain_absence(IDEM_DONE_ALIVE, why);
    if (wish->dry_run)
        return IDEM_DONE_OK;
    if (view->state == IDEM_SHOWN_DAMAGED) /* it has no token to be known by, and nobody replaces it */
        return explain_absence(idem_done_of(idem_front_forget(front, wish->slot, pool, why)), why);
    if (view->state != IDEM_SHOWN_UNKNOWN)
        return explain_absence(idem_done_of(idem_front_forget_seen(front, wish->slot, view->value, pool, why)), why);
    done = take_unknown(front, view, &mine, pool, why);
    return done == IDEM_DONE_OK ? give_up_lease(front, &mine, pool, why) : done;
}
