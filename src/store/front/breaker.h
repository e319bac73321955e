/* SPDX-License-Identifier: Apache-2.0 */
/*
 * breaker.h - whether calls may enter the driver, for one part of a front's store. Private to the front.
 *
 * It opens after several failures in a row, and at once when a call has been inside for longer than a call may take.
 * Some drivers cannot bound a call to a server that hangs, so each failure that the breaker waits for would cost a
 * thread. It closes when the store has answered. Any thread; no function waits for anything but the lock, which is
 * never held while a driver is called.
 */
#ifndef IDEM_BREAKER_H
#define IDEM_BREAKER_H

#include "health.h"

#include <stdatomic.h>

#include <apr_ring.h>
#include <apr_thread_mutex.h>

/* One call inside the driver. Lives on the stack of its thread; from enter to leave it is the breaker's. */
typedef struct idem_visit {
    APR_RING_ENTRY(idem_visit) link;
    apr_interval_time_t began; /* monotonic */
    const unsigned char *slot; /* NULL: of none */
    unsigned closings;         /* how often the breaker had closed when it came */
    int is_probe;
} idem_visit;

APR_RING_HEAD(idem_visits, idem_visit);

/* What the end of a call says about the store. */
typedef enum idem_sign {
    IDEM_SIGN_NONE, /* the store was not asked */
    IDEM_SIGN_ANSWER,
    IDEM_SIGN_FAILURE
} idem_sign;

typedef struct idem_breaker {
    atomic_int others_probe;  /* callers are never let through to see whether the store is back */
    apr_thread_mutex_t *lock; /* guards what follows */
    idem_front_watcher *watcher;
    void *baton;
    apr_interval_time_t limit; /* a call that is inside for longer is stuck */
    struct idem_visits visits; /* oldest first */
    struct idem_visits strays; /* those that came before the last closing: an old outage's, they open nothing */
    int open, probing;         /* probing: a probe is inside */
    unsigned closings;
    apr_interval_time_t changed_at, due, pause; /* due: the next probe, not earlier */
    unsigned char slot[IDEM_SLOT_LEN];          /* whose call failed, or is stuck */
    int has_slot;
    idem_health health; /* counters and reason; the rest is filled in when somebody asks */
} idem_breaker;

apr_status_t idem_breaker_init(idem_breaker *breaker, int part, int parts, apr_pool_t *pool);

/* timeout: how long a call may take by its deadline; the limit is somewhat longer. */
void idem_breaker_set_timeout(idem_breaker *breaker, apr_interval_time_t timeout);

/* Nonzero: the driver may be called, and idem_breaker_leave() follows. Else the reason is put into why. */
int idem_breaker_enter(idem_breaker *breaker, idem_visit *visit, const unsigned char *slot, char why[IDEM_REASON_LEN]);

/* Nonzero: the visit is the probe that is due. slot gets the slot to look at; 0 is put into *has_slot if there is
 * none. */
int idem_breaker_enter_to_probe(idem_breaker *breaker, idem_visit *visit, unsigned char slot[IDEM_SLOT_LEN],
                                int *has_slot);

/* why: the failure's sentence. */
void idem_breaker_leave(idem_breaker *breaker, idem_visit *visit, idem_sign sign, const char *why);

/* The driver cannot be attached, or its store is damaged. Opens without telling the watcher: the caller knows. */
void idem_breaker_trip(idem_breaker *breaker, const char *reason);

/* It could be attached. */
void idem_breaker_mend(idem_breaker *breaker);

/* Microseconds until a probe is due, at least one; 0: it is closed. */
apr_interval_time_t idem_breaker_due(idem_breaker *breaker);

void idem_breaker_describe(idem_breaker *breaker, idem_health *health);

#endif
