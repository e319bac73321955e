/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.c - the operations on one slot.
 *
 * The front calls it through the driver's table. Each operation reads the slot's keys, decides, and makes at most one
 * key that decides. If another process was faster, it reads again. What always holds: no key is made after the
 * deadline. If a key became a lease only after the deadline, the result is in doubt, since its heart may have stopped
 * by then. The caller withdraws it.
 *
 * A claim cannot arrive after its own withdrawal: a call that stores a key returns when the server has answered, or
 * when the connection is broken. A stopped server breaks no connection, so nothing is withdrawn meanwhile. A server
 * that has ended has lost all requests under way. A server that closed a connection has done all that it will ever do
 * for it.
 *
 * Limits: a record lives up to two minutes longer than its time, an eighth of it at most.
 */
#include "memcache_private.h"

#define LOOKS_MOST 20
#define LOOK_AGAIN (IDEM_ESTART + 90)    /* the slot has changed since it was read */
#define END_MOST (APR_INT64_C(1) << 40)  /* seconds: a later one is damaged */
#define DAMAGED_LIFE (60 * 60 * 24 * 30) /* seconds: the end of a damaged claim is not known */

typedef struct order order;

/* What becomes of the slot; LOOK_AGAIN to be asked again. */
typedef apr_status_t decider(const idem_mc_op *op, const order *o, const idem_mc_chain *chain);

struct order {
    decider *decide;
    int heart;                  /* must it be known whether an owner is dead? */
    int leads;                  /* to a lease, which is worth nothing after the deadline */
    const unsigned char *token; /* the caller's */
    const unsigned char *seen;  /* takeover */
    idem_blob value;
    idem_found *found;
};

int idem_mc_part(const idem_store *store, const unsigned char *slot)
{
    return (int)(idem_value_number(slot, 8) % (unsigned)((const idem_mc *)store)->server_count);
}

static apr_status_t mc_run(idem_store *base, idem_call *call, const unsigned char *slot, const order *o)
{
    idem_mc *store = (idem_mc *)base;
    int which = idem_mc_part(&store->super, slot);
    apr_time_t until = idem_clock_uptime() + (call->deadline - apr_time_now());
    idem_mc_op op = {store, &store->servers[which], call, slot, until};
    apr_status_t rv = LOOK_AGAIN;

    if (o->value.len > base->max_value)
        return idem_fail(call, IDEM_ETOOBIG,
                         "a value of %lu bytes is too long: %lu is the most that memcached keeps (-I)",
                         (unsigned long)o->value.len, (unsigned long)base->max_value);
    for (int look = 0; look < LOOKS_MOST && rv == LOOK_AGAIN; look++) {
        idem_mc_chain chain;
        rv = idem_mc_read_chain(&op, o->heart, &chain);
        if (rv == APR_SUCCESS)
            rv = o->decide(&op, o, &chain);
    }
    if (rv == LOOK_AGAIN)
        return idem_fail(call, APR_EBUSY, "the slot changes faster than it can be read");
    if (rv == APR_SUCCESS && o->leads && idem_mc_is_late(&op))
        return idem_fail(call, APR_TIMEUP, "memcached at %s answered too late", op.server->name);
    return rv;
}

/* ---- what stands ------------------------------------------------------------------------------------------------- */

static const idem_mc_attempt *standing_attempt(const idem_mc_chain *chain)
{
    return &APR_ARRAY_IDX(chain->attempts, chain->n, idem_mc_attempt);
}

static int is_lease(const idem_mc_attempt *a)
{
    return a->result.kind == 0;
}

/* The current value: the record, or the lease itself. */
static idem_blob value_of(const idem_mc_attempt *a)
{
    return is_lease(a) || a->result.kind == IDEM_MC_CLOSED ? a->claim.value : a->result.value;
}

static int is_of(idem_blob value, const unsigned char *token)
{
    return idem_value_plausible(value) && memcmp(idem_value_token(value), token, IDEM_TOKEN_LEN) == 0;
}

