/* SPDX-License-Identifier: Apache-2.0 */
/*
 * calls.c - the calls through a store's front: heads become values, values become heads.
 *
 * Called by guarded requests and the keeper, from any thread. What always holds: a driver is called only while it is
 * attached and the breaker lets calls in. Each call has one deadline, which a repetition does not extend. The observer
 * hears of each call once, also of one that is refused here. Nothing is logged: a failed call leaves a sentence
 * instead. A lease enters the store with the owner number of this process, whatever the caller wrote: a lease with
 * another number would be taken over. Limits: none of its own; the largest value is the driver's.
 */
#include "front_private.h"

#include "threads.h"

#include <apr_strings.h>

/* One call on its way through the front. */
typedef struct passage {
    idem_front *front;
    idem_op op;
    idem_call call;
    apr_interval_time_t began; /* monotonic */
    const unsigned char *slot, *seen_token;
    idem_blob value;
    idem_found found;
    idem_visit visit;
    int inside;  /* the breaker waits for the visit's end */
    int refused; /* by the breaker */
} passage;

static IDEM_THREADS_OWN apr_interval_time_t calls_spent;

apr_interval_time_t idem_front_spent(void)
{
    return calls_spent;
}

static apr_status_t begin_call(passage *p, idem_front *front, idem_op op, const unsigned char *slot, apr_pool_t *pool)
{
    memset(p, 0, sizeof(*p));
    p->front = front;
    p->op = op;
    p->slot = slot;
    p->began = idem_monotonic();
    p->call.pool = pool;
    p->call.deadline = apr_time_now() + front->timeout;
    return idem_front_ready(front, !atomic_load(&front->breakers[0].others_probe), pool, &p->call.why);
}

/* Past the breaker: what follows is the driver. */
static apr_status_t enter_driver(passage *p)
{
    char why[IDEM_REASON_LEN];

    if (p->op == IDEM_OP_FETCH && idem_front_reads_free(p->front))
        return APR_SUCCESS;
    p->inside = idem_breaker_enter(idem_front_breaker(p->front, p->slot), &p->visit, p->slot, why);
    if (p->inside)
        return APR_SUCCESS;
    p->refused = 1;
    p->call.why = apr_pstrdup(p->call.pool, why);
    return IDEM_EDOWN;
}

static apr_status_t begin_and_enter(passage *p, idem_front *front, idem_op op, const unsigned char *slot,
                                    apr_pool_t *pool)
{
    apr_status_t rv = begin_call(p, front, op, slot, pool);
    return rv == APR_SUCCESS ? enter_driver(p) : rv;
}

/* Every call leaves by here. */
static apr_status_t end_call(passage *p, apr_status_t rv, const char **why)
{
    idem_front *front = p->front;
    apr_interval_time_t took;

    if (rv != APR_SUCCESS && !p->call.why)
        p->call.why = idem_store_sentence(rv, p->call.pool);
    if (p->inside)
        idem_breaker_leave(idem_front_breaker(front, p->slot), &p->visit, idem_front_sign(front, p->op, rv),
                           p->call.why);
    if (rv == IDEM_EDAMAGED)
        idem_front_damaged(front, p->call.why);
    *why = p->call.why;
    took = idem_monotonic() - p->began;
    calls_spent += took;
    if (front->observer)
        front->observer(front->baton, p->op, rv, took);
    return rv;
}

static apr_status_t encode_lease(const idem_front *front, const idem_head *lease, apr_pool_t *pool, idem_blob *value)
{
    idem_head head = *lease;
    head.state = IDEM_STATE_LEASE;
    head.owner = front->store->owner;
    return idem_record_encode(front->ring, &head, NULL, pool, value);
}

/*
 * A lease is written when it is claimed, not when it is renewed; one whose owner lives may have outlived its end. Some
 * stores keep an entry for a little longer than its ttl: nobody is to count on that.
 */
static void take_times(const idem_found *found, idem_seen *seen)
{
    apr_interval_time_t left = found->expires - found->now;

    seen->age = seen->left = -1;
    if (seen->corrupt || found->expires <= 0 || found->now <= 0)
        return;
    seen->age = left < seen->head.ttl ? seen->head.ttl - left : 0;
    seen->left = left < 0 ? 0 : left < seen->head.ttl ? left : seen->head.ttl;
}

