/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeats.c - the table of repeats.h, in the memory of metrics.c.
 *
 * Called at the end of each request that found its key known, and by the keeper. Also called to show keys: on the page
 * of mod_status, and in an administrator's list. A bucket is chosen by the slot's first bytes, which are a digest's.
 * What is new is taken by one process, which tells the store, and put back if that fails.
 */
#include "repeats.h"

#include "metrics_private.h"

typedef idem_repeats_entry entry;

static unsigned long tag_of(const unsigned char *slot)
{
    unsigned long tag = (unsigned long)idem_value_number(slot, IDEM_REPEATS_SLOT);

    return tag ? tag : 1;
}

static entry *bucket_of(idem_metrics *metrics, unsigned long tag)
{
    return &metrics->repeats[tag % IDEM_REPEATS_BUCKETS * IDEM_REPEATS_WAYS];
}

static entry *entry_of(entry *bucket, unsigned long tag)
{
    for (int i = 0; i < IDEM_REPEATS_WAYS; i++)
        if (atomic_load_explicit(&bucket[i].tag, memory_order_relaxed) == tag)
            return &bucket[i];
    return NULL;
}

/* An empty one has never been asked for. */
static entry *give_entry(entry *bucket, unsigned long tag)
{
    entry *oldest = bucket;
    unsigned long before;

    for (int i = 1; i < IDEM_REPEATS_WAYS; i++)
        if (atomic_load(&bucket[i].last) < atomic_load(&oldest->last))
            oldest = &bucket[i];
    before = atomic_load(&oldest->tag);
    if (!atomic_compare_exchange_strong(&oldest->tag, &before, tag))
        return NULL; /* somebody else was given it: one count is lost */
    atomic_store(&oldest->replayed, 0);
    atomic_store(&oldest->refused, 0);
    atomic_store(&oldest->fresh_replayed, 0);
    atomic_store(&oldest->fresh_refused, 0);
    return oldest;
}

static unsigned long number_of_store(const idem_metrics *metrics, const idem_front *front)
{
    const idem_store_counts *counts = idem_metrics_counts(front);

    return counts ? (unsigned long)(counts - metrics->stores) + 1 : 0;
}