static int is_own_lease(const order *o, const idem_mc_chain *chain)
{
    return is_lease(standing_attempt(chain)) && is_of(standing_attempt(chain)->claim.value, o->token);
}

/* When what stands expires, seconds of the server's clock; 0 for not known. A claim ends with its result. */
static apr_int64_t end_of(const idem_mc_chain *chain)
{
    const idem_mc_attempt *a = standing_attempt(chain);

    if (a->result.kind == IDEM_MC_VALUE)
        return a->claim.ends;
    return is_lease(a) && chain->begun > 0 && idem_value_plausible(a->claim.value)
               ? chain->begun + idem_mc_seconds(idem_value_ttl(a->claim.value))
               : 0;
}

static apr_status_t show_attempt(const idem_mc_op *op, const order *o, const idem_mc_chain *chain, apr_status_t status)
{
    apr_int64_t ends = end_of(chain);

    o->found->value = value_of(standing_attempt(chain));
    o->found->owner_dead = chain->owner_dead;
    o->found->expires = ends > 0 && ends <= END_MOST ? apr_time_from_sec(ends) : 0;
    o->found->now = apr_time_from_sec(idem_mc_now(op));
    return status;
}

/* How long a lease stays when its owner does nothing more, seconds. */
static apr_int64_t life_of(idem_blob lease)
{
    apr_interval_time_t ttl = idem_value_ttl(lease), due = idem_value_lease(lease);
    return idem_mc_seconds(ttl > due ? ttl : due) + 1;
}

static apr_status_t again_if_taken(apr_status_t rv)
{
    return rv == APR_EEXIST ? LOOK_AGAIN : rv;
}

/* ---- claim, takeover --------------------------------------------------------------------------------------------- */

/* The heart first: a claim without one would be a dead owner's. */
static apr_status_t occupy_slot(const idem_mc_op *op, const order *o, const idem_mc_chain *chain, int n)
{
    apr_int64_t life = life_of(o->value), now = idem_mc_now(op);
    apr_status_t rv = idem_mc_cover(op, chain, n, now + life);

    if (rv == APR_SUCCESS)
        rv = idem_mc_beat(op, n, o->token, idem_value_lease(o->value));
    if (rv == APR_SUCCESS)
        rv = idem_mc_make_claim(op, n, o->value, now + life + IDEM_MC_EXTRA);
    return again_if_taken(rv);
}

/* An earlier try has claimed it. Where its heart can be prolonged it still is ours. */
static apr_status_t prolong_own_lease(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    apr_status_t rv = idem_mc_prolong_heart(op, chain, o->token, idem_value_lease(o->value));

    if (rv == APR_NOTFOUND)
        return idem_fail(op->call, APR_TIMEUP, "the lease expired during its own claim");
    return rv;
}

static apr_status_t mc_decide_claim(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    if (!chain->stands)
        return occupy_slot(op, o, chain, chain->n);
    return is_own_lease(o, chain) ? prolong_own_lease(op, o, chain) : show_attempt(op, o, chain, APR_EEXIST);
}

/* In the dead owner's name, by the key that it would settle by: only one of the two can make it. */
static apr_status_t close_attempt(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    idem_blob by = idem_blob_of(o->token, IDEM_TOKEN_LEN);
    apr_status_t rv = idem_mc_make_result(op, chain, IDEM_MC_CLOSED, by, standing_attempt(chain)->claim.ends);
    return rv == APR_SUCCESS ? LOOK_AGAIN : again_if_taken(rv);
}

static apr_status_t mc_decide_takeover(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    const idem_mc_attempt *a;

    if (!chain->stands)
        return APR_NOTFOUND;
    a = standing_attempt(chain);
    if (is_own_lease(o, chain))
        return prolong_own_lease(op, o, chain);
    if (!is_of(value_of(a), o->seen))
        return IDEM_ELOST;
    if (is_lease(a))
        return chain->owner_dead ? close_attempt(op, o, chain) : IDEM_EALIVE;
    if (a->result.kind == IDEM_MC_CLOSED || idem_mc_is_value(&a->result, IDEM_STATE_UNKNOWN))
        return occupy_slot(op, o, chain, chain->n + 1);
    return IDEM_ELOST;
}

