/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - the keys of a slot: how they are named, read, made, and kept alive.
 *
 * memcached can make a key that is not there (add), and replace or delete one that is. The driver uses no other
 * condition. So no key that changes decides anything. Attempt n = 0, 1, 2… of a slot has these keys:
 *
 *   idem:SLOT:n:C         the claim: a lease, whose attempt this is
 *   idem:SLOT:n:H:TOKEN   its heart; made before the claim, expires with the lease, prolonged only where it still is;
 *                         holds the second in which it began to beat, which nothing but a look depends on
 *   idem:SLOT:n:R:TOKEN   its result: a value, "released", or "closed" by who took over from the dead
 *
 * add makes each of them, so each decision has one winner. A later attempt counts only when the earlier ones are over.
 * tests/model/memcache.py explores this protocol. What always holds: a heart that has stopped stays stopped. A result
 * outlives its claim, which would read as a dead owner's lease without it. The claims of all earlier attempts outlive
 * the latest entry, or the slot would begin anew beside it. So a claim is rewritten with the same content and another
 * end, but only while there is time (margin_of). If it expired on the way, the write could overwrite another's claim.
 *
 * Time: memcached expires keys, in whole seconds of a clock that starts with the server and is never set. It does not
 * tell when a key expires, so the driver also notes the moment in the key (seconds of that clock). Only margins depend
 * on the note. Limits: an operation reads two keys for each attempt, and a slot has ATTEMPTS_MOST attempts. Near the
 * end of its keys a slot takes no further attempt, for a few seconds.
 */
#include "memcache_private.h"

#include <apr_escape.h>
#include <apr_strings.h>

#define ATTEMPTS_MOST 1000
#define CLOCKS_DIFFER 3 /* seconds, more than two processes' knowledge of a server's clock */
#define SINCE "since "
#define GAP 3  /* seconds by which a result outlives its claim */
#define HEAD 9 /* kind, end */
#define KEY_MOST (sizeof("idem:::H:") + 2 * IDEM_SLOT_LEN + 2 * IDEM_TOKEN_LEN + 12)

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const char *key_of(const idem_mc_op *op, int n, char which, const unsigned char *token)
{
    char *key = apr_palloc(op->call->pool, KEY_MOST), *to = apr_cpystrn(key, "idem:", KEY_MOST);

    apr_escape_hex(to, op->slot, IDEM_SLOT_LEN, 0, NULL);
    to += 2 * IDEM_SLOT_LEN;
    to += apr_snprintf(to, 16, ":%d:%c", n, which);
    if (token) {
        *to++ = ':';
        apr_escape_hex(to, token, IDEM_TOKEN_LEN, 0, NULL);
    }
    return key;
}

/* ---- what a key holds -------------------------------------------------------------------------------------------- */

static const unsigned char *token_of(const idem_mc_cell *claim)
{
    static const unsigned char none[IDEM_TOKEN_LEN];
    return idem_value_plausible(claim->value) ? idem_value_token(claim->value) : none; /* damaged */
}

static idem_blob pack_cell(const idem_mc_op *op, int kind, idem_blob value, apr_int64_t ends)
{
    unsigned char *raw = apr_palloc(op->call->pool, HEAD + value.len);

    raw[0] = (unsigned char)kind;
    idem_put(raw + 1, (apr_uint64_t)ends, 8);
    if (value.len)
        memcpy(raw + HEAD, value.data, value.len);
    return idem_blob_of(raw, HEAD + value.len);
}

static void unpack_cell(idem_mc_cell *cell, int is_claim)
{
    idem_blob raw = cell->raw;
    int kind = raw.len >= HEAD ? raw.data[0] : 0;
    int known =
        is_claim ? kind == IDEM_MC_CLAIM : kind == IDEM_MC_VALUE || kind == IDEM_MC_CLOSED || kind == IDEM_MC_RELEASED;

    cell->kind = known ? kind : -1;
    cell->value = known ? idem_blob_of(raw.data + HEAD, raw.len - HEAD) : raw;
    cell->ends = known ? (apr_int64_t)idem_value_number(raw.data + 1, 8) : 0;
}

