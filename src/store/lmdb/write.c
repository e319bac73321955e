/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write.c - each operation inside a write transaction, and the transaction around a group of them.
 *
 * Called by the leader of group.c, which holds the process's turn and env_lock. Every condition is tested
 * in the transaction that writes, so what a caller saw before counts for nothing. An operation that does not fit costs
 * only itself: the transaction is dropped and each member tried alone.
 */
#include "lmdb_private.h"

#include <errno.h>
#include <stdlib.h>

#include <sys/statvfs.h>

/* A claim that meets a full store makes a little room and tries again. */
#define SWEEP_FOR_CLAIM 32

/* A file system with fewer free blocks is full for whoever wanted to write more. */
#define FEW_BLOCKS 16

/* What each operation works with. */
typedef struct work {
    lmdb_base *base;
    MDB_txn *txn;
    lmdb_op *op;
    lmdb_entry entry;
} work;

static int answer_op(work *w, apr_status_t status)
{
    w->op->status = status;
    return 0;
}

/* Writes the operation's value if there is room for it. */
static int store_value(work *w, lmdb_purpose purpose)
{
    lmdb_room room;
    int rc;

    if (!idem_lmdb_has_plenty(w->txn, w->base, w->op->value.len)) {
        rc = idem_lmdb_room(w->txn, w->base, &room);
        if (rc != 0)
            return rc;
        if (!idem_lmdb_fits(&room, w->op->value.len, purpose)) {
            idem_lmdb_full_sentence(w->base, &room, w->op->why);
            return answer_op(w, IDEM_EFULL);
        }
    }
    rc = idem_lmdb_write(w->base, w->txn, w->op->slot, &w->entry, w->op->value);
    w->op->changes |= rc != MDB_KEYEXIST;
    return rc ? rc : answer_op(w, APR_SUCCESS);
}

/* Copies what is there for the claimer, whose pool is another thread's. */
static int report_seen(work *w)
{
    lmdb_op *op = w->op;

    op->seen = malloc(w->entry.value.len ? w->entry.value.len : 1);
    if (!op->seen)
        return ENOMEM;
    if (w->entry.value.len)
        memcpy(op->seen, w->entry.value.data, w->entry.value.len);
    op->seen_len = w->entry.value.len;
    op->seen_expires = w->entry.expires;
    op->seen_now = w->entry.now;
    op->seen_owner_dead = w->entry.owner_dead;
    return answer_op(w, APR_EEXIST);
}

/* The slot is taken for empty, and LMDB finds out while it looks for the place. */
static int write_claim_unseen(work *w)
{
    int rc = store_value(w, LMDB_FOR_CLAIM);

    if (rc == 0 && w->op->status == IDEM_EFULL)
        w->op->why[0] = '\0';
    return rc;
}

static int write_claim(work *w)
{
    int removed = 0, rc;

    if (w->op->looked) {
        rc = write_claim_unseen(w);
        if (rc != MDB_KEYEXIST && (rc != 0 || w->op->status != IDEM_EFULL))
            return rc;
        rc = idem_lmdb_look(w->base, w->txn, w->op->slot, &w->entry);
        if (rc != 0)
            return rc;
    }
    if (w->entry.there) {
        if (w->entry.state == IDEM_STATE_LEASE && idem_lmdb_has_token(&w->entry, idem_value_token(w->op->value)))
            return answer_op(w, APR_SUCCESS);
        return report_seen(w);
    }
    rc = store_value(w, LMDB_FOR_CLAIM);
    if (rc != 0 || w->op->status != IDEM_EFULL)
        return rc;
    rc = idem_lmdb_erase_expired(w->base, w->txn, SWEEP_FOR_CLAIM, &removed);
    if (rc != 0 || removed == 0)
        return rc;
    w->op->changes = 1;
    rc = idem_lmdb_look(w->base, w->txn, w->op->slot, &w->entry); /* it may have been among them */
    return rc ? rc : store_value(w, LMDB_FOR_CLAIM);
}

static int write_takeover(work *w)
{
    if (!w->entry.there)
        return answer_op(w, APR_NOTFOUND);
    if (w->entry.state == IDEM_STATE_LEASE && idem_lmdb_has_token(&w->entry, idem_value_token(w->op->value)))
        return answer_op(w, APR_SUCCESS);
    if (!idem_lmdb_has_token(&w->entry, w->op->token))
        return answer_op(w, IDEM_ELOST);
    if (w->entry.state == IDEM_STATE_LEASE && !w->entry.owner_dead)
        return answer_op(w, IDEM_EALIVE);
    if (w->entry.state != IDEM_STATE_LEASE && w->entry.state != IDEM_STATE_UNKNOWN)
        return answer_op(w, IDEM_ELOST); /* its owner has settled it */
    return store_value(w, LMDB_FOR_NEED);
}

static int write_settle(work *w)
{
    if (w->entry.there) {
        if (!idem_lmdb_has_token(&w->entry, idem_value_token(w->op->value)))
            return answer_op(w, IDEM_ELOST);
        if (w->entry.state != IDEM_STATE_LEASE)
            return answer_op(w, APR_SUCCESS); /* a repetition */
    }
    return store_value(w, w->op->value.len > 4096 ? LMDB_FOR_BODY : LMDB_FOR_NEED);
}

static int erase_slot(work *w)
{
    int rc = idem_lmdb_erase(w->base, w->txn, w->op->slot, &w->entry);
    w->op->changes = 1;
    return rc ? rc : answer_op(w, APR_SUCCESS);
}