static apr_status_t decode_found(passage *p, idem_seen *seen)
{
    const char *fault =
        idem_record_decode(p->front->ring, p->found.value, p->slot, p->call.pool, &seen->head, &seen->response);

    if (fault)
        p->call.why = fault;
    if (fault == idem_record_not_looked_at)
        return APR_ENOMEM;
    seen->corrupt = fault != NULL;
    seen->owner_dead = !fault && seen->head.state == IDEM_STATE_LEASE && p->found.owner_dead;
    take_times(&p->found, seen);
    seen->written = !fault && p->found.expires ? p->found.expires - seen->head.ttl : 0;
    return APR_SUCCESS;
}

/* Of a call that has found what stands in the slot. That nobody could look at it is not the store's failure. */
static apr_status_t end_found(passage *p, apr_status_t rv, idem_seen *seen, const char **why)
{
    apr_status_t looked = decode_found(p, seen), ended = end_call(p, rv, why);

    return looked == APR_SUCCESS ? ended : looked;
}

apr_status_t idem_front_lease(idem_front *front, idem_head *head)
{
    head->state = IDEM_STATE_LEASE;
    head->flags = 0;
    head->owner = front->store->owner;
    return idem_random_token(head->token);
}

/* Claim or takeover, once; what an earlier attempt said or found is gone. */
static apr_status_t send_lease(passage *p)
{
    idem_store *store = p->front->store;

    p->call.why = NULL;
    memset(&p->found, 0, sizeof(p->found));
    if (p->op == IDEM_OP_CLAIM)
        return store->driver->claim(store, &p->call, p->slot, p->value, &p->found);
    return store->driver->takeover(store, &p->call, p->slot, p->seen_token, p->value);
}

/* …, and a second time if the first is in doubt: the own token makes that harmless. */
static apr_status_t send_lease_surely(passage *p)
{
    const char *why;
    apr_status_t second, first = send_lease(p);

    if (idem_store_answered(first) || apr_time_now() >= p->call.deadline)
        return first;
    why = p->call.why;
    second = send_lease(p);
    if (second != IDEM_EDOWN)
        return second;
    p->call.why = why; /* the second was not even sent, so the first stays in doubt */
    return first;
}

/*
 * The breaker is open, and nothing can be won. If reading is free, the refusal still tells what the slot holds.
 */
static apr_status_t look_instead(passage *p)
{
    idem_store *store = p->front->store;
    const char *why = p->call.why;
    apr_status_t rv;

    if (!p->refused || p->op != IDEM_OP_CLAIM || !idem_front_reads_free(p->front))
        return IDEM_EDOWN;
    p->call.why = NULL;
    rv = store->driver->fetch(store, &p->call, p->slot, &p->found);
    if (rv == APR_SUCCESS)
        return APR_EEXIST;
    p->call.why = why;
    return IDEM_EDOWN;
}

/* What is known to fail does not get as far as the breaker. */
static apr_status_t try_lease(passage *p, const idem_head *lease)
{
    apr_status_t rv = encode_lease(p->front, lease, p->call.pool, &p->value);

    if (rv == APR_SUCCESS)
        rv = enter_driver(p);
    if (rv == IDEM_EDOWN)
        return look_instead(p);
    return rv == APR_SUCCESS ? send_lease_surely(p) : rv;
}

static apr_status_t claim_slot(passage *p, apr_status_t begun, const idem_head *lease, idem_seen *seen,
                               const char **why)
{
    apr_status_t rv = begun == APR_SUCCESS ? try_lease(p, lease) : begun;

    memset(seen, 0, sizeof(*seen));
    return rv == APR_EEXIST ? end_found(p, rv, seen, why) : end_call(p, rv, why);
}

apr_status_t idem_front_claim(idem_front *front, const idem_head *lease, apr_pool_t *pool, idem_seen *seen,
                              const char **why)
{
    passage p;
    apr_status_t rv = begin_call(&p, front, IDEM_OP_CLAIM, lease->slot, pool);

    return claim_slot(&p, rv, lease, seen, why);
}

