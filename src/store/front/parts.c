/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.c - the breakers of a front's parts: a call's way through one, the meaning of the call's end for it, and the
 * health of the store.
 *
 * Called by the front before and after each call, and by whoever wants to know how the store is. Any thread.
 */
#include "front_private.h"

int idem_front_reads_free(const idem_front *front)
{
    return (front->store->flags & IDEM_READS_FREE) != 0;
}

/* Refusals are answers. Some are given without asking the store; and reads that wait for nobody say nothing of
 * writers. */
idem_sign idem_front_sign(const idem_front *front, idem_op op, apr_status_t rv)
{
    int read = op == IDEM_OP_FETCH || (op == IDEM_OP_CLAIM && rv == APR_EEXIST);

    if (rv == IDEM_ETOOBIG || rv == APR_ENOTIMPL || (read && idem_front_reads_free(front)))
        return IDEM_SIGN_NONE;
    return idem_store_answered(rv) && rv != IDEM_EDOWN ? IDEM_SIGN_ANSWER : IDEM_SIGN_FAILURE;
}

idem_breaker *idem_front_breaker(idem_front *front, const unsigned char *slot)
{
    int part = slot && front->parts > 1 ? front->store->driver->part(front->store, slot) : 0;
    return &front->breakers[part];
}

void idem_front_set_watcher(idem_front *front, idem_front_watcher *watcher, void *baton)
{
    for (int i = 0; i < front->parts; i++) {
        front->breakers[i].watcher = watcher;
        front->breakers[i].baton = baton;
    }
}

void idem_front_let_probe(idem_front *front, int others)
{
    for (int i = 0; i < front->parts; i++)
        atomic_store(&front->breakers[i].others_probe, others);
}

void idem_front_part_health(idem_front *front, int part, idem_health *health)
{
    idem_breaker_describe(&front->breakers[part], health);
}

void idem_front_health(idem_front *front, idem_health *health)
{
    idem_health sum, one;

    memset(&sum, 0, sizeof(sum));
    for (int i = 0; i < front->parts; i++) {
        idem_front_part_health(front, i, &one);
        if (i == 0 || one.state > health->state)
            *health = one;
        sum.inside += one.inside;
        sum.stuck += one.stuck;
        sum.opened += one.opened;
        sum.failed += one.failed;
        sum.refused += one.refused;
    }
    health->inside = sum.inside;
    health->stuck = sum.stuck;
    health->opened = sum.opened;
    health->failed = sum.failed;
    health->refused = sum.refused;
}
