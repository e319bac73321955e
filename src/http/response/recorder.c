/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.c - the output filter that holds a response until its record stands, or copies it while it flows.
 *
 * Called by httpd. While a handler runs, the filter only collects. An end of stream may be a lie: a backend died, or an
 * HTTP/2 stream was reset. Only the handler's return code tells. Error pages come after the handler's return: their end
 * is the end, and is settled inside the filter (conclude.c).
 *
 * Up to IdempotencyMaxResponse bytes are held in memory. A longer response cannot be kept. It flows to the client
 * bucket by bucket, and only its end is held back until the store acknowledges the tombstone. With IdempotencyResponse
 * stream it flows from its first byte, while a copy is made.
 */
#include "chain.h"
#include "log.h"
#include "capture.h"
#include "conclude.h"

#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

static ap_filter_rec_t *recorder_handle;

static int handler_runs(const idem_txn *txn)
{
    return txn->phase == IDEM_PHASE_RUNNING;
}

/* The transaction that f was inserted for, NULL for one that somebody else named (.htaccess, mod_filter): its context
 * is not ours. */
static idem_txn *recorded_by(const ap_filter_t *f)
{
    idem_txn *txn = f->r ? idem_txn_of(f->r) : NULL;

    return txn && f->ctx == txn ? txn : NULL;
}

void idem_recorder_join(idem_txn *txn, request_rec *r)
{
    if (!txn->recorder) {
        txn->recorder = apr_pcalloc(txn->r->pool, sizeof(*txn->recorder));
        txn->recorder->held = apr_brigade_create(txn->r->pool, r->connection->bucket_alloc);
    }
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec == recorder_handle && f->ctx == txn && f->r == r)
            return;
    ap_add_output_filter_handle(recorder_handle, txn, r, r->connection);
    idem_above_join(txn, r);
}

/* ---- collecting -------------------------------------------------------------------------------------------------- */

/*
 * A failed write marks an HTTP/1 connection under our hands, be it ours or that of an interim response; handlers that
 * look at the mark would stop half-way. HTTP/2's mark is another thread's: handlers never see that one (gate.c).
 */
static void keep_going(idem_recorder *rec, conn_rec *c)
{
    if (!c->aborted || c->master)
        return;
    rec->client_gone = 1;
    c->aborted = 0;
}

/* A client that was told the length sees the end with the last byte: that one waits for the settlement too. */
static void keep_last_byte(idem_recorder *rec)
{
    apr_bucket *b = APR_BRIGADE_LAST(rec->held);

    if (rec->declared < 1 || rec->length < rec->declared || !APR_BRIGADE_EMPTY(rec->last))
        return;
    while (b != APR_BRIGADE_SENTINEL(rec->held) && (APR_BUCKET_IS_METADATA(b) || !b->length))
        b = APR_BUCKET_PREV(b);
    if (b == APR_BRIGADE_SENTINEL(rec->held))
        return;
    if (b->length > 1 && apr_bucket_split(b, b->length - 1) == APR_SUCCESS)
        b = APR_BUCKET_NEXT(b);
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(rec->last, b);
}

/* Passes what is held, not its end. A client that is gone does not stop the handler. */
static void flow_on(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder *rec = txn->recorder;

    keep_last_byte(rec);
    if (!rec->client_gone && ap_pass_brigade(f->next, rec->held) != APR_SUCCESS) {
        rec->client_gone = 1;
        IDEM_LOG(txn, APLOG_DEBUG, 30, "the client is gone; the handler runs on");
    }
    apr_brigade_cleanup(rec->held);
    keep_going(rec, f->c);
}

static void flush_held(idem_txn *txn, ap_filter_t *f)
{
    APR_BRIGADE_INSERT_TAIL(txn->recorder->held, apr_bucket_flush_create(f->c->bucket_alloc));
    flow_on(txn, f);
}

static int streams_now(const idem_txn *txn)
{
    return txn->settings->response == IDEM_RESPONSE_STREAM;
}

