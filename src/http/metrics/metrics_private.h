/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_private.h - the memory that metrics.c counts in and metrics_text.c reads.
 *
 * Everything is a number of its own: a reader may see one event in one of them and not yet in the next. A long is
 * lock-free wherever httpd runs; where it has 32 bits a counter begins anew after 2^32, and readers take that for a
 * restart.
 */
#ifndef IDEM_METRICS_PRIVATE_H
#define IDEM_METRICS_PRIVATE_H

#include "metrics.h"

#include <stdatomic.h>

/* The last entry is for all stores that found no room. A process has a bit for each of them. */
#define IDEM_METRICS_STORES 32
#define IDEM_METRICS_URL 200

_Static_assert(ATOMIC_LONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "shared between processes: no lock may hide here");

/* What came of a store's call. A full store is no failed one: it answers, and another remedy is needed. */
typedef enum idem_result {
    IDEM_CALL_OK,
    IDEM_CALL_REFUSED,
    IDEM_CALL_FULL,
    IDEM_CALL_FAILED,
    IDEM_RESULTS
} idem_result;

/* Upper bounds of the durations counted together; longer ones are counted last. */
enum { IDEM_BOUNDS = 11 };
extern const apr_interval_time_t idem_metrics_bounds[IDEM_BOUNDS];

extern const char *const idem_metrics_results[IDEM_RESULTS], *const idem_metrics_job_ends[IDEM_JOB_ENDS];

typedef struct idem_store_counts {
    _Alignas(64) atomic_int named;
    char url[IDEM_METRICS_URL]; /* masked; final once named is set */
    atomic_ulong calls[IDEM_OPS][IDEM_RESULTS];
    atomic_ulong within[IDEM_OPS][IDEM_BOUNDS + 1]; /* each duration in one of them */
    atomic_ulong spent[IDEM_OPS];                   /* microseconds */
    atomic_ulong openings;                          /* of circuit breakers */
    atomic_ulong told;                              /* when it was told how often keys were sent again, seconds */
} idem_store_counts;

typedef struct idem_process_gauges {
    _Alignas(64) atomic_uint process; /* its number; 0: free */
    atomic_ulong gauges[IDEM_GAUGES];
    atomic_ulong open; /* bit n: its circuit breaker of store n is open */
} idem_process_gauges;

/* Of keys that are sent again (repeats.h). last is in seconds: an atomic long may have 32 bits. */
enum { IDEM_REPEATS_BUCKETS = 1024, IDEM_REPEATS_WAYS = 4 };

typedef struct idem_repeats_entry {
    atomic_ulong tag; /* the slot's first bytes; 0: empty */
    atomic_ulong replayed, refused, last;
    atomic_ulong store;                         /* its number, from 1 on */
    atomic_ulong fresh_replayed, fresh_refused; /* … that the store has not been told yet */
} idem_repeats_entry;

typedef struct idem_metrics {
    _Alignas(64) atomic_ulong outcomes[2][IDEM_OUTCOMES]; /* executed for the client; only watched. NONE is not used */
    atomic_ulong undecided;                               /* ended before there was an outcome */
    atomic_ulong settlements[IDEM_SETTLEMENTS];           /* NONE is not used */
    atomic_ulong jobs[IDEM_JOB_ENDS];
    idem_store_counts stores[IDEM_METRICS_STORES];
    idem_repeats_entry repeats[IDEM_REPEATS_BUCKETS * IDEM_REPEATS_WAYS];
    unsigned process_count;
    idem_process_gauges processes[];
} idem_metrics;

/* What the children of all living generations have, added up. */
typedef struct idem_metrics_sums {
    unsigned long processes, gauges[IDEM_GAUGES], open[IDEM_METRICS_STORES];
} idem_metrics_sums;

/* NULL before idem_metrics_open(). */
idem_metrics *idem_metrics_shared(void);

void idem_metrics_sum(idem_metrics_sums *sums);

/* The store of this configuration that is counted there, NULL if there is none any more. */
idem_front *idem_metrics_front(const idem_store_counts *counts);

/* Where a store's counts are; NULL for one that is not of this configuration. */
idem_store_counts *idem_metrics_counts(const idem_front *front);

/* The next named store from *i on, NULL behind the last. */
const idem_store_counts *idem_metrics_next_store(const idem_metrics *metrics, int *i);

/* How full the store is, where that is to be had for nothing: 0 and zeros elsewhere. */
int idem_metrics_room(const idem_store_counts *counts, apr_pool_t *pool, idem_store_status *status);

#endif
