/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.h - how often something happened in a period, for many things at once, in memory that processes share.
 *
 * A table of fixed size: COUNTERS_BUCKETS times COUNTERS_WAYS things. Where there is no room the period that ends first
 * is forgotten, and its thing begins a new one. Each bucket has a lock that is held for some memory accesses and never
 * over a call. A process that dies holding one is found out. Nobody waits for a process that is stopped there: its
 * bucket does not count meanwhile.
 *
 * Times are microseconds of one clock that all callers share and that never runs backwards.
 */
#ifndef IDEM_COUNTERS_H
#define IDEM_COUNTERS_H

#include <apr.h>

#define IDEM_COUNTERS_BUCKETS 1024
#define IDEM_COUNTERS_WAYS 8
#define IDEM_COUNTER_NAME 32

typedef struct idem_counter {
    unsigned char name[IDEM_COUNTER_NAME]; /* random, or a digest that nobody else can compute: its first bytes choose
                                              the bucket */
    apr_int64_t ends;                      /* of its period; 0: never used */
    apr_int64_t count;
} idem_counter;

/* Shown for its size, and for tests. All zeros is an empty table. */
typedef struct idem_counters {
    struct idem_counter_bucket {
        volatile apr_uint32_t holder; /* the process that has the lock, 0 for none */
        idem_counter counters[IDEM_COUNTERS_WAYS];
    } buckets[IDEM_COUNTERS_BUCKETS];
} idem_counters;

typedef struct idem_counter_rule {
    apr_int64_t most, period;
} idem_counter_rule;

/* How long until there is room; 0: there is. Counts nothing. */
apr_int64_t idem_counters_full(idem_counters *table, const unsigned char *name, const idem_counter_rule *rule,
                               apr_int64_t now);

/* Counts one: 0, and *ends is the end of the period it was counted in. Or how long until there is room, and nothing is
 * counted. */
apr_int64_t idem_counters_take(idem_counters *table, const unsigned char *name, const idem_counter_rule *rule,
                               apr_int64_t now, apr_int64_t *ends);

/* Takes one back that was counted in the period that ends then, if that is still counted. */
void idem_counters_give_back(idem_counters *table, const unsigned char *name, apr_int64_t ends, apr_int64_t now);

#endif