/*
 * A handler may look how its response is framed, to mark one that broke off (mod_wsgi keeps the end of a chunked one).
 * httpd sets that when the head leaves, which it has not: so it is lent from the first byte on, where there will be
 * chunks.
 */
static void frame_chunks(idem_txn *txn, ap_filter_t *f)
{
    request_rec *r = f->r;

    if (r->chunked || txn->inside != r || f->c->master || r->proto_num < HTTP_VERSION(1, 1) ||
        AP_STATUS_IS_HEADER_ONLY(r->status) || idem_recorder_declared(r) >= 0)
        return;
    r->chunked = txn->recorder->framed = 1;
}

static void begin_flow(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder_unframe(txn, f->r);
    txn->recorder->flowing = 1;
    txn->recorder->declared = idem_recorder_declared(f->r);
    txn->recorder->last = apr_brigade_create(txn->r->pool, f->c->bucket_alloc);
    idem_recorder_capture(txn, f->r);
    if (streams_now(txn))
        txn->recorder->copy = apr_brigade_create(txn->r->pool, f->c->bucket_alloc);
    flow_on(txn, f);
}

static void too_long(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder *rec = txn->recorder;

    IDEM_LOG(txn, APLOG_INFO, 31, "the response is longer than %" APR_INT64_T_FMT " bytes: it is not kept",
             txn->settings->max_response);
    if (rec->copy)
        apr_brigade_destroy(rec->copy);
    rec->copy = NULL;
    if (!rec->flowing)
        begin_flow(txn, f);
}

/* While a response flows its reader must not wait for what the handler has not written yet. */
static apr_status_t read_data(idem_txn *txn, ap_filter_t *f, apr_bucket *b, const char **data, apr_size_t *len)
{
    idem_recorder *rec = txn->recorder;
    apr_status_t rv;

    if (!rec->flowing)
        return apr_bucket_read(b, data, len, APR_BLOCK_READ);
    rv = apr_bucket_read(b, data, len, APR_NONBLOCK_READ);
    if (!APR_STATUS_IS_EAGAIN(rv))
        return rv;
    flush_held(txn, f);
    return apr_bucket_read(b, data, len, APR_BLOCK_READ);
}

static void pass_data(idem_txn *txn, ap_filter_t *f, apr_bucket *b)
{
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(txn->recorder->held, b);
    flow_on(txn, f);
}

static void take_data(idem_txn *txn, ap_filter_t *f, apr_bucket *b)
{
    idem_recorder *rec = txn->recorder;
    const char *data;
    apr_size_t len;
    apr_status_t rv;

    if (rec->broken) {
        apr_bucket_delete(b);
        return;
    }
    if (streams_now(txn) && !rec->flowing)
        begin_flow(txn, f);
    if (!rec->flowing)
        frame_chunks(txn, f);
    if (rec->flowing && !rec->copy && b->length != (apr_size_t)-1) {
        rec->length += (apr_off_t)b->length; /* a file is passed on as it is */
        pass_data(txn, f, b);
        return;
    }
    rv = read_data(txn, f, b, &data, &len);
    if (rv != APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_INFO, 32, "the response could not be read to its end (%d)", rv);
        rec->broken = APR_STATUS_IS_TIMEUP(rv) ? HTTP_GATEWAY_TIME_OUT : HTTP_BAD_GATEWAY;
        apr_bucket_delete(b);
        return;
    }
    rec->length += (apr_off_t)len;
    if (!rec->flowing || rec->copy)
        apr_brigade_write(rec->flowing ? rec->copy : rec->held, NULL, NULL, data, len);
    if (rec->flowing)
        pass_data(txn, f, b);
    else
        apr_bucket_delete(b);
    if (rec->length > txn->settings->max_response && (!rec->flowing || rec->copy))
        too_long(txn, f);
}

/* Metadata: the end is held, an error ends it, a flush is dropped unless the response flows; the rest keeps its
 * place. */
