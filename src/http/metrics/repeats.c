/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeats.c - the table of repeats.h, in the memory of metrics.c.
 *
 * Called at the end of each request that found its key known. Also called to show keys: on the page of mod_status, and
 * in an administrator's list. A bucket is chosen by the slot's first bytes, which are a digest's.
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
    return oldest;
}

void idem_repeats_note(const unsigned char *slot, int is_replay)
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
    atomic_fetch_add_explicit(is_replay ? &known->replayed : &known->refused, 1, memory_order_relaxed);
    atomic_store_explicit(&known->last, (unsigned long)apr_time_sec(apr_time_now()), memory_order_relaxed);
}

static void take_entry_of(const entry *known, unsigned long tag, idem_repeated *out)
{
    for (int i = IDEM_REPEATS_SLOT - 1; i >= 0; i--, tag >>= 8)
        out->slot[i] = (unsigned char)(tag & 0xff);
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
