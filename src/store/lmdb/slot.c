/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.c - the embedded store: each operation on a slot as a caller sees it.
 *
 * Called by the front through the driver's table. An operation first reads the slot in a read transaction, which takes
 * no lock and waits for nobody. Only an operation that has to write joins the queue of group.c, where everything is
 * tested again. So a claim that meets a record costs a read. Liveness is the operating system's word, so renewing a
 * lease has nothing to write.
 *
 * Limits: a value of at most an eighth of the file.
 */
#include "lmdb_private.h"

#include <apr_strings.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A damaged entry may say anything. */
static apr_time_t lmdb_time_of(apr_int64_t ms)
{
    return ms > 0 && ms < APR_INT64_MAX / 1000 ? apr_time_from_msec(ms) : 0;
}

void idem_lmdb_fill_found(idem_found *found, const lmdb_entry *entry, apr_pool_t *pool)
{
    found->value.len = entry->value.len;
    found->value.data = apr_pmemdup(pool, entry->value.data, entry->value.len);
    found->owner_dead = entry->owner_dead;
    found->expires = lmdb_time_of(entry->expires);
    found->now = lmdb_time_of(entry->now);
}

/* APR_SUCCESS: env_lock and a read transaction are held, and entry is filled. */
static apr_status_t begin_look(lmdb_base *base, idem_call *call, const unsigned char *slot, MDB_txn **txn,
                               lmdb_entry *entry)
{
    char why[LMDB_WHY] = "";
    apr_status_t status;

    call->why = NULL;
    status = idem_lmdb_read_begin(base, call->deadline, txn, why);

    if (status == APR_SUCCESS) {
        int rc = idem_lmdb_look(base, *txn, slot, entry);
        if (rc == 0)
            return APR_SUCCESS;
        status = idem_lmdb_failed(base, rc, "reading", why);
        idem_lmdb_read_end(base, *txn);
    }
    call->why = apr_pstrdup(call->pool, why);
    return status;
}

apr_status_t idem_lmdb_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status = begin_look(base, call, slot, &txn, &entry);

    if (status != APR_SUCCESS)
        return status;
    if (entry.there)
        idem_lmdb_fill_found(found, &entry, call->pool);
    idem_lmdb_read_end(base, txn);
    return entry.there ? APR_SUCCESS : APR_NOTFOUND;
}

apr_status_t idem_lmdb_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status = begin_look(base, call, slot, &txn, &entry);

    if (status != APR_SUCCESS)
        return status;
    if (!entry.there)
        status = APR_NOTFOUND;
    else if (entry.state != IDEM_STATE_LEASE || !idem_lmdb_has_token(&entry, token))
        status = IDEM_ELOST;
    idem_lmdb_read_end(base, txn);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What every value must be before anything is touched. */
static apr_status_t check_value(idem_store *store, idem_call *call, idem_blob value, int lease)
{
    call->why = NULL;
    if (!idem_value_plausible(value) || (idem_value_state(value) == IDEM_STATE_LEASE) != lease) {
        call->why = "the value's head does not fit the operation";
        return APR_EINVAL;
    }
    if (value.len <= store->max_value)
        return APR_SUCCESS;
    call->why = apr_psprintf(call->pool,
                             "a value of %" APR_SIZE_T_FMT " bytes is more than this store takes (%" APR_SIZE_T_FMT
                             ", an eighth of its option size=)",
                             value.len, store->max_value);
    return IDEM_ETOOBIG;
}

apr_status_t idem_lmdb_do(lmdb_base *base, idem_call *call, lmdb_op *op, lmdb_take_results *results, void *baton)
{
    char why[LMDB_WHY] = "";
    apr_status_t status = idem_lmdb_submit(base, op, call->deadline, why);

    call->why = why[0] ? apr_pstrdup(call->pool, why) : NULL;
    if (results && (status == APR_SUCCESS || status == APR_EEXIST))
        results(op, call, baton);
    idem_lmdb_op_drop(base, op);
    return status;
}

