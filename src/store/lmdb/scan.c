/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - the operations over a whole store: sweep, each, page, status. For the table in driver.c.
 *
 * All go in steps and hold no transaction between them: a long read would keep freed pages from being used again, a
 * long write would keep requests waiting.
 */
#include "lmdb_private.h"

#include "place.h"

#include <apr_strings.h>

#define SWEEP_STEP 64   /* entries removed in one transaction */
#define EACH_ENTRIES 64 /* copied from one transaction */
#define EACH_BYTES ((apr_size_t)4 << 20)

/* ---- sweep ------------------------------------------------------------------------------------------------------- */

static apr_status_t anything_expired(lmdb_base *base, idem_call *call, int *any)
{
    char why[LMDB_WHY] = "";
    MDB_txn *txn;
    apr_status_t status = idem_lmdb_read_begin(base, call->deadline, &txn, why);

    if (status == APR_SUCCESS) {
        int rc = idem_lmdb_anything_expired(base, txn, any);
        if (rc != 0)
            status = idem_lmdb_failed(base, rc, "reading", why);
        idem_lmdb_read_end(base, txn);
    }
    if (status != APR_SUCCESS)
        call->why = apr_pstrdup(call->pool, why);
    return status;
}

static void take_removed(const lmdb_op *op, idem_call *call, void *baton)
{
    (void)call;
    *(int *)baton = op->removed;
}

apr_status_t idem_lmdb_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    int any, step = 1;
    apr_status_t status = APR_SUCCESS;

    call->why = NULL;
    *removed = 0;
    while (status == APR_SUCCESS && step > 0 && *removed < most) {
        lmdb_op *op;
        status = anything_expired(base, call, &any);
        if (status != APR_SUCCESS || !any)
            break;
        op = idem_lmdb_op_make(LMDB_SWEEP, NULL);
        if (!op)
            return APR_ENOMEM;
        op->most = most - *removed < SWEEP_STEP ? most - *removed : SWEEP_STEP;
        step = 0;
        status = idem_lmdb_do(base, call, op, take_removed, &step);
        *removed += step;
    }
    return status;
}

/* ---- each, page, status ------------------------------------------------------------------------------------------ */

typedef struct visit {
    unsigned char slot[IDEM_SLOT_LEN];
    idem_found found;
} visit;

/* A walk, or a part of one. */
typedef struct lmdb_scan {
    idem_visitor *visitor;
    void *baton;
    int going; /* the visitor wants more */
    int rc;    /* LMDB's; MDB_NOTFOUND at the end */
    char why[LMDB_WHY];
} lmdb_scan;

