/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.h - the time a local store goes by: it never jumps and never runs backwards.
 *
 * An entry's expiry is an instant of this clock, kept on disk. The wall clock alone will not do. Set forwards by a day,
 * it would expire every record at once, and an operation would run a second time. Set backwards, it would let nothing
 * ever expire. So the store's clock advances with the machine's uptime and only leans towards the wall clock, see
 * IDEM_CLOCK_LEAN.
 *
 * One clock per process and store, used by any thread. Instants and intervals are microseconds.
 */
#ifndef IDEM_CLOCK_H
#define IDEM_CLOCK_H

#include <apr_errno.h>
#include <apr_time.h>
#include <pthread.h>
#include <time.h>

/*
 * While the wall clock is ahead, the store's clock gains one part in so many on real time. With eight, a time to live
 * that is measured while catching up lasts at least 8/9 of its promise. An hour's jump is absorbed within a working
 * day.
 */
#define IDEM_CLOCK_LEAN 8

#define IDEM_BOOT_ID_LEN 36

/* The arithmetic alone, free of any real clock, so that a test can drive it. */
typedef struct idem_clock_state {
    apr_time_t base;   /* what the clock showed at anchor */
    apr_time_t anchor; /* uptime */
    apr_time_t last;   /* what it showed last: the floor of everything it shows later */
} idem_clock_state;

apr_time_t idem_clock_step(idem_clock_state *state, apr_time_t wall, apr_time_t uptime);

typedef struct idem_clock {
    pthread_mutex_t lock;
    idem_clock_state state;
} idem_clock;

void idem_clock_start(idem_clock *clock, apr_time_t now);
apr_time_t idem_clock_now(idem_clock *clock);

/* Another process has seen this instant: the clock shows no earlier one from now on. */
void idem_clock_raise(idem_clock *clock, apr_time_t at_least);
void idem_clock_stop(idem_clock *clock);

/* Time since boot, suspended time included where the system can tell. */
apr_time_t idem_clock_uptime(void);

/* Names this boot of the machine; APR_ENOTIMPL where the system has no name for it. out is terminated. */
apr_status_t idem_clock_boot_id(char out[IDEM_BOOT_ID_LEN + 1]);

/* A deadline on apr_time_now()'s clock as an instant of CLOCK_MONOTONIC, which nobody can set while we wait. */
struct timespec idem_clock_deadline(apr_time_t deadline);

#endif
