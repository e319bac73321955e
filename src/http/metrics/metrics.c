/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.c - counting.
 *
 * Called by transactions, waiters and keeper when something happens, by the stores' fronts after each call, from any
 * thread of any child; by the parent at start and when a child has ended.
 *
 * The memory is made once in the parent's life and found again after each restart, so counters only ever grow; children
 * of two generations share it. Its layout is part of the name under which it is found: a module of another layout
 * begins with memory of its own. Limits: IDEM_METRICS_STORES stores. A child may find no entry for its gauges, beside
 * several old generations that are each at the limit of their processes. It counts then, and has no gauges.
 */
#include "metrics_private.h"

#include "processes.h"
#include "stores.h"

#include <apr_shm.h>
#include <apr_strings.h>
#include <http_config.h>

#define LAYOUT 2 /* raised when a number changes its meaning or its place */
#define OTHERS "others"

const apr_interval_time_t idem_metrics_bounds[IDEM_BOUNDS] = {100,    300,    1000,    3000,    10000,   30000,
                                                              100000, 300000, 1000000, 3000000, 10000000};

const char *const idem_metrics_results[IDEM_RESULTS] = {
    [IDEM_CALL_OK] = "ok",
    [IDEM_CALL_REFUSED] = "refused",
    [IDEM_CALL_FULL] = "full",
    [IDEM_CALL_FAILED] = "failed",
};
const char *const idem_metrics_job_ends[IDEM_JOB_ENDS] = {
    [IDEM_JOB_ACKNOWLEDGED] = "acknowledged",
    [IDEM_JOB_REFUSED] = "refused",
    [IDEM_JOB_DROPPED] = "dropped",
};

static idem_metrics *metrics;
/* The stores of this configuration, and where each is counted. */
static struct watched_store {
    idem_front *front;
    idem_store_counts *counts;
} * watched;
static int watched_count;

static idem_process_gauges nowhere; /* of a process that has no entry */
static idem_process_gauges *own = &nowhere;

static void add_to(atomic_ulong *counter, unsigned long by)
{
    atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

/* ---- the memory -------------------------------------------------------------------------------------------------- */

/* Twice the children there can be at once: a graceful restart has two generations. */
static unsigned most_processes(void)
{
    int most = 0;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &most) != APR_SUCCESS || most < 1)
        most = 1;
    return 2 * (unsigned)most;
}

static apr_status_t make_metrics(idem_metrics **made, apr_pool_t *pool)
{
    unsigned count = most_processes();
    apr_size_t size = sizeof(**made) + count * sizeof((*made)->processes[0]);
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, size, NULL, pool);
    char *base;

    if (rv != APR_SUCCESS)
        return rv;
    base = apr_shm_baseaddr_get(shm);
    memset(base, 0, size);
    *made = (idem_metrics *)APR_ALIGN((apr_uintptr_t)base, _Alignof(idem_metrics));
    (*made)->process_count = count - 1; /* the last one's room is for the alignment */
    return APR_SUCCESS;
}

static apr_status_t find_or_make(server_rec *s)
{
    const char *name =
        apr_psprintf(s->process->pconf, "mod_idempotency metrics %d %lu", LAYOUT, (unsigned long)sizeof(*metrics));
    idem_metrics **kept = ap_retained_data_get(name);

    if (!kept)
        kept = ap_retained_data_create(name, sizeof(*kept));
    if (!*kept) {
        apr_status_t rv = make_metrics(kept, s->process->pool);

        if (rv != APR_SUCCESS)
            return rv;
    }
    metrics = *kept;
    return APR_SUCCESS;
}

/* ---- stores ------------------------------------------------------------------------------------------------------ */

/* Only the parent names entries, and no entry is ever given to another store. */
static idem_store_counts *counts_of(const char *url)
{
    char name[IDEM_METRICS_URL];

    apr_cpystrn(name, url, sizeof(name));
    for (int i = 0; i < IDEM_METRICS_STORES; i++) {
        idem_store_counts *counts = &metrics->stores[i];

        if (!atomic_load(&counts->named)) {
            apr_cpystrn(counts->url, i < IDEM_METRICS_STORES - 1 ? name : OTHERS, sizeof(counts->url));
            atomic_store(&counts->named, 1);
            return counts;
        }
        if (!strcmp(counts->url, name))
            return counts;
    }
    return &metrics->stores[IDEM_METRICS_STORES - 1];
}

static idem_result result_of(apr_status_t status)
{
    switch (status) {
    case APR_SUCCESS: return IDEM_CALL_OK;
    case APR_EEXIST:
    case APR_NOTFOUND:
    case IDEM_ELOST:
    case IDEM_EALIVE:
    case IDEM_ETOOBIG: return IDEM_CALL_REFUSED;
    case IDEM_EFULL: return IDEM_CALL_FULL;
    default: return IDEM_CALL_FAILED;
    }
}

static int bound_of(apr_interval_time_t took)
{
    int i = 0;

    while (i < IDEM_BOUNDS && took > idem_metrics_bounds[i])
        i++;
    return i;
}

/* After each call through a front. One that was not sent took no time, and would only make a store that is down look
 * fast. */
static void observe_call(void *baton, idem_op op, apr_status_t status, apr_interval_time_t took)
{
    idem_store_counts *counts = baton;

    add_to(&counts->calls[op][result_of(status)], 1);
    if (status == IDEM_EDOWN)
        return;
    add_to(&counts->within[op][bound_of(took)], 1);
    add_to(&counts->spent[op], (unsigned long)took);
}