void idem_repeats_note(const idem_front *front, const unsigned char *slot, int is_replay)
{
    idem_metrics *metrics = idem_metrics_shared();
    unsigned long tag = tag_of(slot);
    entry *bucket, *known;

    if (!metrics)
        return;
    bucket = bucket_of(metrics, tag);
    known = entry_of(bucket, tag);
    if (!known)
        known = give_entry(bucket, tag);
    if (!known)
        return;
    atomic_store_explicit(&known->store, number_of_store(metrics, front), memory_order_relaxed);
    atomic_fetch_add_explicit(is_replay ? &known->replayed : &known->refused, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(is_replay ? &known->fresh_replayed : &known->fresh_refused, 1, memory_order_relaxed);
    atomic_store_explicit(&known->last, (unsigned long)apr_time_sec(apr_time_now()), memory_order_relaxed);
}

static void slot_of_tag(unsigned long tag, unsigned char *slot)
{
    for (int i = IDEM_REPEATS_SLOT - 1; i >= 0; i--, tag >>= 8)
        slot[i] = (unsigned char)(tag & 0xff);
}

static void take_entry_of(const entry *known, unsigned long tag, idem_repeated *out)
{
    slot_of_tag(tag, out->slot);
    out->replayed = atomic_load(&known->replayed);
    out->refused = atomic_load(&known->refused);
    out->last = apr_time_from_sec((apr_time_t)atomic_load(&known->last));
}

static unsigned long repeated_times(const idem_repeated *one)
{
    return one->replayed + one->refused;
}

/* Into its place among those that are there already. */
static int put_by_times(idem_repeated *top, int count, int most, const idem_repeated *one)
{
    int at = count;

    while (at > 0 && repeated_times(&top[at - 1]) < repeated_times(one))
        at--;
    if (at == most)
        return count;
    if (count < most)
        count++;
    memmove(&top[at + 1], &top[at], (size_t)(count - at - 1) * sizeof(*top));
    top[at] = *one;
    return count;
}

int idem_repeats_top(idem_repeated *top, int most)
{
    idem_metrics *metrics = idem_metrics_shared();
    int count = 0;

    for (int i = 0; metrics && i < IDEM_REPEATS_BUCKETS * IDEM_REPEATS_WAYS; i++) {
        unsigned long tag = atomic_load(&metrics->repeats[i].tag);
        idem_repeated one;

        if (!tag)
            continue;
        take_entry_of(&metrics->repeats[i], tag, &one);
        count = put_by_times(top, count, most, &one);
    }
    return count;
}

/* ---- the store --------------------------------------------------------------------------------------------------- */

#define TELL_EVERY 60 /* seconds */
#define ENTRIES (IDEM_REPEATS_BUCKETS * IDEM_REPEATS_WAYS)

/* 0: there is nothing new. */
static int take_fresh(entry *known, unsigned long store, idem_again *row)
{
    unsigned long tag = atomic_load(&known->tag);

    if (!tag || atomic_load_explicit(&known->store, memory_order_relaxed) != store)
        return 0;
    slot_of_tag(tag, row->slot);
    row->replayed = atomic_exchange(&known->fresh_replayed, 0);
    row->refused = atomic_exchange(&known->fresh_refused, 0);
    row->last = apr_time_from_sec((apr_time_t)atomic_load(&known->last));
    return row->replayed || row->refused;
}

static void give_back_fresh(idem_metrics *metrics, const idem_again *row)
{
    unsigned long tag = tag_of(row->slot);
    entry *known = entry_of(bucket_of(metrics, tag), tag);

    if (!known)
        return;
    atomic_fetch_add(&known->fresh_replayed, (unsigned long)row->replayed);
    atomic_fetch_add(&known->fresh_refused, (unsigned long)row->refused);
}

static int is_time_to_tell(idem_store_counts *counts, int at_once)
{
    unsigned long now = (unsigned long)apr_time_sec(apr_time_now()), told = atomic_load(&counts->told);

    if (!at_once && told && now - told < TELL_EVERY)
        return 0;
    if (!atomic_compare_exchange_strong(&counts->told, &told, now))
        return 0;           /* another process does */
    return told || at_once; /* the first time nothing is a minute old */
}

void idem_repeats_tell(idem_front *front, int at_once, apr_pool_t *pool)
{
    idem_metrics *metrics = idem_metrics_shared();
    idem_store_counts *counts = metrics ? idem_metrics_counts(front) : NULL;
    const char *why = NULL;
    idem_again *rows;
    int count = 0;

    if (!counts || !idem_again_is_kept(front) || !is_time_to_tell(counts, at_once))
        return;
    rows = apr_palloc(pool, ENTRIES * sizeof(*rows));
    for (int i = 0; i < ENTRIES; i++)
        count += take_fresh(&metrics->repeats[i], number_of_store(metrics, front), &rows[count]);
    if (!count || idem_again_add(front, rows, count, pool, &why) == APR_SUCCESS)
        return;
    for (int i = 0; i < count; i++)
        give_back_fresh(metrics, &rows[i]);
}

static void add_from_memory(idem_metrics *metrics, const idem_front *front, apr_hash_t *all, apr_pool_t *pool)
{
    unsigned long store = number_of_store(metrics, front);
    int is_kept = idem_again_is_kept(front);

    for (int i = 0; i < ENTRIES; i++) {
        const entry *known = &metrics->repeats[i];
        unsigned long tag = atomic_load(&known->tag);
        idem_again row;

        if (!tag || atomic_load(&known->store) != store)
            continue;
        slot_of_tag(tag, row.slot);
        row.replayed = atomic_load(is_kept ? &known->fresh_replayed : &known->replayed);
        row.refused = atomic_load(is_kept ? &known->fresh_refused : &known->refused);
        row.last = apr_time_from_sec((apr_time_t)atomic_load(&known->last));
        if (row.replayed || row.refused)
            idem_again_count(all, &row, pool);
    }
}

apr_status_t idem_repeats_load(idem_front *front, apr_pool_t *pool, apr_hash_t **all, const char **why)
{
    idem_metrics *metrics = idem_metrics_shared();
    apr_status_t rv = idem_again_load(front, pool, all, why);

    if (rv == APR_SUCCESS && metrics)
        add_from_memory(metrics, front, *all, pool);
    return rv;
}