static int write_release(work *w)
{
    if (!w->entry.there)
        return answer_op(w, APR_NOTFOUND);
    if (w->entry.state != IDEM_STATE_LEASE || !idem_lmdb_has_token(&w->entry, w->op->token))
        return answer_op(w, IDEM_ELOST);
    return erase_slot(w);
}

static int write_forget(work *w)
{
    return w->entry.there ? erase_slot(w) : answer_op(w, APR_NOTFOUND);
}

static int write_forget_seen(work *w)
{
    if (!w->entry.there)
        return answer_op(w, APR_NOTFOUND);
    if (w->entry.state == IDEM_STATE_LEASE || !idem_lmdb_has_token(&w->entry, w->op->token))
        return answer_op(w, IDEM_ELOST);
    return erase_slot(w);
}

static int write_sweep(work *w)
{
    int dead, rc = mdb_reader_check(w->base->mdb, &dead); /* a killed reader keeps freed pages from being used */

    if (rc == 0)
        rc = idem_lmdb_erase_expired(w->base, w->txn, w->op->most, &w->op->removed);
    w->op->changes = 1; /* rows of "times" may have gone that belonged to no entry */
    return rc ? rc : answer_op(w, APR_SUCCESS);
}

static int apply_op(lmdb_base *base, MDB_txn *txn, lmdb_op *op)
{
    static int (*const doing[])(work *) = {
        [LMDB_CLAIM] = write_claim,     [LMDB_TAKEOVER] = write_takeover, [LMDB_SETTLE] = write_settle,
        [LMDB_RELEASE] = write_release, [LMDB_FORGET] = write_forget,     [LMDB_FORGET_SEEN] = write_forget_seen,
        [LMDB_SWEEP] = write_sweep,
    };
    work w = {.base = base, .txn = txn, .op = op};
    int rc = op->kind == LMDB_SWEEP || op->looked ? 0 : idem_lmdb_look(base, txn, op->slot, &w.entry);

    return rc ? rc : doing[op->kind](&w);
}

/* A transaction that was dropped has told nobody anything. */
static void reset_op(lmdb_op *op)
{
    free(op->seen);
    op->seen = NULL;
    op->status = APR_EGENERAL;
    op->changes = op->removed = 0;
    op->why[0] = '\0';
}

static int no_room(int rc)
{
    return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL || rc == ENOSPC || rc == EDQUOT;
}

/* LMDB says EIO for a short write too (mdb_page_flush), and a short write is what a full file system gives. */
static int commit_transaction(lmdb_base *base, MDB_txn *txn)
{
    struct statvfs room;
    int rc = mdb_txn_commit(txn);

    if (rc == EIO && statvfs(base->dir, &room) == 0 && room.f_bavail < FEW_BLOCKS)
        return ENOSPC;
    return rc;
}

/*
 * Ends txn with all of them done, or with nothing done and LMDB's code. After a failed commit LMDB may refuse to go
 * on; it says so when the next transaction begins.
 */
static int finish_transaction(lmdb_base *base, MDB_txn *txn, lmdb_op **ops, int count)
{
    int changes = 0, rc = 0;

    for (int i = 0; rc == 0 && i < count; i++) {
        reset_op(ops[i]);
        rc = apply_op(base, txn, ops[i]);
        changes |= ops[i]->changes;
    }
    if (rc == 0 && changes)
        rc = idem_lmdb_clock_save(base, txn);
    if (rc != 0 || !changes) {
        mdb_txn_abort(txn);
        return rc;
    }
    idem_lmdb_advance(base, ops, count, LMDB_COMMITTING);
    return commit_transaction(base, txn);
}

static int transact_ops(lmdb_base *base, lmdb_op **ops, int count)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(base->mdb, NULL, 0, &txn);
    return rc ? rc : finish_transaction(base, txn, ops, count);
}

/* Pages that LMDB could not get although there seemed to be room: expired entries may give some. */
static int make_room(lmdb_base *base)
{
    lmdb_op *broom = idem_lmdb_op_make(LMDB_SWEEP, NULL);
    int rc, removed = 0;

    if (!broom)
        return 0;
    broom->most = SWEEP_FOR_CLAIM;
    rc = transact_ops(base, &broom, 1);
    if (rc == 0)
        removed = broom->removed;
    idem_lmdb_op_drop(base, broom);
    return removed;
}

static void answer_failed(lmdb_base *base, lmdb_op *op, int rc)
{
    reset_op(op);
    op->status = idem_lmdb_failed(base, rc, "writing to", op->why);
}

static void carry_out_alone(lmdb_base *base, lmdb_op *op)
{
    int rc;

    idem_lmdb_advance(base, &op, 1, LMDB_APPLYING);
    if (op->abandoned)
        return; /* its value has gone with its caller */
    rc = transact_ops(base, &op, 1);
    if (no_room(rc) && op->kind == LMDB_CLAIM) {
        idem_lmdb_advance(base, &op, 1, LMDB_APPLYING);
        if (!op->abandoned && make_room(base) > 0)
            rc = transact_ops(base, &op, 1);
    }
    if (rc != 0)
        answer_failed(base, op, rc);
}

int idem_lmdb_carry_out(lmdb_base *base, lmdb_op **ops, int count)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(base->mdb, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    rc = finish_transaction(base, txn, ops, count);
    for (int i = 0; rc != 0 && i < count; i++) {
        if (no_room(rc) || rc == EINTR) /* LMDB passes on a flush that was interrupted */
            carry_out_alone(base, ops[i]);
        else
            answer_failed(base, ops[i], rc);
    }
    return 0;
}