apr_status_t idem_metrics_open(server_rec *s)
{
    const apr_array_header_t *fronts = idem_stores_all();
    apr_status_t rv = find_or_make(s);

    if (rv != APR_SUCCESS)
        return rv;
    watched = apr_pcalloc(s->process->pconf, (apr_size_t)fronts->nelts * sizeof(*watched));
    watched_count = fronts->nelts;
    for (int i = 0; i < watched_count; i++) {
        idem_front *front = APR_ARRAY_IDX(fronts, i, idem_front *);

        watched[i].front = front;
        watched[i].counts = counts_of(idem_front_url(front));
        idem_front_set_observer(front, observe_call, watched[i].counts);
    }
    return APR_SUCCESS;
}

/* ---- processes --------------------------------------------------------------------------------------------------- */

/* What its owner before had is still there. */
static int take_gauges(idem_process_gauges *entry, unsigned from)
{
    if (!atomic_compare_exchange_strong(&entry->process, &from, idem_this_process()))
        return 0;
    for (int i = 0; i < IDEM_GAUGES; i++)
        atomic_store(&entry->gauges[i], 0);
    atomic_store(&entry->open, 0);
    return 1;
}

static idem_process_gauges *take_entry(void)
{
    for (unsigned i = 0; i < metrics->process_count; i++)
        if (take_gauges(&metrics->processes[i], 0))
            return &metrics->processes[i];
    for (unsigned i = 0; i < metrics->process_count; i++) {
        unsigned there = atomic_load(&metrics->processes[i].process);

        if (there && idem_process_gone(there) && take_gauges(&metrics->processes[i], there))
            return &metrics->processes[i];
    }
    return &nowhere;
}

/* Until the process has ended: its threads may count as long as that. */
void idem_metrics_attach(void)
{
    own = take_entry();
}

void idem_metrics_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot, mpm_child_status state)
{
    (void)s;
    (void)generation;
    (void)slot;
    if (state != MPM_CHILD_EXITED || !metrics)
        return;
    for (unsigned i = 0; i < metrics->process_count; i++) {
        unsigned ended = (unsigned)pid;

        if (ended && atomic_compare_exchange_strong(&metrics->processes[i].process, &ended, 0))
            return;
    }
}

/* ---- what is counted --------------------------------------------------------------------------------------------- */

void idem_metrics_change(idem_gauge gauge, long by)
{
    if (by)
        add_to(&own->gauges[gauge], (unsigned long)by); /* modulo: what is taken off was added before */
}

void idem_metrics_job(idem_job_end end)
{
    if (metrics)
        add_to(&metrics->jobs[end], 1);
}

void idem_metrics_breaker(const idem_front *front, int is_open)
{
    for (int i = 0; i < watched_count; i++) {
        unsigned long bit = 1UL << (watched[i].counts - metrics->stores);

        if (watched[i].front != front)
            continue;
        if (!is_open)
            atomic_fetch_and(&own->open, ~bit);
        else if (!(atomic_fetch_or(&own->open, bit) & bit))
            add_to(&watched[i].counts->openings, 1);
    }
}

void idem_metrics_request(int detecting, idem_outcome outcome, idem_settlement settlement)
{
    if (!metrics)
        return;
    add_to(outcome ? &metrics->outcomes[detecting != 0][outcome] : &metrics->undecided, 1);
    if (settlement && !detecting)
        add_to(&metrics->settlements[settlement], 1);
}

unsigned long idem_metrics_open_breakers(const char *url)
{
    idem_metrics_sums sums;

    idem_metrics_sum(&sums);
    for (int i = 0; i < IDEM_METRICS_STORES; i++)
        if (!strcmp(metrics->stores[i].url, url))
            return sums.open[i];
    return 0;
}

/* ---- for the reader ---------------------------------------------------------------------------------------------- */

idem_metrics *idem_metrics_shared(void)
{
    return metrics;
}

idem_front *idem_metrics_front(const idem_store_counts *counts)
{
    for (int i = 0; i < watched_count; i++)
        if (watched[i].counts == counts && counts != &metrics->stores[IDEM_METRICS_STORES - 1])
            return watched[i].front;
    return NULL;
}

idem_store_counts *idem_metrics_counts(const idem_front *front)
{
    for (int i = 0; i < watched_count; i++)
        if (watched[i].front == front)
            return watched[i].counts;
    return NULL;
}

const idem_store_counts *idem_metrics_next_store(const idem_metrics *all, int *i)
{
    while (*i < IDEM_METRICS_STORES) {
        const idem_store_counts *store = &all->stores[(*i)++];

        if (atomic_load(&store->named))
            return store;
    }
    return NULL;
}

int idem_metrics_room(const idem_store_counts *counts, apr_pool_t *pool, idem_store_status *status)
{
    idem_front *front = idem_metrics_front(counts);
    const char *why;

    memset(status, 0, sizeof(*status));
    return front && idem_front_status(front, pool, status, &why) == APR_SUCCESS;
}

void idem_metrics_sum(idem_metrics_sums *sums)
{
    memset(sums, 0, sizeof(*sums));
    for (unsigned i = 0; i < metrics->process_count; i++) {
        idem_process_gauges *entry = &metrics->processes[i];
        unsigned process = atomic_load(&entry->process);
        unsigned long bits = atomic_load(&entry->open);

        if (!process || idem_process_gone(process)) /* the parent has not heard of it yet */
            continue;
        sums->processes++;
        for (int gauge = 0; gauge < IDEM_GAUGES; gauge++)
            sums->gauges[gauge] += atomic_load(&entry->gauges[gauge]);
        for (int store = 0; store < IDEM_METRICS_STORES; store++)
            sums->open[store] += bits >> store & 1;
    }
}
