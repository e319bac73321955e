/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.c - the transaction: found by pool, moved by the table, told to the log and to the environment.
 *
 * Called by whoever has to do with a guarded request. Only idem_txn_log_store() logs a failure of the store. Its
 * callers know what the failure means for the request (claim.c, settle.c).
 */
#include "txn.h"

#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "processes.h"
#include "stores.h"
#include "text.h"

#include <apr_atomic.h>
#include <apr_escape.h>
#include <apr_strings.h>

#define TXN_KEY "mod_idempotency"

/* One line a second and child about a store in trouble: every refused request would say the same. */
static int may_log_store(void)
{
    static volatile apr_uint32_t last;
    apr_uint32_t now = (apr_uint32_t)apr_time_sec(apr_time_now());
    apr_uint32_t before = apr_atomic_read32(&last);

    return now != before && apr_atomic_cas32(&last, now, before) == before;
}

void idem_txn_log_store(idem_txn *txn, const char *what, apr_status_t rv, const char *why)
{
    char text[120];
    int said = rv == IDEM_EDOWN; /* and it stays down until that has been said, too (outage.c, stores.c) */
    int level = !said && may_log_store() ? APLOG_WARNING : APLOG_INFO; /* the macro evaluates it more than once */

    IDEM_LOG(txn, level, 10, "store %s: %s failed: %s", idem_front_url(txn->front), what,
             why ? why : apr_strerror(rv, text, sizeof(text)));
    if (rv == IDEM_EFULL)
        idem_notify_post(IDEM_TELL_FULL, txn->front, NULL, 100);
}

idem_txn *idem_txn_of(request_rec *r)
{
    void *txn = NULL;

    apr_pool_userdata_get(&txn, TXN_KEY, r->pool);
    return txn;
}

idem_txn *idem_txn_create(request_rec *r, const idem_settings *settings, idem_front *front)
{
    idem_txn *txn = apr_pcalloc(r->pool, sizeof(*txn));

    txn->r = r;
    txn->settings = settings;
    txn->front = front;
    txn->ring = idem_stores_ring(r->server);
    txn->process = idem_this_process();
    txn->phase = IDEM_PHASE_IDLE;
    txn->head.ttl = settings->ttl;
    txn->head.attempt = 1;
    txn->detecting = settings->engine == IDEM_ENGINE_DETECTION;
    txn->head.lease = idem_server_settings_of(r->server)->lease;
    apr_cpystrn(txn->slot_name, "-", sizeof(txn->slot_name));
    apr_pool_userdata_setn(txn, TXN_KEY, NULL, r->pool);
    idem_txn_store_begins(txn);
    return txn;
}

void idem_txn_store_begins(idem_txn *txn)
{
    txn->spent = idem_front_spent();
}

void idem_txn_store_ends(idem_txn *txn)
{
    apr_interval_time_t now = idem_front_spent();

    txn->stored += now - txn->spent;
    txn->spent = now;
}

static int phase_holds(idem_phase phase)
{
    return phase == IDEM_PHASE_HOLDING || phase == IDEM_PHASE_RUNNING || phase == IDEM_PHASE_SETTLING;
}

idem_action idem_txn_step(idem_txn *txn, idem_event event)
{
    idem_step step = idem_lease_step(txn->phase, event);

    IDEM_LOG(txn, APLOG_TRACE1, 1, "%s -> %s, %s", idem_event_name(event), idem_phase_name(step.next),
             idem_action_name(step.action));
    if (step.action == IDEM_DO_FAIL) {
        IDEM_LOG(txn, APLOG_CRIT, 2, "impossible event %s: please report this", idem_event_name(event));
        AP_DEBUG_ASSERT(0);
    }
    idem_metrics_change(IDEM_GAUGE_LEASES, phase_holds(step.next) - phase_holds(txn->phase));
    idem_txn_store_ends(txn);
    txn->phase = step.next;
    return step.action;
}

void idem_txn_set_slot(idem_txn *txn, const unsigned char slot[IDEM_SLOT_LEN])
{
    memcpy(txn->head.slot, slot, IDEM_SLOT_LEN);
    apr_escape_hex(txn->slot_name, slot, (sizeof(txn->slot_name) - 1) / 2, 0, NULL);
}

const char *idem_txn_outcome_text(const idem_txn *txn)
{
    const char *word = idem_outcome_word(txn->outcome);

    return txn->detecting ? apr_pstrcat(txn->r->pool, "detected:", word, NULL) : word;
}

void idem_txn_outcome(idem_txn *txn, idem_outcome outcome)
{
    if (!txn->outcome)
        txn->outcome = outcome;
    if (txn->outcome == IDEM_OUTCOME_REPLAYED && txn->seen.written)
        txn->first_at = idem_time_text(txn->seen.written, txn->r->pool);
    idem_txn_export(txn, txn->r);
}

void idem_lease_export(request_rec *r, const idem_head *lease)
{
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SLOT", apr_pescape_hex(r->pool, lease->slot, 4, 0));
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_TOKEN", apr_pescape_hex(r->pool, lease->token, IDEM_TOKEN_LEN, 0));
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_ATTEMPT", apr_itoa(r->pool, (int)lease->attempt));
}

/* Between its outcome, its handler and its settlement a lease stays the same: it is written out once for each r. */
static void export_lease(idem_txn *txn, request_rec *r)
{
    if (txn->lease_shown_to == r && !memcmp(txn->token_shown, txn->head.token, IDEM_TOKEN_LEN))
        return;
    idem_lease_export(r, &txn->head);
    memcpy(txn->token_shown, txn->head.token, IDEM_TOKEN_LEN);
    txn->lease_shown_to = r;
}

void idem_txn_export(idem_txn *txn, request_rec *r)
{
    if (txn->lookup)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_LOOKUP", "1");
    if (txn->outcome)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_OUTCOME", idem_txn_outcome_text(txn));
    if (txn->settlement)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SETTLEMENT", idem_settlement_word(txn->settlement));
    if (txn->phase == IDEM_PHASE_HOLDING || txn->phase == IDEM_PHASE_RUNNING)
        export_lease(txn, r);
    else if (txn->slot_name[0] != '-')
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_SLOT", txn->slot_name);
    if (txn->first_at)
        apr_table_setn(r->subprocess_env, "IDEMPOTENCY_FIRST_AT", txn->first_at);
    txn->shown_to = r;
    txn->outcome_shown = txn->outcome;
    txn->settlement_shown = txn->settlement;
}

void idem_txn_export_times(idem_txn *txn, request_rec *r)
{
    if (txn->shown_to != r || txn->outcome_shown != txn->outcome || txn->settlement_shown != txn->settlement)
        idem_txn_export(txn, r);
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_WAIT_US", apr_ltoa(r->pool, (long)txn->waited));
    apr_table_setn(r->subprocess_env, "IDEMPOTENCY_STORE_US", apr_ltoa(r->pool, (long)txn->stored));
}
