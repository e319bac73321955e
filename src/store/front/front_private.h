/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_private.h - what the files of the front share.
 *
 *   lifecycle.c  configured, opened, attached, detached
 *   calls.c      the calls through it
 *   parts.c      the breakers of its parts
 *   probe.c      is the store back?
 *   mark.c       whose is it?
 *   status.c     how full is it?
 *   tending.c    what administrators ask
 *   errors.c     what an answer means
 */
#ifndef IDEM_FRONT_PRIVATE_H
#define IDEM_FRONT_PRIVATE_H

#include "breaker.h"
#include "front.h"

#include <stdatomic.h>

#include <apr_thread_mutex.h>

/* Where a front stands in its process. */
enum { IDEM_FRONT_DETACHED, IDEM_FRONT_ATTACHED, IDEM_FRONT_DAMAGED };

struct idem_front {
    idem_store *store;
    const char *url; /* password masked */
    apr_interval_time_t timeout;
    const idem_keyring *ring;         /* NULL: responses are kept as they are */
    int look_only;                    /* a configuration is being checked: nothing is written */
    int guest;                        /* …, nor by a tool; and without a ring the mark is not compared */
    const unsigned char *wanted_mark; /* instead of the ring's; NULL for that one */
    idem_front_observer *observer;
    void *baton;
    idem_breaker *breakers; /* before every call of the driver's, one for each part; they have locks of their own */
    int parts;
    int *answers; /* of each part, whether it did when the driver was attached last; the attaching thread's */

    atomic_int phase;
    atomic_uint process;      /* the one that has attached it; what it holds is useless in a fork of that one */
    apr_thread_mutex_t *lock; /* guards what follows, and every change of phase */
    apr_pool_t *home;         /* this process's; parent of what attach() allocates; NULL before attach, after detach */
    int attaching;            /* a thread is inside driver->attach */
    apr_interval_time_t retry_at; /* monotonic; earlier calls do not try to attach */
    int owed;                     /* attach() succeeded, detach() has not been called */
    char reason[IDEM_REASON_LEN]; /* why the store is not there */
};

/* APR_SUCCESS if the driver is attached; may_attach: attaches it first where that is due. *why is set otherwise, in
 * pool. */
apr_status_t idem_front_ready(idem_front *front, int may_attach, apr_pool_t *pool, const char **why);

/* The one before the slot's part; of no slot, the first. */
idem_breaker *idem_front_breaker(idem_front *front, const unsigned char *slot);

/* What a call's result says of the store. */
idem_sign idem_front_sign(const idem_front *front, idem_op op, apr_status_t rv);

/*
 * Was the store made with this front's slot secret? Marks an empty one. IDEM_EDAMAGED and a sentence if not: keys of
 * one secret would not be found under another. Called by the thread that has just attached the driver. One part that
 * answers is enough; front->answers says which did.
 */
apr_status_t idem_front_check_mark(idem_front *front, apr_pool_t *pool, const char **why);

/* The mark's slot of that part; whose mark that is now. */
apr_status_t idem_front_mark_slot(idem_front *front, int part, unsigned char slot[IDEM_SLOT_LEN], apr_pool_t *pool);

/* Writes the mark once more: an operation that goes all the way of a settlement, and changes nothing. */
apr_status_t idem_front_mark_again(idem_front *front, int part, idem_call *call);

/* Reading waits for nobody there, so it says nothing of writers. */
int idem_front_reads_free(const idem_front *front);

/* Did the store say what it did? If not, a change may or may not have been made. IDEM_EDOWN: nothing was sent. */
int idem_store_answered(apr_status_t status);

/* A sentence for each status that has one; a driver's own is better. */
const char *idem_store_sentence(apr_status_t status, apr_pool_t *pool);

#endif
