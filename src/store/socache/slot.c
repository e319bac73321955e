/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.c - the operations on one slot of a small object cache: each is read, decide, write under one global mutex.
 *
 * Called by the front through the driver's table, and by a walk through all entries. What always holds: the cache is
 * touched with the mutex held only, and nobody waits for the mutex beyond the call's deadline. Expiry is decided here
 * and never by the provider, since a lease whose owner lives does not expire. A stored value is read back before the
 * mutex is given up, since a provider may evict, or fail, and still report success. Limits: a provider may have evicted
 * whatever it likes between two calls.
 */
#include "socache_private.h"

#include <apr_strings.h>

#define TTL_AT 8                                      /* in the plain head */
#define TTL_MOST ((apr_uint64_t)100 * 365 * 86400000) /* milliseconds; a longer one would not be a time any more */

/* One operation on one slot, while the mutex is held. */
typedef struct visit {
    idem_socache *store;
    idem_call *call;
    const unsigned char *slot;
    const unsigned char *token; /* takeover, renew, release: the one that must stand */
    idem_blob value;            /* claim, takeover, settle: the new one */
    idem_found *found;          /* claim, fetch: for the caller */

    unsigned int stored; /* bytes in store->in, 0 if the cache has nothing under the slot */
    int present;         /* neither absent nor expired; only then is what stands of interest */
    idem_socache_entry standing;
} visit;

typedef apr_status_t decision(visit *v);

static int has_token(idem_blob value, const unsigned char *token)
{
    return idem_value_plausible(value) && memcmp(idem_value_token(value), token, IDEM_TOKEN_LEN) == 0;
}

/* ---- under the mutex --------------------------------------------------------------------------------------------- */

static apr_status_t look_at_slot(visit *v)
{
    idem_socache *store = v->store;
    unsigned int len = (unsigned int)idem_socache_room(store);
    apr_status_t rv = store->provider->retrieve(store->cache, store->env->server, v->slot, IDEM_SLOT_LEN, store->in,
                                                &len, v->call->pool);
    v->stored = 0;
    v->present = 0;
    if (idem_socache_is_absent(store, rv))
        return APR_SUCCESS;
    if (rv != APR_SUCCESS) {
        v->call->why = apr_psprintf(v->call->pool, "the %s cache could not be read", store->kind->name);
        return rv;
    }
    v->stored = len;
    v->standing = idem_socache_entry_of(store, store->in, len);
    v->present = !v->standing.expired;
    return APR_SUCCESS;
}

static apr_status_t put_bytes(visit *v, unsigned char *bytes, unsigned int len)
{
    idem_socache *store = v->store;
    return store->provider->store(store->cache, store->env->server, v->slot, IDEM_SLOT_LEN, idem_socache_never(), bytes,
                                  len, v->call->pool);
}

/* A store that did not succeed may have taken the old entry with it. */
static apr_status_t put_back_entry(visit *v, apr_status_t failure)
{
    const char *name = v->store->kind->name;
    int full = failure == APR_ENOSPC;

    if (v->stored && put_bytes(v, v->store->in, v->stored) != APR_SUCCESS) {
        v->call->why = apr_psprintf(v->call->pool, "the %s cache refused an entry and lost the one before it", name);
        return APR_EGENERAL;
    }
    v->call->why = apr_psprintf(v->call->pool, "the %s cache %s", name,
                                full ? "has no room for the entry"
                                     : "did not keep the entry; if that goes on, stop the server and remove the file");
    return full ? IDEM_EFULL : failure;
}

/* Reads the stored value back. Where it is gone already, store->in is as before, and the failure says what that
 * means. */
static apr_status_t verify_value(visit *v, const unsigned char *bytes, unsigned int len)
{
    idem_socache *store = v->store;
    unsigned int there = (unsigned int)idem_socache_room(store);
    apr_status_t rv = store->provider->retrieve(store->cache, store->env->server, v->slot, IDEM_SLOT_LEN, store->in,
                                                &there, v->call->pool);
    if (rv != APR_SUCCESS)
        return idem_socache_is_absent(store, rv) && (store->super.flags & IDEM_EVICTS) ? APR_ENOSPC : APR_EGENERAL;
    if (there == len && memcmp(store->in, bytes, len) == 0)
        return APR_SUCCESS;
    v->stored = 0; /* there is nothing left that could be put back */
    return APR_EGENERAL;
}

/* Writes value with a fresh life span. It fits: too large ones were refused before the mutex was asked for. */
static apr_status_t put_value(visit *v, idem_blob value)
{
    unsigned char *out = v->store->out, *at = out;
    apr_uint64_t ttl = idem_value_number(value.data + TTL_AT, 8);
    /* The millisecond that has begun counts as over: never a millisecond early. */
    apr_uint64_t expires = (apr_uint64_t)apr_time_as_msec(idem_clock_now(&v->store->clock)) + 1;
    unsigned int len = (unsigned int)(IDEM_SOCACHE_EXPIRY_LEN + value.len);
    apr_status_t rv;

    at = idem_put(at, expires + (ttl < TTL_MOST ? ttl : TTL_MOST), IDEM_SOCACHE_EXPIRY_LEN);
    idem_put_bytes(at, value.data, value.len);
    rv = put_bytes(v, out, len);
    if (rv == APR_SUCCESS)
        rv = verify_value(v, out, len);
    return rv == APR_SUCCESS ? rv : put_back_entry(v, rv);
}