static void take_meta(idem_txn *txn, ap_filter_t *f, apr_bucket *b)
{
    idem_recorder *rec = txn->recorder;

    if (APR_BUCKET_IS_FLUSH(b) && streams_now(txn) && !rec->flowing)
        begin_flow(txn, f);
    if (APR_BUCKET_IS_EOS(b))
        rec->eos = 1;
    else if (AP_BUCKET_IS_ERROR(b))
        rec->broken = ((ap_bucket_error *)b->data)->status;
    else if (AP_BUCKET_IS_EOC(b))
        rec->eoc = 1;
    else if (!APR_BUCKET_IS_FLUSH(b) || rec->flowing) {
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(rec->held, b);
        if (rec->flowing)
            flow_on(txn, f);
        return;
    }
    apr_bucket_delete(b);
}

/* With the first bytes, when the head is complete: what another filter makes of it is recorded as made. */
static int moves_behind_maker(idem_recorder *rec, ap_filter_t *f)
{
    ap_filter_t *maker = idem_chain_maker(f->r, f->next);

    rec->at = f;
    rec->maker = maker ? maker->frec->name : NULL;
    if (!maker)
        return 0;
    rec->at = apr_pmemdup(f->r->pool, f, sizeof(*f));
    rec->at->next = maker->next;
    maker->next = rec->at;
    ap_remove_output_filter(f);
    return 1;
}

static apr_status_t recorder_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    idem_txn *txn = recorded_by(f);
    idem_recorder *rec;

    if (!txn || !handler_runs(txn)) {
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, in);
    }
    if (APR_BRIGADE_EMPTY(in))
        return APR_SUCCESS;
    rec = txn->recorder;
    if (rec->at != f && moves_behind_maker(rec, f))
        return ap_pass_brigade(f->next, in);
    keep_going(rec, f->c);
    rec->next = f->next;
    while (!APR_BRIGADE_EMPTY(in) && !rec->eos) {
        apr_bucket *b = APR_BRIGADE_FIRST(in);

        if (APR_BUCKET_IS_METADATA(b))
            take_meta(txn, f, b);
        else
            take_data(txn, f, b);
    }
    apr_brigade_cleanup(in);
    if (streams_now(txn) && rec->flowing && !rec->broken)
        flush_held(txn,
                   f); /* what a handler hands on is meant to be seen, also where it does not say so (mod_proxy_fcgi) */
    keep_going(rec, f->c);
    if ((rec->eos || rec->broken) && txn->inside != f->r)
        return idem_recorder_finish_page(txn, f);
    return APR_SUCCESS;
}

static void insert_recorder(request_rec *r)
{
    idem_txn *txn = r->main ? NULL : idem_txn_of(r);

    if (txn && handler_runs(txn) && !txn->detecting)
        idem_recorder_join(txn, r);
}

/*
 * A page that httpd makes while the handler runs: a filter found that it must be one (mod_xsendfile's file is missing),
 * and has called ap_die(). It takes the place of whatever came before.
 */
static void insert_for_page(request_rec *r)
{
    idem_txn *txn = r->main ? NULL : idem_txn_of(r);

    insert_recorder(r);
    if (!txn || !handler_runs(txn) || txn->detecting || txn->inside != r || txn->recorder->flowing)
        return;
    apr_brigade_cleanup(txn->recorder->held);
    txn->recorder->length = 0;
    txn->recorder->eos = 0;
    txn->recorder->page = 1;
}

void idem_recorder_register(apr_pool_t *pool)
{
    (void)pool;
    idem_above_register();
    recorder_handle = ap_register_output_filter("IDEMPOTENCY_OUT", recorder_filter, NULL, IDEM_CHAIN_PLACE);
    /* Canned errors and internal redirects drop content filters (http_request.c, ap_send_error_response). */
    ap_hook_insert_filter(insert_recorder, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_insert_error_filter(insert_for_page, NULL, NULL, APR_HOOK_REALLY_LAST); /* behind others of its type */
}
