/*
 * slot.c - the embedded store: the driver's table, and each operation as a caller sees it.
 *
 * Called by the front (store.c). An operation looks first in a read transaction, which takes no lock and waits for
 * nobody; only what has to write joins the queue of group.c, where everything is tested again. So a claim
 * that meets a record costs a read. Liveness is the operating system's word, so renewing a lease has nothing to write.
 *
 * Limits: processes of one host; a value of at most an eighth of the file; the file never grows past its option size=.
 */
#include "lmdb_private.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#define SIZE_DEFAULT ((apr_uint64_t)1 << 30)
#define SIZE_LEAST ((apr_uint64_t)1 << 20)
#define SIZE_MOST ((apr_uint64_t)1 << (sizeof(void *) > 4 ? 44 : 30))
#define VALUE_MOST ((apr_uint64_t)1 << 30)

static lmdb_store *of(idem_store *store)
{
    return (lmdb_store *)store;
}

/* ---- configure --------------------------------------------------------------------------------------------------- */

/* "64M" -> bytes; 0 if it is no size. */
static apr_uint64_t parse_size(const char *text)
{
    char *end;
    apr_int64_t n = apr_strtoi64(text, &end, 10);
    int shift = *end == '\0'               ? 0
                : apr_toupper(*end) == 'K' ? 10
                : apr_toupper(*end) == 'M' ? 20
                : apr_toupper(*end) == 'G' ? 30
                                           : -1;

    if (!apr_isdigit(*text) || shift < 0 || (*end && end[1]) || n <= 0 || n > (apr_int64_t)(SIZE_MOST >> shift))
        return 0;
    return (apr_uint64_t)n << shift;
}

static const char *set_option(lmdb_store *store, const char *option, apr_pool_t *pool)
{
    const char *value = strchr(option, '=');

    if (value && strncmp(option, "size=", 5) == 0) {
        store->size = parse_size(value + 1);
        if (store->size >= SIZE_LEAST)
            return NULL;
        return apr_psprintf(pool, "size= must be between 1M and %dG (K, M and G are understood), not \"%s\"",
                            (int)(SIZE_MOST >> 30), value + 1);
    }
    if (value && strncmp(option, "sync=", 5) == 0) {
        store->sync = strcmp(value + 1, "on") == 0;
        if (store->sync || strcmp(value + 1, "off") == 0)
            return NULL;
        return apr_psprintf(pool, "sync= must be on or off, not \"%s\"", value + 1);
    }
    return apr_psprintf(pool, "lmdb knows the options size= and sync=, not \"%s\"", option);
}

