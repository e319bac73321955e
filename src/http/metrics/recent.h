/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recent.h - what was done lately: the last guarded requests, and counts for each of the last minutes. For the admin
 * API.
 *
 * Memory that all children share and that outlives reloads. Noting takes no lock, and never fails. Nothing of a request
 * but its slot and what was done with it comes here.
 */
#ifndef IDEM_RECENT_H
#define IDEM_RECENT_H

#include "idem_store.h"
#include "outcome.h"

#include <httpd.h>

#define IDEM_RECENT_EVENTS 1024
#define IDEM_RECENT_MINUTES 180

typedef struct idem_event_seen {
    unsigned long number; /* from 1 on, in the order in which requests ended */
    apr_time_t at;
    unsigned char slot[IDEM_SLOT_LEN];
    int has_slot, detecting;
    idem_outcome outcome;       /* NONE: it ended before there was one */
    idem_settlement settlement; /* NONE for what was not executed */
} idem_event_seen;

typedef struct idem_minute_seen {
    apr_time_t begins;
    unsigned long outcomes[IDEM_OUTCOMES], settlements[IDEM_SETTLEMENTS];
} idem_minute_seen;

/* post_config. */
apr_status_t idem_recent_open(server_rec *s);

/* slot NULL: the request had none. */
void idem_recent_note(const unsigned char *slot, int detecting, idem_outcome outcome, idem_settlement settlement);

/* The number of the newest event, 0 for none. */
unsigned long idem_recent_last(void);

/* 0: there is none of that number any more, or not yet. */
int idem_recent_event(unsigned long number, idem_event_seen *event);

/* The minute that began so many minutes before the present one. Requests that were only watched are not in it. */
void idem_recent_minute(int ago, idem_minute_seen *minute);

#endif
