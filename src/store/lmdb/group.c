/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group.c - the queue in which threads of one process share write transactions, for slot.c.
 *
 * A flush to disk costs the same for one entry as for fifty. So the first thread that wants to write becomes the
 * leader. It waits for the process's turn, takes all operations from the queue, carries them out in one transaction,
 * and wakes everyone. Then the next one in the queue leads.
 *
 * Always: values belong to their callers, who therefore do not leave while the leader may read them (APPLYING). Before
 * that, a caller whose deadline passes takes its operation back: certainly nothing was done. After that, it leaves its
 * operation to the leader, and the outcome is unknown. A leader cannot leave its own commit: a disk that hangs holds
 * one thread of a process.
 */
#include "lmdb_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the queue; all under queue_lock ----------------------------------------------------------------------------- */

static void enqueue_op(lmdb_base *base, lmdb_op *op)
{
    op->phase = LMDB_QUEUED;
    op->next = NULL;
    op->holders++;
    *base->last = op;
    base->last = &op->next;
}

static void dequeue_op(lmdb_base *base, lmdb_op *op)
{
    lmdb_op **at = &base->first;
    while (*at != op)
        at = &(*at)->next;
    *at = op->next;
    if (base->last == &op->next)
        base->last = at;
    op->holders--; /* never the last: the caller's is left */
}

static int take_group(lmdb_base *base, lmdb_op **group)
{
    int count = 0;
    apr_size_t bytes = 0;

    while (base->first && count < LMDB_GROUP_MOST &&
           (count == 0 || bytes + base->first->value.len <= LMDB_GROUP_BYTES)) {
        lmdb_op *op = base->first;
        base->first = op->next;
        bytes += op->value.len;
        op->phase = LMDB_APPLYING;
        group[count++] = op;
    }
    if (!base->first)
        base->last = &base->first;
    return count;
}

/* ---- leading ----------------------------------------------------------------------------------------------------- */

static void fail_all(lmdb_op **group, int count, apr_status_t status, const char *why)
{
    for (int i = 0; i < count; i++) {
        group[i]->status = status;
        snprintf(group[i]->why, LMDB_WHY, "%s", why);
    }
}

/* Under turn. An environment found broken is opened again, once, before anybody is told. */
static void carry_out_group(lmdb_base *base, lmdb_op **group, int count, apr_time_t deadline)
{
    char why[LMDB_WHY];

    for (int tries = 0; tries < 2; tries++) {
        apr_status_t status = idem_lmdb_enter(base, deadline, why);
        if (status == APR_SUCCESS) {
            int rc = idem_lmdb_carry_out(base, group, count);
            idem_lmdb_leave(base);
            if (rc == 0)
                return;
            status = idem_lmdb_failed(base, rc, "writing to", why);
        }
        fail_all(group, count, status, why);
        if (!atomic_load(&base->broken))
            return;
    }
}

/* Entered and left with queue_lock. op is the leader's own; it may or may not be among those carried out. */
static void lead_group(lmdb_base *base, lmdb_op *op, apr_time_t deadline)
{
    lmdb_op *group[LMDB_GROUP_MOST];
    char why[LMDB_WHY];
    apr_status_t status;
    int count;

    base->leading = 1;
    pthread_mutex_unlock(&base->queue_lock);
    status = idem_lmdb_turn(base, deadline, why);
    pthread_mutex_lock(&base->queue_lock);
    if (status != APR_SUCCESS) {
        dequeue_op(base, op);
        op->phase = LMDB_FINISHED;
        fail_all(&op, 1, status, why);
        base->leading = 0;
        return;
    }
    count = take_group(base, group);
    pthread_mutex_unlock(&base->queue_lock);

    carry_out_group(base, group, count, deadline);
    idem_filelock_release(base->turn);

    idem_lmdb_advance(base, group, count, LMDB_FINISHED);
    pthread_mutex_lock(&base->queue_lock);
    base->leading = 0;
    for (int i = 0; i < count; i++) {
        if (group[i] == op)
            op->holders--; /* the caller's is left */
        else
            idem_lmdb_op_drop_locked(group[i]);
    }
}

/* Under queue_lock. Nonzero if the caller has waited long enough. */
static int wait_for_phase(lmdb_base *base, lmdb_op *op, const struct timespec *until)
{
    if (op->phase == LMDB_APPLYING) {
        pthread_cond_wait(&op->changed, &base->queue_lock);
        return 0;
    }
    return pthread_cond_timedwait(&op->changed, &base->queue_lock, until) == ETIMEDOUT;
}

/* Under queue_lock, when the deadline has passed: APR_TIMEUP with its sentence if the caller may go. */
static apr_status_t give_up(lmdb_base *base, lmdb_op *op, char *why)
{
    if (op->phase == LMDB_QUEUED) {
        dequeue_op(base, op);
        snprintf(why, LMDB_WHY, "the store %s had other writes to finish until the deadline; nothing was written",
                 base->dir);
        return APR_TIMEUP;
    }
    if (op->phase == LMDB_COMMITTING) {
        op->abandoned = 1;
        snprintf(why, LMDB_WHY, "the store %s was still writing this at the deadline: it may yet be done", base->dir);
        return APR_TIMEUP;
    }
    return APR_SUCCESS;
}

apr_status_t idem_lmdb_submit(lmdb_base *base, lmdb_op *op, apr_time_t deadline, char *why)
{
    struct timespec until = idem_clock_deadline(deadline);
    apr_status_t status = APR_SUCCESS;

    pthread_mutex_lock(&base->queue_lock);
    enqueue_op(base, op);
    while (op->phase != LMDB_FINISHED && status == APR_SUCCESS) {
        if (op->phase == LMDB_QUEUED && !base->leading)
            lead_group(base, op, deadline);
        else if (wait_for_phase(base, op, &until))
            status = give_up(base, op, why);
    }
    if (!base->leading && base->first)
        pthread_cond_signal(&base->first->changed); /* the next one leads */
    if (status == APR_SUCCESS) {
        status = op->status;
        memcpy(why, op->why, LMDB_WHY);
    }
    pthread_mutex_unlock(&base->queue_lock);
    return status;
}
