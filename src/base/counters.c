/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counters.c - the table of counters.h: find, begin, count.
 *
 * Called by the bound on new keys, from any thread of any child. A call that does not get the lock in time counts
 * nothing and reports room. The bound protects the server, and must not stop it.
 */
#include "counters.h"

#include <sched.h>
#include <string.h>

#include <apr_atomic.h>

#include "bytes.h"
#include "processes.h"

#define LOCK_TRIES 4096
#define LOOK_AT_HOLDER 256 /* tries */

typedef struct idem_counter_bucket bucket;

static bucket *lock_bucket(idem_counters *table, const unsigned char *name)
{
    bucket *b = &table->buckets[idem_value_number(name, 4) % IDEM_COUNTERS_BUCKETS];
    apr_uint32_t me = idem_this_process();

    for (int i = 1; i < LOCK_TRIES; i++) {
        apr_uint32_t holder = apr_atomic_cas32(&b->holder, me, 0);

        if (!holder)
            return b;
        if (i % LOOK_AT_HOLDER == 0 && idem_process_gone(holder) && apr_atomic_cas32(&b->holder, me, holder) == holder)
            return b;
        sched_yield();
    }
    return NULL;
}

static void unlock_bucket(bucket *b)
{
    apr_atomic_xchg32(&b->holder, 0); /* also a barrier: what was written is seen before the lock is free */
}

/* NULL if its period has ended, or was forgotten. */
static idem_counter *find_counter(bucket *b, const unsigned char *name, apr_int64_t now)
{
    for (int i = 0; i < IDEM_COUNTERS_WAYS; i++)
        if (b->counters[i].ends > now && !memcmp(b->counters[i].name, name, IDEM_COUNTER_NAME))
            return &b->counters[i];
    return NULL;
}

static idem_counter *begin_period(bucket *b, const unsigned char *name, apr_int64_t ends)
{
    idem_counter *c = b->counters;

    for (int i = 1; i < IDEM_COUNTERS_WAYS; i++)
        if (b->counters[i].ends < c->ends)
            c = &b->counters[i];
    memcpy(c->name, name, IDEM_COUNTER_NAME);
    c->ends = ends;
    c->count = 0;
    return c;
}

static apr_int64_t until_room(const idem_counter *c, const idem_counter_rule *rule, apr_int64_t now)
{
    return c && c->count >= rule->most ? c->ends - now : 0;
}

apr_int64_t idem_counters_full(idem_counters *table, const unsigned char *name, const idem_counter_rule *rule,
                               apr_int64_t now)
{
    bucket *b = lock_bucket(table, name);
    apr_int64_t wait;

    if (!b)
        return 0;
    wait = until_room(find_counter(b, name, now), rule, now);
    unlock_bucket(b);
    return wait;
}

apr_int64_t idem_counters_take(idem_counters *table, const unsigned char *name, const idem_counter_rule *rule,
                               apr_int64_t now, apr_int64_t *ends)
{
    bucket *b = lock_bucket(table, name);
    idem_counter *c;
    apr_int64_t wait;

    *ends = 0;
    if (!b)
        return 0;
    c = find_counter(b, name, now);
    if (!c)
        c = begin_period(b, name, now + rule->period);
    wait = until_room(c, rule, now);
    if (!wait) {
        c->count++;
        *ends = c->ends;
    }
    unlock_bucket(b);
    return wait;
}

void idem_counters_give_back(idem_counters *table, const unsigned char *name, apr_int64_t ends, apr_int64_t now)
{
    bucket *b = lock_bucket(table, name);
    idem_counter *c;

    if (!b)
        return;
    c = find_counter(b, name, now);
    if (c && c->ends == ends && c->count)
        c->count--;
    unlock_bucket(b);
}
