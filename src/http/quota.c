/*
 * quota.c - the counters of new keys.
 *
 * Called by the gate around a claim, by the transaction when a slot is given back. A counter belongs to a scope under one rule
 * (how many, for how long), and is found by a digest with a salt of this start: no client can aim at another's counter. The table
 * is divided into buckets of a few entries, each behind a lock that is held for some memory accesses and never over a call.
 *
 * Limits: BUCKETS * WAYS scopes at once. In a bucket that is full the period that ends first makes room, and its scope begins a new one.
 * A process that dies holding a lock is found out; for one that is stopped there nobody waits: its bucket does not count meanwhile.
 */
#include "quota.h"

#include "processes.h"

#include <sched.h>
#include <time.h>

#include <apr_atomic.h>
#include <apr_shm.h>

#define BUCKETS 1024
#define WAYS 8
#define LOCK_TRIES 4096

typedef struct counter {
    unsigned char scope[IDEM_DIGEST_LEN];
    apr_int64_t ends; /* by the monotonic clock, microseconds; 0: never used */
    apr_int64_t keys;
} counter;

typedef struct bucket {
    volatile apr_uint32_t holder; /* the process that has the lock, 0 for none */
    counter counters[WAYS];
} bucket;

static bucket *table; /* shared by the children of one generation */
static unsigned char salt[IDEM_DIGEST_LEN];

apr_status_t idem_quota_open(apr_pool_t *pconf)
{
    apr_shm_t *shm;
    apr_status_t rv = idem_random(salt, sizeof(salt));

    if (rv == APR_SUCCESS)
        rv = apr_shm_create(&shm, BUCKETS * sizeof(bucket), NULL, pconf);
    if (rv != APR_SUCCESS)
        return rv;
    table = apr_shm_baseaddr_get(shm);
    memset(table, 0, BUCKETS * sizeof(bucket));
    return APR_SUCCESS;
}

static apr_int64_t period_of(const idem_txn *txn)
{
    return txn->settings->max_keys_period ? txn->settings->max_keys_period : txn->settings->ttl;
}

apr_status_t idem_quota_name(idem_txn *txn, const idem_part_value *scope, int parts)
{
    idem_part_value values[IDEM_PARTS_MAX + 2];
    unsigned char rule[16];
    idem_blob secret = idem_blob_of(salt, sizeof(salt)), no_key = {NULL, 0};

    if (!txn->settings->max_keys)
        return APR_SUCCESS;
    memcpy(values, scope, (apr_size_t)parts * sizeof(*values));
    idem_put(idem_put(rule, (apr_uint64_t)txn->settings->max_keys, 8), (apr_uint64_t)period_of(txn), 8);
    values[parts].name = "rule";
    values[parts].value = idem_blob_of(rule, sizeof(rule));
    return idem_slot_make(&secret, values, parts + 1, no_key, txn->quota);
}

/* ---- one bucket ----------------------------------------------------------------------------------------------------- */

static apr_int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_int64_t)now.tv_sec * APR_USEC_PER_SEC + now.tv_nsec / 1000;
}

static bucket *lock_bucket(const idem_txn *txn)
{
    bucket *b = &table[idem_value_number(txn->quota, 4) % BUCKETS];
    apr_uint32_t me = idem_this_process();

    for (int i = 1; i < LOCK_TRIES; i++) {
        apr_uint32_t holder = apr_atomic_cas32(&b->holder, me, 0);

        if (!holder)
            return b;
        if (i % 256 == 0 && idem_process_gone(holder) && apr_atomic_cas32(&b->holder, me, holder) == holder)
            return b;
        sched_yield();
    }
    return NULL;
}

static void unlock_bucket(bucket *b)
{
    apr_atomic_xchg32(&b->holder, 0); /* also a barrier: what was written is seen before the lock is free */
}

/* The scope's counter if its period has not ended. */
static counter *find(bucket *b, const idem_txn *txn, apr_int64_t now)
{
    for (int i = 0; i < WAYS; i++)
        if (b->counters[i].ends > now && !memcmp(b->counters[i].scope, txn->quota, IDEM_DIGEST_LEN))
            return &b->counters[i];
    return NULL;
}

static counter *begin_period(bucket *b, const idem_txn *txn, apr_int64_t now)
{
    counter *c = b->counters;

    for (int i = 1; i < WAYS; i++)
        if (b->counters[i].ends < c->ends)
            c = &b->counters[i];
    memcpy(c->scope, txn->quota, IDEM_DIGEST_LEN);
    c->ends = now + period_of(txn);
    c->keys = 0;
    return c;
}

/* Seconds until there is room again; 0: there is. */
static int seconds_full(const idem_txn *txn, const counter *c, apr_int64_t now)
{
    if (!c || c->keys < txn->settings->max_keys)
        return 0;
    return (int)((c->ends - now + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
}

static int refused(idem_txn *txn, int seconds)
{
    txn->problem = IDEM_TOO_MANY_KEYS;
    txn->retry_after = seconds;
    return 1;
}

/* ---- for the gate --------------------------------------------------------------------------------------------------- */

int idem_quota_spent(idem_txn *txn)
{
    bucket *b = txn->settings->max_keys && !txn->quota_ends ? lock_bucket(txn) : NULL;
    const char *why = NULL;
    apr_int64_t now;
    int seconds;

    if (!b)
        return 0;
    now = monotonic();
    seconds = seconds_full(txn, find(b, txn, now), now);
    unlock_bucket(b);
    /* What the store holds, or that it does not answer, is the claim's to say. */
    if (!seconds || idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why) != APR_NOTFOUND)
        return 0;
    return refused(txn, seconds);
}

int idem_quota_exceeded(idem_txn *txn)
{
    int counts = txn->settings->max_keys && !txn->quota_ends && txn->head.attempt == 1, seconds;
    bucket *b = counts ? lock_bucket(txn) : NULL;
    counter *c;
    apr_int64_t now;

    if (!b)
        return 0;
    now = monotonic();
    c = find(b, txn, now);
    if (!c)
        c = begin_period(b, txn, now);
    seconds = seconds_full(txn, c, now);
    if (!seconds) {
        c->keys++;
        txn->quota_ends = c->ends;
    }
    unlock_bucket(b);
    return seconds ? refused(txn, seconds) : 0;
}

void idem_quota_give_back(idem_txn *txn)
{
    bucket *b = txn->quota_ends ? lock_bucket(txn) : NULL;
    counter *c;

    if (!b)
        return;
    c = find(b, txn, monotonic());
    if (c && c->ends == txn->quota_ends && c->keys)
        c->keys--;
    txn->quota_ends = 0;
    unlock_bucket(b);
}