static apr_status_t take_away(visit *v)
{
    idem_socache *store = v->store;
    return store->provider->remove(store->cache, store->env->server, v->slot, IDEM_SLOT_LEN, v->call->pool);
}

static apr_status_t hand_out_entry(visit *v, apr_status_t rv)
{
    idem_blob there = v->standing.value;
    v->found->value = idem_blob_of(apr_pmemdup(v->call->pool, there.data, there.len), there.len);
    v->found->owner_dead = v->standing.owner_dead;
    v->found->expires = v->standing.expires;
    v->found->now = v->standing.now;
    return rv;
}

/* The helper every operation on a slot goes through: the one lock, the one unlock. */
static apr_status_t with_slot(visit *v, decision *decide)
{
    apr_status_t rv;

    if (v->value.len > v->store->super.max_value) {
        v->call->why =
            apr_psprintf(v->call->pool, "a value of %lu bytes is too long: the %s cache holds %lu at most",
                         (unsigned long)v->value.len, v->store->kind->name, (unsigned long)v->store->super.max_value);
        return IDEM_ETOOBIG;
    }
    rv = idem_socache_lock(v->store, v->call);
    if (rv != APR_SUCCESS)
        return rv;
    rv = look_at_slot(v);
    if (rv == APR_SUCCESS)
        rv = decide(v);
    apr_global_mutex_unlock(v->store->mutex);
    return rv;
}

/* ---- decisions --------------------------------------------------------------------------------------------------- */

static apr_status_t socache_decide_claim(visit *v)
{
    if (!v->present)
        return put_value(v, v->value);
    if (idem_socache_is_lease(v->standing.value) && has_token(v->standing.value, idem_value_token(v->value)))
        return APR_SUCCESS;
    return hand_out_entry(v, APR_EEXIST);
}

static apr_status_t socache_decide_takeover(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    if (idem_socache_is_lease(v->standing.value) && has_token(v->standing.value, idem_value_token(v->value)))
        return APR_SUCCESS;
    if (!has_token(v->standing.value, v->token))
        return IDEM_ELOST;
    if (idem_socache_is_lease(v->standing.value))
        return v->standing.owner_dead ? put_value(v, v->value) : IDEM_EALIVE;
    return idem_value_state(v->standing.value) == IDEM_STATE_UNKNOWN ? put_value(v, v->value) : IDEM_ELOST;
}

static apr_status_t socache_decide_renew(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    if (!idem_socache_is_lease(v->standing.value) || !has_token(v->standing.value, v->token))
        return IDEM_ELOST;
    return put_value(v, v->standing.value);
}

static apr_status_t socache_decide_settle(visit *v)
{
    if (!v->present)
        return put_value(v, v->value);
    if (!has_token(v->standing.value, idem_value_token(v->value)))
        return IDEM_ELOST;
    return idem_socache_is_lease(v->standing.value) ? put_value(v, v->value) : APR_SUCCESS;
}

static apr_status_t socache_decide_release(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    if (!idem_socache_is_lease(v->standing.value) || !has_token(v->standing.value, v->token))
        return IDEM_ELOST;
    return take_away(v);
}

static apr_status_t socache_decide_fetch(visit *v)
{
    return v->present ? hand_out_entry(v, APR_SUCCESS) : APR_NOTFOUND;
}

static apr_status_t socache_decide_forget(visit *v)
{
    apr_status_t rv = v->stored ? take_away(v) : APR_NOTFOUND;
    return v->present || rv != APR_SUCCESS ? rv : APR_NOTFOUND;
}

static apr_status_t socache_decide_forget_seen(visit *v)
{
    if (!v->present)
        return APR_NOTFOUND;
    if (idem_socache_is_lease(v->standing.value) || !has_token(v->standing.value, v->token))
        return IDEM_ELOST;
    return take_away(v);
}

/* ---- operations on one slot -------------------------------------------------------------------------------------- */

apr_status_t idem_socache_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                                idem_found *found)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .value = value, .found = found};
    return with_slot(&v, socache_decide_claim);
}

apr_status_t idem_socache_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *seen, idem_blob value)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .token = seen, .value = value};
    return with_slot(&v, socache_decide_takeover);
}

apr_status_t idem_socache_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, socache_decide_renew);
}

apr_status_t idem_socache_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .value = value};
    return with_slot(&v, socache_decide_settle);
}

apr_status_t idem_socache_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                  const unsigned char *token)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, socache_decide_release);
}

apr_status_t idem_socache_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .found = found};
    return with_slot(&v, socache_decide_fetch);
}

apr_status_t idem_socache_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot};
    return with_slot(&v, socache_decide_forget);
}

apr_status_t idem_socache_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                      const unsigned char *token)
{
    visit v = {.store = (idem_socache *)store, .call = call, .slot = slot, .token = token};
    return with_slot(&v, socache_decide_forget_seen);
}