apr_status_t idem_mc_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                           idem_found *found)
{
    order o = {.decide = mc_decide_claim, .heart = 1, .leads = 1, .token = idem_value_token(value), .value = value};
    o.found = found;
    return mc_run(store, call, slot, &o);
}

apr_status_t idem_mc_takeover(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *seen,
                              idem_blob value)
{
    order o = {.decide = mc_decide_takeover, .heart = 1, .leads = 1, .token = idem_value_token(value), .value = value};
    o.seen = seen;
    return mc_run(store, call, slot, &o);
}

/* ---- renew ------------------------------------------------------------------------------------------------------- */

/* The heart last: where it can be prolonged it has never stopped, and nobody has taken over. */
static apr_status_t mc_decide_renew(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    const idem_mc_cell *claim;
    apr_int64_t until;
    apr_status_t rv = APR_SUCCESS;

    if (!chain->stands)
        return APR_NOTFOUND;
    if (!is_own_lease(o, chain))
        return IDEM_ELOST;
    claim = &standing_attempt(chain)->claim;
    until = idem_mc_now(op) + life_of(claim->value);
    rv = idem_mc_cover(op, chain, chain->n + 1, until);
    if (rv == APR_SUCCESS)
        rv = idem_mc_prolong_heart(op, chain, o->token, idem_value_lease(claim->value));
    return rv == APR_NOTFOUND ? IDEM_ELOST : rv;
}

apr_status_t idem_mc_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    order o = {.decide = mc_decide_renew, .heart = 1, .leads = 1, .token = token};
    return mc_run(store, call, slot, &o);
}

/* ---- settle, release --------------------------------------------------------------------------------------------- */

/* The store has lost the slot: its owner makes it again. Only the head says what the lease was. */
static apr_status_t heal_slot(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    apr_int64_t ends = idem_mc_now(op) + life_of(o->value) + 1;
    unsigned char head[IDEM_HEAD_MIN];
    apr_status_t rv = idem_mc_cover(op, chain, chain->n, ends);

    memcpy(head, o->value.data, sizeof(head));
    head[5] = IDEM_STATE_LEASE;
    if (rv == APR_SUCCESS)
        rv = idem_mc_make_claim(op, chain->n, idem_blob_of(head, sizeof(head)), ends);
    return rv == APR_SUCCESS ? LOOK_AGAIN : again_if_taken(rv);
}

/* A result counts only under its claim, and the store may have lost the claim since we saw it. */
static apr_status_t confirm_claim(const idem_mc_op *op, const order *o, int n)
{
    idem_mc_cell claim;
    apr_status_t rv = idem_mc_read_claim(op, n, &claim);

    if (rv != APR_SUCCESS)
        return rv;
    return is_of(claim.value, o->token) ? APR_SUCCESS : LOOK_AGAIN;
}

/*
 * A result is lost when its claim expires. The claim's end stays if it is near enough. Else it moves: to a later moment
 * before there is a record, to an earlier one only after it. The record may find no room, and then the lease has to go
 * on.
 */
static apr_status_t settle_lease(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    const idem_mc_cell *claim = &standing_attempt(chain)->claim;
    apr_int64_t ttl = idem_mc_seconds(idem_value_ttl(o->value)), until = idem_mc_now(op) + ttl + 1;
    apr_int64_t near = 1 + (ttl / 8 < IDEM_MC_EXTRA ? ttl / 8 : IDEM_MC_EXTRA);
    int is_short = claim->ends < until;
    int is_long = claim->ends > until + near;
    apr_int64_t ends = is_short || is_long ? until : claim->ends;
    apr_status_t rv = is_short ? idem_mc_move_end(op, claim, ends) : APR_SUCCESS;

    if (rv == APR_SUCCESS)
        rv = idem_mc_cover(op, chain, chain->n, ends);
    if (rv == APR_SUCCESS)
        rv = idem_mc_make_result(op, chain, IDEM_MC_VALUE, o->value, ends);
    if (rv != APR_SUCCESS)
        return again_if_taken(rv);
    rv = confirm_claim(op, o, chain->n);
    if (rv == APR_SUCCESS && is_long)
        (void)idem_mc_move_end(op, claim, ends); /* where it fails the claim's rest reads as a dead owner's lease */
    return rv;
}

