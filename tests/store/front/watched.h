/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watched.h - what the tests of the breaker share: a watcher that counts, and how to open and mend the breaker.
 */
#ifndef IDEM_WATCHED_H
#define IDEM_WATCHED_H

#include "faulty.h"

#define FAILURES 5                         /* in a row open it */
#define PATIENCE apr_time_from_sec(10)     /* until something has happened that must */
#define PAST_PAUSE apr_time_from_msec(600) /* longer than any pause between two probes */

/* What the watcher has heard since the fixture was made. */
typedef struct watched_told {
    atomic_int opened, closed;
    idem_health last;
} watched_told;
extern watched_told told;

void watch(void *unused, const idem_health *health);

/* As set_up_attached, and watched; calls are counted from here. */
int set_up_watched(void **state);
#define WATCHED(test) cmocka_unit_test_setup_teardown(test, set_up_watched, tear_down)

idem_health health_of(bench *b);
#define assert_state(b, expected) assert_int_equal(health_of(b).state, IDEM_BREAKER_##expected)

/* From here on every call fails, with this sentence. */
void fail_always(const char *why);

/* …, until this. */
void mend_it(void);

/* Lets so many claims fail that it is open; calls are counted from here. */
void open_it(bench *b);

#endif