static apr_status_t read_cell(const idem_mc_op *op, const char *key, int is_claim, idem_mc_cell *cell)
{
    apr_status_t rv;

    memset(cell, 0, sizeof(*cell));
    cell->key = key;
    rv = idem_mc_get(op, key, &cell->raw);
    if (rv == APR_SUCCESS)
        unpack_cell(cell, is_claim);
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

apr_status_t idem_mc_read_claim(const idem_mc_op *op, int n, idem_mc_cell *cell)
{
    return read_cell(op, key_of(op, n, 'C', NULL), 1, cell);
}

static apr_status_t read_result(const idem_mc_op *op, int n, idem_mc_attempt *attempt)
{
    return read_cell(op, key_of(op, n, 'R', token_of(&attempt->claim)), 0, &attempt->result);
}

int idem_mc_is_value(const idem_mc_cell *cell, idem_state state)
{
    return cell->kind == IDEM_MC_VALUE && idem_value_plausible(cell->value) && idem_value_state(cell->value) == state;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* Hearts of an older version, and damaged ones, do not say it. */
static apr_int64_t begun_of(idem_blob beat)
{
    apr_size_t word = sizeof(SINCE) - 1;
    apr_uint64_t begun = 0;

    if (beat.len == word + 8 && memcmp(beat.data, SINCE, word) == 0)
        begun = idem_value_number(beat.data + word, 8);
    return begun < APR_UINT64_C(1) << 40 ? (apr_int64_t)begun : 0;
}

static idem_blob beat_since(const idem_mc_op *op, apr_int64_t begun)
{
    unsigned char *beat = apr_palloc(op->call->pool, sizeof(SINCE) - 1 + 8);

    idem_put(idem_put_bytes(beat, SINCE, sizeof(SINCE) - 1), (apr_uint64_t)begun, 8);
    return idem_blob_of(beat, sizeof(SINCE) - 1 + 8);
}

/*
 * Reads the heart before the result. So a stopped heart without a result means that the owner is dead and has left
 * none. If there was a result before, or if the heart beats, a second look at the result would say nothing new.
 */
static apr_status_t read_heart(const idem_mc_op *op, int n, idem_mc_attempt *last, idem_mc_chain *chain)
{
    idem_blob beat;
    apr_status_t rv;

    chain->owner_dead = 1;
    rv = idem_mc_get(op, key_of(op, n, 'H', token_of(&last->claim)), &beat);
    if (rv == APR_SUCCESS) {
        chain->owner_dead = 0;
        chain->begun = begun_of(beat);
    }
    return rv == APR_NOTFOUND ? read_result(op, n, last) : rv;
}

/* Do later attempts count after this one? */
static int may_be_followed(const idem_mc_attempt *attempt)
{
    int kind = attempt->result.kind;
    return kind == IDEM_MC_RELEASED || kind == IDEM_MC_CLOSED || idem_mc_is_value(&attempt->result, IDEM_STATE_UNKNOWN);
}

apr_status_t idem_mc_read_chain(const idem_mc_op *op, int heart, idem_mc_chain *chain)
{
    apr_status_t rv = APR_SUCCESS;

    memset(chain, 0, sizeof(*chain));
    chain->attempts = apr_array_make(op->call->pool, 2, sizeof(idem_mc_attempt));
    for (int n = 0; n < ATTEMPTS_MOST; n++) {
        idem_mc_attempt *before = n ? &APR_ARRAY_IDX(chain->attempts, n - 1, idem_mc_attempt) : NULL, *here;
        idem_mc_cell claim;

        if (n > 0 && idem_mc_is_late(op))
            return idem_mc_late(op);
        rv = idem_mc_read_claim(op, n, &claim);
        if (rv != APR_SUCCESS)
            return rv;
        if (!claim.kind) {
            chain->stands = before && before->result.kind != IDEM_MC_RELEASED;
            chain->n = chain->stands ? n - 1 : n;
            return rv;
        }
        here = apr_array_push(chain->attempts);
        here->claim = claim;
        rv = read_result(op, n, here);
        if (rv == APR_SUCCESS && !here->result.kind && heart)
            rv = read_heart(op, n, here, chain);
        if (rv != APR_SUCCESS)
            return rv;
        if (!may_be_followed(here)) {
            chain->stands = 1;
            chain->n = n;
            chain->owner_dead = chain->owner_dead && !here->result.kind;
            return rv;
        }
        chain->owner_dead = here->result.kind == IDEM_MC_CLOSED;
    }
    return idem_fail(op->call, IDEM_EFULL, "the key has been released %d times, the most that memcached can keep",
                     ATTEMPTS_MOST);
}

/* ---- making ------------------------------------------------------------------------------------------------------ */

/* APR_EEXIST if the key has another content. The same content, whatever its end, comes from an earlier try. */
static apr_status_t make_key(const idem_mc_op *op, const char *key, int kind, idem_blob value, apr_int64_t ends)
{
    idem_mc_cell there;
    apr_status_t rv = idem_mc_add(op, key, pack_cell(op, kind, value, ends), ends - idem_mc_now(op));

    if (rv != APR_EEXIST)
        return rv;
    rv = read_cell(op, key, kind == IDEM_MC_CLAIM, &there);
    if (rv != APR_SUCCESS)
        return rv;
    if (there.kind == kind && there.value.len == value.len && memcmp(there.value.data, value.data, value.len) == 0)
        return APR_SUCCESS;
    return APR_EEXIST;
}

apr_status_t idem_mc_make_claim(const idem_mc_op *op, int n, idem_blob lease, apr_int64_t ends)
{
    return make_key(op, key_of(op, n, 'C', NULL), IDEM_MC_CLAIM, lease, ends);
}

static const idem_mc_attempt *last_of(const idem_mc_chain *chain)
{
    return &APR_ARRAY_IDX(chain->attempts, chain->n, idem_mc_attempt);
}

apr_status_t idem_mc_make_result(const idem_mc_op *op, const idem_mc_chain *chain, int kind, idem_blob value,
                                 apr_int64_t claim_ends)
{
    return make_key(op, key_of(op, chain->n, 'R', token_of(&last_of(chain)->claim)), kind, value, claim_ends + GAP);
}

/* Is its key's own: what expires meanwhile has no successor under this name. */
apr_status_t idem_mc_change_result(const idem_mc_op *op, const idem_mc_chain *chain, int kind, idem_blob value)
{
    const idem_mc_attempt *last = last_of(chain);
    apr_int64_t ends = (last->claim.kind > 0 ? last->claim.ends : idem_mc_now(op)) + GAP;
    return idem_mc_replace(op, last->result.key, pack_cell(op, kind, value, ends), ends - idem_mc_now(op));
}

/* Its owner's alone: nobody else makes or prolongs it. */
apr_status_t idem_mc_beat(const idem_mc_op *op, int n, const unsigned char *token, apr_interval_time_t lease)
{
    apr_status_t rv =
        idem_mc_add(op, key_of(op, n, 'H', token), beat_since(op, idem_mc_now(op)), idem_mc_seconds(lease));
    return rv == APR_EEXIST ? APR_SUCCESS : rv;
}

apr_status_t idem_mc_prolong_heart(const idem_mc_op *op, const idem_mc_chain *chain, const unsigned char *token,
                                   apr_interval_time_t lease)
{
    return idem_mc_replace(op, key_of(op, chain->n, 'H', token), beat_since(op, chain->begun), idem_mc_seconds(lease));
}

/* ---- prolonging -------------------------------------------------------------------------------------------------- */

static apr_status_t expiring_item(const idem_mc_op *op)
{
    return idem_fail(op->call, APR_EBUSY, "memcached's entries of this key expire in less than a minute");
}

/* The seconds that a claim must still live before a rewrite: at least as long as this call can take. */
static apr_int64_t margin_of(const idem_mc_op *op)
{
    return (op->until - idem_clock_uptime()) / APR_USEC_PER_SEC + 1 + CLOCKS_DIFFER;
}

/* The same with another end. */
apr_status_t idem_mc_move_end(const idem_mc_op *op, const idem_mc_cell *cell, apr_int64_t ends)
{
    apr_int64_t now = idem_mc_now(op);
    apr_status_t rv;

    if (cell->ends - now < margin_of(op))
        return expiring_item(op);
    rv = idem_mc_replace(op, cell->key, pack_cell(op, cell->kind, cell->value, ends), ends - now);
    return rv == APR_NOTFOUND ? expiring_item(op) : rv;
}

/* A key that nobody wrote cannot be prolonged, and need not be: nothing beyond it decides anything. */
static apr_status_t cover_cell(const idem_mc_op *op, const idem_mc_cell *cell, apr_int64_t until)
{
    return cell->kind > 0 && cell->ends < until ? idem_mc_move_end(op, cell, until + IDEM_MC_EXTRA) : APR_SUCCESS;
}

/* The result first: a claim without it would stand in the way of what comes later. */
apr_status_t idem_mc_cover(const idem_mc_op *op, const idem_mc_chain *chain, int before, apr_int64_t until)
{
    apr_status_t rv = APR_SUCCESS;

    for (int n = 0; n < before && rv == APR_SUCCESS; n++) {
        const idem_mc_attempt *attempt = &APR_ARRAY_IDX(chain->attempts, n, idem_mc_attempt);
        rv = cover_cell(op, &attempt->result, until + GAP);
        if (rv == APR_SUCCESS)
            rv = cover_cell(op, &attempt->claim, until);
    }
    return rv;
}
