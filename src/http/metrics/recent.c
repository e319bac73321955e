/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent.c - a ring of the last events, and counters for each of the last minutes.
 *
 * Written by each child when a guarded request has ended; read by the admin API in any child. What always holds: an
 * event that is being written while somebody reads it is seen to be none. Limits: the first event of a minute clears
 * the counters of the minute that stood there before. An event in another process at that moment can be lost from them.
 */
#include "recent.h"

#include <stdatomic.h>
#include <string.h>

#include <apr_shm.h>
#include <apr_strings.h>
#include <http_config.h>

#define MINUTE apr_time_from_sec(60)

typedef struct event {
    atomic_ulong number; /* 0 while it is being written */
    idem_event_seen seen;
} event;

typedef struct minute {
    atomic_ulong number; /* minutes since 1970 */
    atomic_ulong outcomes[IDEM_OUTCOMES], settlements[IDEM_SETTLEMENTS];
} minute;

typedef struct recent {
    atomic_ulong last;
    minute minutes[IDEM_RECENT_MINUTES];
    event events[IDEM_RECENT_EVENTS];
} recent;

static recent *shared;

apr_status_t idem_recent_open(server_rec *s)
{
    const char *name = apr_psprintf(s->process->pconf, "mod_idempotency recent %lu", (unsigned long)sizeof(recent));
    recent **kept = ap_retained_data_get(name);
    apr_shm_t *shm;
    apr_status_t rv;

    if (!kept)
        kept = ap_retained_data_create(name, sizeof(*kept));
    if (!*kept) {
        rv = apr_shm_create(&shm, sizeof(recent), NULL, s->process->pool);
        if (rv != APR_SUCCESS)
            return rv;
        *kept = apr_shm_baseaddr_get(shm);
        memset(*kept, 0, sizeof(recent));
    }
    shared = *kept;
    return APR_SUCCESS;
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void note_event(const unsigned char *slot, int detecting, idem_outcome outcome, idem_settlement settlement,
                       apr_time_t now)
{
    unsigned long number = atomic_fetch_add(&shared->last, 1) + 1;
    event *e = &shared->events[number % IDEM_RECENT_EVENTS];

    atomic_store(&e->number, 0);
    e->seen.number = number;
    e->seen.at = now;
    e->seen.has_slot = slot != NULL;
    if (slot)
        memcpy(e->seen.slot, slot, IDEM_SLOT_LEN);
    e->seen.detecting = detecting;
    e->seen.outcome = outcome;
    e->seen.settlement = settlement;
    atomic_store(&e->number, number);
}

unsigned long idem_recent_last(void)
{
    return shared ? atomic_load(&shared->last) : 0;
}

int idem_recent_event(unsigned long number, idem_event_seen *seen)
{
    event *e = &shared->events[number % IDEM_RECENT_EVENTS];

    if (!number || atomic_load(&e->number) != number)
        return 0;
    *seen = e->seen;
    return atomic_load(&e->number) == number;
}

/* ---- minutes ----------------------------------------------------------------------------------------------------- */

static void count_minute(idem_outcome outcome, idem_settlement settlement, apr_time_t now)
{
    unsigned long number = (unsigned long)(now / MINUTE);
    minute *m = &shared->minutes[number % IDEM_RECENT_MINUTES];
    unsigned long there = atomic_load(&m->number);

    if (there != number && atomic_compare_exchange_strong(&m->number, &there, number)) {
        for (int i = 0; i < IDEM_OUTCOMES; i++)
            atomic_store(&m->outcomes[i], 0);
        for (int i = 0; i < IDEM_SETTLEMENTS; i++)
            atomic_store(&m->settlements[i], 0);
    }
    atomic_fetch_add(&m->outcomes[outcome], 1);
    atomic_fetch_add(&m->settlements[settlement], 1);
}

void idem_recent_minute(int ago, idem_minute_seen *seen)
{
    unsigned long number = (unsigned long)(apr_time_now() / MINUTE) - (unsigned long)ago;
    minute *m = &shared->minutes[number % IDEM_RECENT_MINUTES];

    memset(seen, 0, sizeof(*seen));
    seen->begins = (apr_time_t)number * MINUTE;
    if (atomic_load(&m->number) != number)
        return;
    for (int i = 0; i < IDEM_OUTCOMES; i++)
        seen->outcomes[i] = atomic_load(&m->outcomes[i]);
    for (int i = 0; i < IDEM_SETTLEMENTS; i++)
        seen->settlements[i] = atomic_load(&m->settlements[i]);
}

void idem_recent_note(const unsigned char *slot, int detecting, idem_outcome outcome, idem_settlement settlement)
{
    apr_time_t now = apr_time_now();

    if (!shared)
        return;
    note_event(slot, detecting, outcome, settlement, now);
    if (!detecting)
        count_minute(outcome, settlement, now);
}
