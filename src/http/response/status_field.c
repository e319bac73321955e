/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_field.c - the field of IdempotencyStatusHeader.
 *
 * Called by the gate, by the recorder, and by the last filter of ours (expose.c), behind the settlement. What always
 * holds: only the request that an entry is for learns anything of the entry's life. A request that is only watched is
 * told nothing.
 */
#include "status_field.h"

#include <apr_strings.h>

#define NOTED_KEY "mod_idempotency unused"
#define WHOSE "idempotency"

/* What hangs on the pool of a chain that is not guarded. */
typedef struct noted {
    const char *header, *why;
} noted;

static noted *noted_of(request_rec *r)
{
    void *found = NULL;

    apr_pool_userdata_get(&found, NOTED_KEY, r->pool);
    return found;
}

int idem_status_is_noted(request_rec *r)
{
    return noted_of(r) != NULL;
}

/* DetectionOnly changes no response. */
static int is_watched(request_rec *r)
{
    return idem_engine_of(r) == IDEM_ENGINE_DETECTION;
}

void idem_status_unused(request_rec *r, const char *why)
{
    const char *header = idem_settings_of(r)->status_header;
    noted *made;

    if (!header || is_watched(r) || (r->prev && noted_of(r)))
        return;
    made = apr_palloc(r->pool, sizeof(*made));
    made->header = header;
    made->why = why;
    apr_pool_userdata_setn(made, NOTED_KEY, NULL, r->pool);
}

int idem_status_keyless(request_rec *r)
{
    const idem_settings *settings = idem_settings_of(r);
    idem_asked asked;

    if (!settings->status_header)
        return DECLINED;
    idem_asked_of(r, &asked);
    idem_status_unused(r, idem_guards_method(settings, asked.method) ? "no-key" : "method");
    return DECLINED;
}

static const char *with_seconds(apr_pool_t *pool, const char *before, const char *name, apr_interval_time_t time)
{
    return apr_psprintf(pool, "%s;%s=%" APR_TIME_T_FMT, before, name, apr_time_sec(time));
}

static int is_remembered(const idem_txn *txn)
{
    return txn->settlement != IDEM_SETTLEMENT_RELEASED && txn->settlement != IDEM_SETTLEMENT_LOST;
}

/* A response that flows leaves before its settlement; if all goes well that is a record. */
static const char *of_execution(const idem_txn *txn, const char *value, apr_pool_t *pool)
{
    if (txn->settlement)
        value = apr_pstrcat(pool, value, ";settlement=", idem_settlement_word(txn->settlement), NULL);
    return is_remembered(txn) ? with_seconds(pool, value, "ttl", txn->head.ttl) : value;
}

static const char *of_entry(const idem_txn *txn, const char *value, apr_pool_t *pool)
{
    if (!txn->is_same || txn->seen.left < 0)
        return value;
    return with_seconds(pool, with_seconds(pool, value, "age", txn->seen.age), "ttl", txn->seen.left);
}

static const char *status_value(const idem_txn *txn, apr_pool_t *pool)
{
    const char *value = apr_pstrcat(pool, WHOSE ";outcome=", idem_outcome_word(txn->outcome), NULL);

    return txn->outcome == IDEM_OUTCOME_EXECUTED ? of_execution(txn, value, pool) : of_entry(txn, value, pool);
}

static void drop_field(request_rec *r, const char *header)
{
    apr_table_unset(r->headers_out, header);
    apr_table_unset(r->err_headers_out, header);
}

void idem_status_strip(const idem_txn *txn, request_rec *r)
{
    if (txn->settings->status_header)
        drop_field(r, txn->settings->status_header);
}

const char *idem_status_put(const idem_txn *txn, request_rec *r)
{
    const noted *unguarded = txn ? NULL : noted_of(r);
    const char *header = txn         ? txn->settings->status_header
                         : unguarded ? unguarded->header
                                     : idem_settings_of(r)->status_header;
    const char *value = NULL;

    if (!header || (txn ? txn->detecting : !unguarded && is_watched(r)))
        return NULL;
    drop_field(r, header);
    if (unguarded)
        value = apr_pstrcat(r->pool, WHOSE ";unused=", unguarded->why, NULL);
    else if (txn && txn->outcome)
        value = status_value(txn, r->pool);
    if (!value)
        return NULL;
    apr_table_setn(r->err_headers_out, header, value);
    return header;
}
