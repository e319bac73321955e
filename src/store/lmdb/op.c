/* SPDX-License-Identifier: Apache-2.0 */
/*
 * op.c - one write, shared between its caller and whichever thread carries it out.
 *
 * Called by who wants to write, by the queue and by its leader. What always holds: the last holder of an operation
 * frees it. Its phase changes under queue_lock, and each change wakes the waiters.
 */
#include "lmdb_private.h"
#include "threads.h"

#include <stdlib.h>

lmdb_op *idem_lmdb_op_make(lmdb_kind kind, const unsigned char *slot)
{
    lmdb_op *op = calloc(1, sizeof(*op));

    if (!op)
        return NULL;
    idem_cond_init(&op->changed);
    op->kind = kind;
    op->holders = 1;
    if (slot)
        memcpy(op->slot, slot, IDEM_SLOT_LEN);
    return op;
}

void idem_lmdb_op_drop_locked(lmdb_op *op)
{
    if (--op->holders > 0)
        return;
    pthread_cond_destroy(&op->changed);
    free(op->seen);
    free(op);
}

void idem_lmdb_op_drop(lmdb_base *base, lmdb_op *op)
{
    pthread_mutex_lock(&base->queue_lock);
    idem_lmdb_op_drop_locked(op);
    pthread_mutex_unlock(&base->queue_lock);
}

void idem_lmdb_advance(lmdb_base *base, lmdb_op **ops, int count, lmdb_phase phase)
{
    pthread_mutex_lock(&base->queue_lock);
    for (int i = 0; i < count; i++) {
        ops[i]->phase = phase;
        pthread_cond_signal(&ops[i]->changed);
    }
    pthread_mutex_unlock(&base->queue_lock);
}
