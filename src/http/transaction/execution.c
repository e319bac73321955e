/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execution.c - the field by which one guard knows another one's execution.
 *
 * Called by the gate. A request that passes has no transaction. Its field hangs on its pool, which the requests of a
 * chain of internal redirects share. Nothing here runs for a request without the field, unless a proxy handles it.
 */
#include "execution.h"

#include "digest.h"
#include "log.h"

#include <apr_escape.h>
#include <apr_strings.h>

#define PASSES_KEY "mod_idempotency execution"
#define PROOF_LEN 16
#define MOST_MEMBERS 4 /* each costs a look at the store */
#define MEMBER_LEN (2 * IDEM_SLOT_LEN + 1 + 2 * PROOF_LEN + 1 + 2 * PROOF_LEN)

typedef struct member {
    unsigned char slot[IDEM_SLOT_LEN], proof[PROOF_LEN], key[PROOF_LEN];
} member;

/* What hangs on the pool of a chain that passes. */
typedef struct passing {
    idem_head lease;
    const char *members;
} passing;

/* ---- proofs ------------------------------------------------------------------------------------------------------ */

/* The purpose is fed first: a proof of one kind is none of the other. */
static apr_status_t prove_purpose(const char *purpose, const unsigned char *token, idem_blob what,
                                  unsigned char out[PROOF_LEN])
{
    unsigned char full[IDEM_DIGEST_LEN];
    idem_digest *digest;
    apr_status_t rv = idem_digest_start(&digest, NULL);

    if (rv != APR_SUCCESS)
        return rv;
    idem_digest_feed_part(digest, idem_blob_str(purpose));
    idem_digest_feed_part(digest, idem_blob_of(token, IDEM_TOKEN_LEN));
    idem_digest_feed_part(digest, what);
    rv = idem_digest_finish(digest, full);
    if (rv == APR_SUCCESS)
        memcpy(out, full, PROOF_LEN);
    return rv;
}

static apr_status_t prove_member(const idem_head *lease, idem_blob key, member *made)
{
    apr_status_t rv = prove_purpose("execution", lease->token, idem_blob_of(lease->slot, IDEM_SLOT_LEN), made->proof);

    memcpy(made->slot, lease->slot, IDEM_SLOT_LEN);
    return rv == APR_SUCCESS ? prove_purpose("key", lease->token, key, made->key) : rv;
}

static const char *write_member(const member *made, apr_pool_t *pool)
{
    return apr_pstrcat(pool, apr_pescape_hex(pool, made->slot, IDEM_SLOT_LEN, 0), ".",
                       apr_pescape_hex(pool, made->proof, PROOF_LEN, 0), ".",
                       apr_pescape_hex(pool, made->key, PROOF_LEN, 0), NULL);
}

static int read_hex(const char **at, apr_size_t len, unsigned char *out)
{
    apr_size_t got = 0;
    int good = apr_unescape_hex(out, *at, (apr_ssize_t)(2 * len), 0, &got) == APR_SUCCESS && got == len;

    *at += 2 * len + 1;
    return good;
}

static int read_member(const char *text, member *read)
{
    const char *at = text;

    if (strlen(text) != MEMBER_LEN || text[2 * IDEM_SLOT_LEN] != '.' || text[MEMBER_LEN - 2 * PROOF_LEN - 1] != '.')
        return 0;
    return read_hex(&at, IDEM_SLOT_LEN, read->slot) && read_hex(&at, PROOF_LEN, read->proof) &&
           read_hex(&at, PROOF_LEN, read->key);
}

/* ---- what a field says ------------------------------------------------------------------------------------------- */

static void note_passing(request_rec *r, const idem_head *lease, const char *members)
{
    passing *made = apr_palloc(r->pool, sizeof(*made));

    made->lease = *lease;
    made->members = members;
    apr_pool_userdata_setn(made, PASSES_KEY, NULL, r->pool);
}

static passing *passing_of(request_rec *r)
{
    void *found = NULL;

    apr_pool_userdata_get(&found, PASSES_KEY, r->pool);
    return found;
}

/* A settled entry keeps its owner's token: whoever sent this is known to be done, or to have died. */
static void look_up(request_rec *r, idem_front *front, idem_blob key, const member *claimed, idem_way *way)
{
    const char *why = NULL;
    idem_seen seen;
    member true_one;

    if (idem_front_fetch(front, claimed->slot, r->pool, &seen, &why) != APR_SUCCESS || seen.corrupt ||
        prove_member(&seen.head, key, &true_one) != APR_SUCCESS ||
        !idem_equal_ct(claimed->proof, true_one.proof, PROOF_LEN))
        return;
    way->members = apr_pstrcat(r->pool, way->members ? way->members : "", way->members ? ", " : "",
                               write_member(claimed, r->pool), NULL);
    if (!idem_equal_ct(claimed->key, true_one.key, PROOF_LEN))
        return; /* another operation, which that one's handler asked for: it is guarded as ever */
    if (seen.head.state == IDEM_STATE_LEASE && !seen.owner_dead) {
        way->inside = 1;
        note_passing(r, &seen.head, NULL);
        return;
    }
    way->over = 1;
    memcpy(way->slot, claimed->slot, IDEM_SLOT_LEN);
}

void idem_execution_read(request_rec *r, idem_front *front, idem_blob key, idem_way *way)
{
    const char *field = apr_table_get(r->headers_in, IDEM_EXECUTION_HEADER);
    char *list, *state, *text;
    member claimed;
    int left = MOST_MEMBERS;

    memset(way, 0, sizeof(*way));
    if (!field)
        return;
    list = apr_pstrdup(r->pool, field);
    apr_table_unset(r->headers_in, IDEM_EXECUTION_HEADER);
    for (text = apr_strtok(list, ", \t", &state); text && left--; text = apr_strtok(NULL, ", \t", &state))
        if (read_member(text, &claimed))
            look_up(r, front, key, &claimed, way);
    if (way->inside)
        passing_of(r)->members = way->members;
}

/* ---- what handlers are shown ------------------------------------------------------------------------------------- */

int idem_execution_passing(request_rec *r)
{
    return passing_of(r) != NULL;
}

int idem_execution_passes(request_rec *r)
{
    const passing *way = passing_of(r);

    if (!way)
        return 0;
    idem_lease_export(r, &way->lease);
    if (idem_is_proxied(r))
        apr_table_setn(r->headers_in, IDEM_EXECUTION_HEADER, way->members);
    else
        apr_table_unset(r->headers_in, IDEM_EXECUTION_HEADER);
    return 1;
}

int idem_execution_show(const idem_txn *txn, request_rec *r)
{
    member own;
    const char *text;

    if (!idem_is_proxied(r) || prove_member(&txn->head, txn->key, &own) != APR_SUCCESS)
        return 0;
    text = write_member(&own, r->pool);
    if (txn->came_by)
        text = apr_pstrcat(r->pool, txn->came_by, ", ", text, NULL);
    apr_table_setn(r->headers_in, IDEM_EXECUTION_HEADER, text);
    return 1;
}

void idem_execution_hide(request_rec *r, int shown)
{
    if (shown)
        apr_table_unset(r->headers_in, IDEM_EXECUTION_HEADER);
}