static apr_status_t configure(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                              apr_pool_t *pool, const char **why)
{
    lmdb_store *mine = apr_pcalloc(pool, sizeof(*mine));
    char *dir;

    *why = NULL;
    if (!rest || !*rest || (*rest != '/' && !env->state_dir)) {
        *why = "lmdb: needs a directory, as in lmdb:idempotency or lmdb:/var/lib/idempotency";
        return APR_EINVAL;
    }
    dir = *rest == '/' ? apr_pstrdup(pool, rest) : apr_pstrcat(pool, env->state_dir, "/", rest, NULL);
    for (apr_size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
        dir[len - 1] = '\0';

    mine->store.flags = IDEM_HOST_LOCAL | IDEM_OFFLINE | IDEM_READS_FREE | IDEM_LOOKS;
    mine->env = env;
    mine->dir = dir;
    mine->size = SIZE_DEFAULT;
    mine->sync = 1;
    for (; options && *options && !*why; options++)
        *why = set_option(mine, *options, pool);
    if (*why)
        return APR_EINVAL;
    mine->store.max_value = (apr_size_t)(mine->size / 8 < VALUE_MOST ? mine->size / 8 : VALUE_MOST);
    *store = &mine->store;
    return APR_SUCCESS;
}

/* ---- attach ------------------------------------------------------------------------------------------------------ */

static apr_status_t attach(idem_store *store, apr_pool_t *pool, const char **why)
{
    lmdb_store *mine = of(store);
    char said[LMDB_WHY] = "";
    apr_status_t status;

    *why = NULL;
    if (mine->base)
        return APR_SUCCESS;
    mine->base = idem_lmdb_base_get(mine, &status, said);
    if (!mine->base) {
        *why = apr_pstrdup(pool, said);
        return status;
    }
    store->owner = idem_liveness_owner(mine->base->liveness);
    return APR_SUCCESS;
}

static void detach(idem_store *store)
{
    lmdb_store *mine = of(store);
    if (mine->base)
        idem_lmdb_base_put(mine->base);
    mine->base = NULL;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* A damaged entry may say anything. */
static apr_time_t time_of(apr_int64_t ms)
{
    return ms > 0 && ms < APR_INT64_MAX / 1000 ? apr_time_from_msec(ms) : 0;
}

void idem_lmdb_fill_found(idem_found *found, const lmdb_entry *entry, apr_pool_t *pool)
{
    found->value.len = entry->value.len;
    found->value.data = apr_pmemdup(pool, entry->value.data, entry->value.len);
    found->owner_dead = entry->owner_dead;
    found->expires = time_of(entry->expires);
}

/* APR_SUCCESS: the gate and a read transaction are held, and entry is filled. */
static apr_status_t look(lmdb_base *base, idem_call *call, const unsigned char *slot, MDB_txn **txn, lmdb_entry *entry)
{
    char why[LMDB_WHY] = "";
    apr_status_t status = idem_lmdb_read_begin(base, call->deadline, txn, why);

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

static apr_status_t fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    lmdb_base *base = of(store)->base;
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status;

    call->why = NULL;
    status = look(base, call, slot, &txn, &entry);
    if (status != APR_SUCCESS)
        return status;
    if (entry.there)
        idem_lmdb_fill_found(found, &entry, call->pool);
    idem_lmdb_read_end(base, txn);
    return entry.there ? APR_SUCCESS : APR_NOTFOUND;
}

static apr_status_t renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    lmdb_base *base = of(store)->base;
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status;

    call->why = NULL;
    status = look(base, call, slot, &txn, &entry);
    if (status != APR_SUCCESS)
        return status;
    if (!entry.there)
        status = APR_NOTFOUND;
    else if (entry.state != IDEM_LEASE || !idem_lmdb_has_token(&entry, token))
        status = IDEM_ELOST;
    idem_lmdb_read_end(base, txn);
    return status;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What every value must be before anything is touched. */
static apr_status_t check_value(idem_store *store, idem_call *call, idem_blob value, int lease)
{
    call->why = NULL;
    if (!idem_value_plausible(value) || (idem_value_state(value) == IDEM_LEASE) != lease) {
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
    found->expires = time_of(op->seen_expires);
}

/* APR_EEXIST if the answer is known without writing. */
static apr_status_t claim_by_reading(lmdb_base *base, idem_call *call, const unsigned char *slot, idem_blob value,
                                     idem_found *found)
{
    lmdb_entry entry;
    MDB_txn *txn;
    apr_status_t status = look(base, call, slot, &txn, &entry);

    if (status != APR_SUCCESS)
        return status;
    if (entry.there && !(entry.state == IDEM_LEASE && idem_lmdb_has_token(&entry, idem_value_token(value)))) {
        idem_lmdb_fill_found(found, &entry, call->pool);
        status = APR_EEXIST;
    }
    idem_lmdb_read_end(base, txn);
    return status;
}

static apr_status_t claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                          idem_found *found)
{
    lmdb_base *base = of(store)->base;
    lmdb_op *op;
    apr_status_t status = check_value(store, call, value, 1);

    if (status == APR_SUCCESS)
        status = claim_by_reading(base, call, slot, value, found);
    if (status != APR_SUCCESS)
        return status;
    op = idem_lmdb_op_make(LMDB_CLAIM, slot);
    if (!op)
        return APR_ENOMEM;
    op->value = value;
    return idem_lmdb_do(base, call, op, take_seen, found);
}

static apr_status_t takeover(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *seen,
                             idem_blob value)
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
    return idem_lmdb_do(of(store)->base, call, op, NULL, NULL);
}

static apr_status_t settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    lmdb_op *op;
    apr_status_t status = check_value(store, call, value, 0);

    if (status != APR_SUCCESS)
        return status;
    op = idem_lmdb_op_make(LMDB_SETTLE, slot);
    if (!op)
        return APR_ENOMEM;
    op->value = value;
    return idem_lmdb_do(of(store)->base, call, op, NULL, NULL);
}

static apr_status_t release(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    lmdb_op *op = idem_lmdb_op_make(LMDB_RELEASE, slot);

    call->why = NULL;
    if (!op)
        return APR_ENOMEM;
    memcpy(op->token, token, IDEM_TOKEN_LEN);
    return idem_lmdb_do(of(store)->base, call, op, NULL, NULL);
}

static apr_status_t forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    lmdb_op *op = idem_lmdb_op_make(LMDB_FORGET, slot);

    call->why = NULL;
    return op ? idem_lmdb_do(of(store)->base, call, op, NULL, NULL) : APR_ENOMEM;
}

const idem_driver idem_driver_lmdb = {
    .scheme = "lmdb",
    .configure = configure,
    .open = idem_lmdb_open,
    .attach = attach,
    .detach = detach,
    .claim = claim,
    .takeover = takeover,
    .renew = renew,
    .settle = settle,
    .release = release,
    .fetch = fetch,
    .each = idem_lmdb_each,
    .forget = forget,
    .sweep = idem_lmdb_sweep,
    .status = idem_lmdb_status,
};