apr_status_t idem_front_claim_empty(idem_front *front, const idem_head *lease, apr_pool_t *pool, idem_seen *seen,
                                    const char **why)
{
    passage p;
    apr_status_t rv = begin_call(&p, front, IDEM_OP_CLAIM, lease->slot, pool);

    p.call.looked = 1;
    return claim_slot(&p, rv, lease, seen, why);
}

/* Told to the observer where it ends the claim: the one that goes on tells of itself. */
apr_status_t idem_front_peek(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_seen *seen,
                             const char **why)
{
    passage p;
    apr_status_t rv;

    memset(seen, 0, sizeof(*seen));
    if (!idem_front_reads_free(front))
        return APR_ENOTIMPL;
    rv = begin_call(&p, front, IDEM_OP_CLAIM, slot, pool);
    if (rv == APR_SUCCESS)
        rv = front->store->driver->fetch(front->store, &p.call, slot, &p.found);
    if (rv == APR_SUCCESS)
        return end_found(&p, APR_EEXIST, seen, why);
    calls_spent += idem_monotonic() - p.began;
    return rv;
}

apr_status_t idem_front_takeover(idem_front *front, const idem_head *lease, const unsigned char *seen_token,
                                 apr_pool_t *pool, const char **why)
{
    passage p;
    apr_status_t rv = begin_call(&p, front, IDEM_OP_TAKEOVER, lease->slot, pool);

    p.seen_token = seen_token;
    if (rv == APR_SUCCESS)
        rv = try_lease(&p, lease);
    return end_call(&p, rv, why);
}

apr_status_t idem_front_renew(idem_front *front, const idem_head *lease, apr_pool_t *pool, const char **why)
{
    passage p;
    apr_status_t rv = begin_and_enter(&p, front, IDEM_OP_RENEW, lease->slot, pool);

    if (rv == APR_SUCCESS)
        rv = front->store->driver->renew(front->store, &p.call, lease->slot, lease->token);
    return end_call(&p, rv, why);
}

apr_status_t idem_front_release(idem_front *front, const unsigned char *slot, const unsigned char *token,
                                apr_pool_t *pool, const char **why)
{
    passage p;
    apr_status_t rv = begin_and_enter(&p, front, IDEM_OP_RELEASE, slot, pool);

    if (rv == APR_SUCCESS)
        rv = front->store->driver->release(front->store, &p.call, slot, token);
    return end_call(&p, rv, why);
}

apr_status_t idem_front_fetch(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_seen *seen,
                              const char **why)
{
    passage p;
    apr_status_t rv = begin_and_enter(&p, front, IDEM_OP_FETCH, slot, pool);

    memset(seen, 0, sizeof(*seen));
    if (rv == APR_SUCCESS)
        rv = front->store->driver->fetch(front->store, &p.call, slot, &p.found);
    return rv == APR_SUCCESS ? end_found(&p, rv, seen, why) : end_call(&p, rv, why);
}

apr_status_t idem_front_encode(idem_front *front, const idem_head *head, const idem_response *response,
                               apr_pool_t *pool, idem_blob *value)
{
    apr_size_t most = front->store->max_value;
    if (most && idem_record_size(front->ring, response) > most)
        return IDEM_ETOOBIG; /* before a copy is made of it */
    return idem_record_encode(front->ring, head, response, pool, value);
}

apr_status_t idem_front_settle(idem_front *front, idem_blob value, apr_pool_t *pool, const char **why)
{
    passage p;
    apr_status_t rv = begin_and_enter(&p, front, IDEM_OP_SETTLE, idem_value_slot(value), pool);

    if (rv == APR_SUCCESS)
        rv = front->store->driver->settle(front->store, &p.call, p.slot, value);
    return end_call(&p, rv, why);
}

apr_status_t idem_front_sweep(idem_front *front, int most, apr_pool_t *pool, int *removed, const char **why)
{
    passage p;
    apr_status_t rv = begin_and_enter(&p, front, IDEM_OP_SWEEP, NULL, pool);

    *removed = 0;
    if (rv == APR_SUCCESS)
        rv = front->store->driver->sweep(front->store, &p.call, most, removed);
    rv = end_call(&p, rv, why);
    return rv == APR_ENOTIMPL ? APR_SUCCESS : rv; /* nothing to do, and no trouble */
}