static void take_seen(const lmdb_op *op, idem_call *call, void *baton)
{
    idem_found *found = baton;
    if (!op->seen)
        return;
    found->value.data = apr_pmemdup(call->pool, op->seen, op->seen_len);
    found->value.len = op->seen_len;
    found->owner_dead = op->seen_owner_dead;
    found->expires = lmdb_time_of(op->seen_expires);
    found->now = lmdb_time_of(op->seen_now);
}

/* APR_EEXIST if the answer is known without writing. */
static apr_status_t claim_by_reading(lmdb_base *base, idem_call *call, const unsigned char *slot, idem_blob value,
                                     idem_found *found)
{
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status = begin_look(base, call, slot, &txn, &entry);

    if (status != APR_SUCCESS)
        return status;
    if (entry.there && !(entry.state == IDEM_STATE_LEASE && idem_lmdb_has_token(&entry, idem_value_token(value)))) {
        idem_lmdb_fill_found(found, &entry, call->pool);
        status = APR_EEXIST;
    }
    idem_lmdb_read_end(base, txn);
    return status;
}

apr_status_t idem_lmdb_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                             idem_found *found)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    lmdb_op *op;
    apr_status_t status = check_value(store, call, value, 1);

    if (status == APR_SUCCESS && !call->looked)
        status = claim_by_reading(base, call, slot, value, found);
    if (status != APR_SUCCESS)
        return status;
    op = idem_lmdb_op_make(LMDB_CLAIM, slot);
    if (!op)
        return APR_ENOMEM;
    op->value = value;
    op->looked = call->looked;
    return idem_lmdb_do(base, call, op, take_seen, found);
}

apr_status_t idem_lmdb_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *seen, idem_blob value)
{
    lmdb_op *op;
    apr_status_t status = check_value(store, call, value, 1);

    if (status != APR_SUCCESS)
        return status;
    op = idem_lmdb_op_make(LMDB_TAKEOVER, slot);
    if (!op)
        return APR_ENOMEM;
    op->value = value;
    memcpy(op->token, seen, IDEM_TOKEN_LEN);
    return idem_lmdb_do(((lmdb_store *)store)->base, call, op, NULL, NULL);
}

apr_status_t idem_lmdb_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    lmdb_op *op;
    apr_status_t status = check_value(store, call, value, 0);

    if (status != APR_SUCCESS)
        return status;
    op = idem_lmdb_op_make(LMDB_SETTLE, slot);
    if (!op)
        return APR_ENOMEM;
    op->value = value;
    return idem_lmdb_do(((lmdb_store *)store)->base, call, op, NULL, NULL);
}

apr_status_t idem_lmdb_release(idem_store *store, idem_call *call, const unsigned char *slot,
                               const unsigned char *token)
{
    lmdb_op *op = idem_lmdb_op_make(LMDB_RELEASE, slot);

    call->why = NULL;
    if (!op)
        return APR_ENOMEM;
    memcpy(op->token, token, IDEM_TOKEN_LEN);
    return idem_lmdb_do(((lmdb_store *)store)->base, call, op, NULL, NULL);
}

apr_status_t idem_lmdb_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    lmdb_op *op = idem_lmdb_op_make(LMDB_FORGET, slot);

    call->why = NULL;
    return op ? idem_lmdb_do(((lmdb_store *)store)->base, call, op, NULL, NULL) : APR_ENOMEM;
}

apr_status_t idem_lmdb_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *token)
{
    lmdb_op *op = idem_lmdb_op_make(LMDB_FORGET_SEEN, slot);

    call->why = NULL;
    if (!op)
        return APR_ENOMEM;
    memcpy(op->token, token, IDEM_TOKEN_LEN);
    return idem_lmdb_do(((lmdb_store *)store)->base, call, op, NULL, NULL);
}