/* Copies entries behind *after into pool. MDB_NOTFOUND when the table ends; *after moves. */
static int collect_visits(lmdb_base *base, MDB_txn *txn, unsigned char *after, visit *visits, int *count,
                          apr_pool_t *pool)
{
    MDB_cursor *cursor;
    MDB_val key = {IDEM_SLOT_LEN, after}, data;
    lmdb_entry entry;
    apr_size_t bytes = 0;
    int rc = mdb_cursor_open(txn, base->slots, &cursor);

    *count = 0;
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
    while (rc == 0 && *count < EACH_ENTRIES && bytes < EACH_BYTES) {
        if (key.mv_size != IDEM_SLOT_LEN) {
            rc = MDB_CORRUPTED;
            break;
        }
        memcpy(after, key.mv_data, IDEM_SLOT_LEN);
        idem_lmdb_decode(base, idem_blob_of(data.mv_data, data.mv_size), &entry);
        if (entry.there) {
            memcpy(visits[*count].slot, after, IDEM_SLOT_LEN);
            idem_lmdb_fill_found(&visits[(*count)++].found, &entry, pool);
            bytes += entry.value.len;
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc;
}

/* The smallest slot behind this one; 0 if this is the last. */
static int next_slot(unsigned char *slot)
{
    for (int i = IDEM_SLOT_LEN - 1; i >= 0; i--) {
        if (++slot[i] != 0)
            return 1;
    }
    return 0;
}

/* One batch from *at on, which moves behind the last entry that was visited. *rc is LMDB's; *going 0: the visitor has
 * had enough. */
static apr_status_t lmdb_visit_batch(lmdb_base *base, idem_call *call, unsigned char *at, lmdb_scan *scan)
{
    visit visits[EACH_ENTRIES];
    MDB_txn *txn;
    int count = 0, i = 0;
    apr_status_t status =
        apr_time_now() < call->deadline ? idem_lmdb_read_begin(base, call->deadline, &txn, scan->why) : APR_TIMEUP;

    if (status != APR_SUCCESS)
        return status;
    scan->rc = collect_visits(base, txn, at, visits, &count, call->pool);
    idem_lmdb_read_end(base, txn);
    for (; i < count && scan->going; i++)
        scan->going = scan->visitor(scan->baton, visits[i].slot, &visits[i].found);
    if (i < count)
        memcpy(at, visits[i - 1].slot, IDEM_SLOT_LEN);
    return APR_SUCCESS;
}

static apr_status_t end_scan(lmdb_base *base, idem_call *call, lmdb_scan *scan, apr_status_t status)
{
    if (status == APR_SUCCESS && scan->rc != 0 && scan->rc != MDB_NOTFOUND)
        status = idem_lmdb_failed(base, scan->rc, "reading", scan->why);
    if (status != APR_SUCCESS)
        call->why =
            apr_pstrdup(call->pool, scan->why[0] ? scan->why : "the deadline passed before every entry was visited");
    return status;
}

apr_status_t idem_lmdb_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    lmdb_scan scan = {.visitor = visitor, .baton = baton, .going = 1};
    unsigned char at[IDEM_SLOT_LEN] = {0};
    idem_call batch = *call;
    apr_status_t status;

    call->why = NULL;
    status = apr_pool_create(&batch.pool, call->pool);
    while (status == APR_SUCCESS) {
        apr_pool_clear(batch.pool);
        status = lmdb_visit_batch(base, &batch, at, &scan);
        if (scan.rc != 0 || !scan.going || !next_slot(at))
            break;
    }
    apr_pool_destroy(batch.pool);
    return end_scan(base, call, &scan, status);
}

/* A place is the slot behind which it goes on. */
apr_status_t idem_lmdb_page(idem_store *store, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                            void *baton)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    lmdb_scan scan = {.visitor = visitor, .baton = baton, .going = 1};
    unsigned char at[IDEM_SLOT_LEN] = {0};
    apr_status_t status;

    call->why = NULL;
    if (*place && !idem_slot_of_place(place, at))
        return APR_EINVAL;
    if (*place && !next_slot(at)) {
        *place = '\0';
        return APR_SUCCESS;
    }
    status = lmdb_visit_batch(base, call, at, &scan);
    if (status == APR_SUCCESS && (scan.rc == MDB_NOTFOUND && scan.going))
        *place = '\0';
    else if (status == APR_SUCCESS && (scan.rc == 0 || scan.rc == MDB_NOTFOUND))
        idem_place_of_slot(at, place);
    return end_scan(base, call, &scan, status);
}

apr_status_t idem_lmdb_status(idem_store *store, idem_call *call, idem_store_status *status)
{
    lmdb_base *base = ((lmdb_store *)store)->base;
    char why[LMDB_WHY] = "";
    MDB_txn *txn;
    MDB_stat slots;
    lmdb_room room = {1, 0, 0};
    int rc;
    apr_status_t result = idem_lmdb_read_begin(base, call->deadline, &txn, why);

    call->why = NULL;
    memset(status, 0, sizeof(*status));
    if (result == APR_SUCCESS) {
        rc = mdb_stat(txn, base->slots, &slots);
        if (rc == 0)
            rc = idem_lmdb_room(txn, base, &room);
        if (rc != 0)
            result = idem_lmdb_failed(base, rc, "reading", why);
        idem_lmdb_read_end(base, txn);
    }
    if (result != APR_SUCCESS) {
        call->why = apr_pstrdup(call->pool, why);
        return result;
    }
    status->entries = slots.ms_entries;
    status->entries_known = 1;
    status->bytes_used = room.used * room.page;
    status->bytes_max = room.pages * room.page;
    status->text = apr_psprintf(call->pool, "LMDB in %s, sync=%s", base->dir, base->sync ? "on" : "off");
    return APR_SUCCESS;
}