static apr_status_t mc_decide_settle(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    const idem_mc_attempt *a;

    if (!chain->stands)
        return heal_slot(op, o, chain);
    if (is_own_lease(o, chain))
        return settle_lease(op, o, chain);
    a = standing_attempt(chain);
    return a->result.kind == IDEM_MC_VALUE && is_of(a->result.value, o->token) ? APR_SUCCESS : IDEM_ELOST;
}

static apr_status_t mc_decide_release(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    apr_status_t rv;

    if (!chain->stands)
        return APR_NOTFOUND;
    if (!is_own_lease(o, chain))
        return IDEM_ELOST;
    rv = idem_mc_make_result(op, chain, IDEM_MC_RELEASED, idem_blob_of(o->token, IDEM_TOKEN_LEN),
                             standing_attempt(chain)->claim.ends);
    return rv == APR_SUCCESS ? confirm_claim(op, o, chain->n) : again_if_taken(rv);
}

apr_status_t idem_mc_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    order o = {.decide = mc_decide_settle, .token = idem_value_token(value), .value = value};
    return mc_run(store, call, slot, &o);
}

apr_status_t idem_mc_release(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token)
{
    order o = {.decide = mc_decide_release, .token = token};
    return mc_run(store, call, slot, &o);
}

/* ---- fetch, forget ----------------------------------------------------------------------------------------------- */

static apr_status_t mc_decide_fetch(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    return chain->stands ? show_attempt(op, o, chain, APR_SUCCESS) : APR_NOTFOUND;
}

/*
 * For a lease, the driver makes the release in its owner's name, in competition with the owner. It replaces a result by
 * "released". That is the only change of a key that decided something. The slot goes on from the next attempt.
 */
static apr_status_t mc_decide_forget(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    idem_blob nobody = idem_blob_of(o->token, IDEM_TOKEN_LEN);
    const idem_mc_cell *claim;
    apr_status_t rv;

    if (!chain->stands)
        return APR_NOTFOUND;
    claim = &standing_attempt(chain)->claim;
    if (!is_lease(standing_attempt(chain))) {
        rv = idem_mc_change_result(op, chain, IDEM_MC_RELEASED, nobody);
        return rv == APR_NOTFOUND ? LOOK_AGAIN : rv;
    }
    rv = idem_mc_make_result(op, chain, IDEM_MC_RELEASED, nobody,
                             claim->kind > 0 ? claim->ends : idem_mc_now(op) + DAMAGED_LIFE);
    return again_if_taken(rv);
}

/* The result that was seen is the one that is replaced: it is compared as it is changed. */
static apr_status_t mc_decide_forget_seen(const idem_mc_op *op, const order *o, const idem_mc_chain *chain)
{
    apr_status_t rv;

    if (!chain->stands)
        return APR_NOTFOUND;
    if (is_lease(standing_attempt(chain)) || !is_of(value_of(standing_attempt(chain)), o->token))
        return IDEM_ELOST;
    rv = idem_mc_change_result(op, chain, IDEM_MC_RELEASED, idem_blob_of(o->token, IDEM_TOKEN_LEN));
    return rv == APR_NOTFOUND ? LOOK_AGAIN : rv;
}

apr_status_t idem_mc_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    order o = {.decide = mc_decide_fetch, .heart = 1, .found = found};
    return mc_run(store, call, slot, &o);
}

apr_status_t idem_mc_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    static const unsigned char nobody[IDEM_TOKEN_LEN];
    order o = {.decide = mc_decide_forget, .token = nobody};
    return mc_run(store, call, slot, &o);
}

apr_status_t idem_mc_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *token)
{
    order o = {.decide = mc_decide_forget_seen, .token = token};
    return mc_run(store, call, slot, &o);
}
