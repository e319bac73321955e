/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quota.c - the bound on new keys, around claim and release.
 *
 * Called by the gate and, where a slot is given back, by the transaction. A counter belongs to a scope under one rule:
 * how many, for how long. Its name is a digest with a salt of this start, so no client can aim at another's counter.
 */
#include "quota.h"

#include "counters.h"
#include "threads.h"

#include <apr_shm.h>

static idem_counters *table; /* shared by the children of one generation */
static unsigned char salt[IDEM_DIGEST_LEN];

_Static_assert(IDEM_COUNTER_NAME == IDEM_DIGEST_LEN, "counters are named by digests");

apr_status_t idem_quota_open(apr_pool_t *pconf)
{
    apr_shm_t *shm;
    apr_status_t rv = idem_random(salt, sizeof(salt));

    if (rv == APR_SUCCESS)
        rv = apr_shm_create(&shm, sizeof(*table), NULL, pconf);
    if (rv != APR_SUCCESS)
        return rv;
    table = apr_shm_baseaddr_get(shm);
    memset(table, 0, sizeof(*table));
    return APR_SUCCESS;
}

static idem_counter_rule rule_of(const idem_txn *txn)
{
    const idem_settings *settings = txn->settings;
    idem_counter_rule rule = {settings->max_keys,
                              settings->max_keys_period ? settings->max_keys_period : settings->ttl};

    return rule;
}

apr_status_t idem_quota_name(idem_txn *txn, const idem_part_value *scope, int parts)
{
    idem_part_value values[IDEM_PARTS_MAX + 3];
    idem_counter_rule rule = rule_of(txn);
    unsigned char numbers[16];
    idem_blob secret = idem_blob_of(salt, sizeof(salt)), no_key = {NULL, 0};

    if (!rule.most)
        return APR_SUCCESS;
    memcpy(values, scope, (apr_size_t)parts * sizeof(*values));
    idem_put(idem_put(numbers, (apr_uint64_t)rule.most, 8), (apr_uint64_t)rule.period, 8);
    values[parts].name = "rule";
    values[parts].value = idem_blob_of(numbers, sizeof(numbers));
    return idem_slot_make(&secret, values, parts + 1, no_key, txn->quota);
}

static int quota_refused(idem_txn *txn, apr_int64_t wait)
{
    txn->problem = IDEM_PROBLEM_TOO_MANY_KEYS;
    txn->retry_after = (int)((wait + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
    return 1;
}

int idem_quota_spent(idem_txn *txn)
{
    idem_counter_rule rule = rule_of(txn);
    apr_int64_t wait =
        rule.most && !txn->quota_ends ? idem_counters_full(table, txn->quota, &rule, idem_monotonic()) : 0;
    const char *why = NULL;

    /* The claim reports what the store holds, or that it does not answer. */
    if (!wait || idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why) != APR_NOTFOUND)
        return 0;
    return quota_refused(txn, wait);
}

int idem_quota_exceeded(idem_txn *txn)
{
    idem_counter_rule rule = rule_of(txn);
    apr_int64_t wait;

    if (!rule.most || txn->quota_ends || txn->head.attempt > 1)
        return 0;
    wait = idem_counters_take(table, txn->quota, &rule, idem_monotonic(), &txn->quota_ends);
    return wait ? quota_refused(txn, wait) : 0;
}

void idem_quota_give_back(idem_txn *txn)
{
    if (txn->quota_ends)
        idem_counters_give_back(table, txn->quota, txn->quota_ends, idem_monotonic());
    txn->quota_ends = 0;
}
