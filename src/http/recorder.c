/*
 * recorder.c - the output filter that holds a response until its record stands, and the verdict on what a handler returned.
 *
 * Called by httpd as a filter, by the gate when a handler has returned. While a handler runs the filter only collects: an end
 * of stream may be a lie (a backend died, an HTTP/2 stream was reset), and what the handler returns is needed to know. Error pages
 * come after the handler's return: their end is the end, and is settled inside the filter.
 *
 * Up to IdempotencyMaxResponse bytes are held in memory. Beyond that the response cannot be kept: it flows to the client bucket by
 * bucket and only its end is held back until the tombstone is acknowledged.
 */
#include "recorder.h"

#include "control.h"
#include "intake.h"
#include "log.h"
#include "replay.h"
#include "respond.h"

#include <apr_strings.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>

struct idem_recorder {
    apr_bucket_brigade *held; /* in r->pool, of the connection's allocator */
    apr_off_t length;         /* data bytes seen, held or passed */
    ap_filter_t *next;        /* where it goes on */
    int flowing;              /* too long to be kept: passed on as it comes */
    int eos;                  /* the end was seen and is held back */
    int eoc;                  /* a proxy asked for the connection to be closed without an answer */
    int broken;               /* HTTP status: the response broke off, in whatever way */
    int client_gone;          /* a pass failed: the rest is swallowed so that the handler runs to its end */
    int was_aborted;          /* c->aborted was set while the handler ran, which handlers that ask may have noticed */
};

static ap_filter_rec_t *recorder_handle;

static int running(const idem_txn *txn)
{
    return txn->phase == IDEM_RUNNING;
}

static void forget_held(idem_recorder *rec)
{
    apr_brigade_cleanup(rec->held);
    rec->length = 0;
    rec->eos = 0;
}

void idem_recorder_join(idem_txn *txn, request_rec *r)
{
    if (!txn->recorder) {
        txn->recorder = apr_pcalloc(txn->r->pool, sizeof(*txn->recorder));
        txn->recorder->held = apr_brigade_create(txn->r->pool, r->connection->bucket_alloc);
    }
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec == recorder_handle && f->r == r)
            return;
    ap_add_output_filter_handle(recorder_handle, txn, r, r->connection);
}

apr_off_t idem_recorder_length(const idem_txn *txn)
{
    return txn->recorder ? txn->recorder->length : 0;
}

/* ---- collecting ----------------------------------------------------------------------------------------------------- */

/* HTTP/2's session thread sets c->aborted at any time; handlers that look at it would stop half-way. */
static void keep_going(idem_recorder *rec, conn_rec *c)
{
    if (!c->aborted)
        return;
    if (c->master)
        rec->was_aborted = 1; /* a handler may have looked between two of our calls */
    if (c->master || rec->client_gone)
        c->aborted = 0;
}

/* Passes what is held, not its end. A client that is gone does not stop the handler. */
static void flow(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder *rec = txn->recorder;

    if (!rec->client_gone && ap_pass_brigade(f->next, rec->held) != APR_SUCCESS) {
        rec->client_gone = 1;
        IDEM_LOG(txn, APLOG_DEBUG, 30, "the client is gone; the handler runs on");
    }
    apr_brigade_cleanup(rec->held);
    keep_going(rec, f->c);
}

static void begin_flow(idem_txn *txn, ap_filter_t *f)
{
    IDEM_LOG(txn, APLOG_INFO, 31, "the response is longer than %" APR_INT64_T_FMT " bytes: it is not kept",
             txn->settings->max_response);
    txn->recorder->flowing = 1;
    idem_response_strip(txn, f->r);
    flow(txn, f);
}

static void take_data(idem_txn *txn, ap_filter_t *f, apr_bucket *b)
{
    idem_recorder *rec = txn->recorder;
    const char *data;
    apr_size_t len;
    apr_status_t rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);

    if (rv != APR_SUCCESS) {
        IDEM_LOG(txn, APLOG_INFO, 32, "the response could not be read to its end (%d)", rv);
        rec->broken = APR_STATUS_IS_TIMEUP(rv) ? HTTP_GATEWAY_TIME_OUT : HTTP_BAD_GATEWAY;
        apr_bucket_delete(b);
        return;
    }
    rec->length += (apr_off_t)len;
    if (rec->flowing) {
        APR_BUCKET_REMOVE(b);
        APR_BRIGADE_INSERT_TAIL(rec->held, b);
        flow(txn, f);
        return;
    }
    apr_brigade_write(rec->held, NULL, NULL, data, len);
    apr_bucket_delete(b);
    if (rec->length > txn->settings->max_response)
        begin_flow(txn, f);
}

/* Metadata: the end is held, an error ends it, a flush is dropped unless the response flows; the rest keeps its place. */
static void take_meta(idem_txn *txn, ap_filter_t *f, apr_bucket *b)
{
    idem_recorder *rec = txn->recorder;

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
            flow(txn, f);
        return;
    }
    apr_bucket_delete(b);
}

static apr_status_t finish_page(idem_txn *txn, ap_filter_t *f);

static apr_status_t recorder_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    idem_txn *txn = f->ctx;
    idem_recorder *rec = txn->recorder;

    if (!running(txn)) {
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, in);
    }
    keep_going(rec, f->c);
    rec->next = f->next;
    while (!APR_BRIGADE_EMPTY(in) && !rec->eos && !rec->broken) {
        apr_bucket *b = APR_BRIGADE_FIRST(in);

        if (APR_BUCKET_IS_METADATA(b))
            take_meta(txn, f, b);
        else
            take_data(txn, f, b);
    }
    apr_brigade_cleanup(in);
    keep_going(rec, f->c);
    if ((rec->eos || rec->broken) && txn->inside != f->r)
        return finish_page(txn, f);
    return APR_SUCCESS;
}

/* ---- the verdict ---------------------------------------------------------------------------------------------------- */

static int is_release_status(const idem_txn *txn, int status)
{
    const apr_array_header_t *list = txn->settings->release_status;

    for (int i = 0; i < list->nelts; i++)
        if (atoi(APR_ARRAY_IDX(list, i, const char *)) == status)
            return 1;
    return 0;
}

static void read_control(idem_txn *txn, request_rec *r, idem_control *control)
{
    memset(control, 0, sizeof(*control));
    idem_control_read(r->headers_out, txn->settings->ttl, r->pool, control);
    idem_control_read(r->err_headers_out, txn->settings->ttl, r->pool, control);
    if (control->invalid)
        IDEM_LOG(txn, APLOG_WARNING, 33, "ignored %d member(s) of the application's " IDEM_CONTROL_HEADER,
                 control->invalid);
    if (control->ttl)
        txn->head.ttl = control->ttl;
}

/* A complete response: what becomes of it. */
static idem_event verdict(idem_txn *txn, request_rec *r)
{
    idem_control control;

    read_control(txn, r, &control);
    if (txn->returned)
        return txn->returned_unsent && is_release_status(txn, txn->returned) ? IDEM_EV_RETRYABLE
               : txn->recorder->flowing                                      ? IDEM_EV_OVERSIZE
                                                                             : IDEM_EV_RECORDED;
    if (control.no_store || is_release_status(txn, r->status))
        return IDEM_EV_RETRYABLE;
    return txn->recorder->flowing ? IDEM_EV_OVERSIZE : IDEM_EV_RECORDED;
}

static idem_action settle_complete(idem_txn *txn, request_rec *r)
{
    idem_recorder *rec = txn->recorder;
    idem_response response;
    idem_event event = verdict(txn, r);
    idem_action action;
    char *flat = NULL;
    apr_size_t len = 0;

    idem_response_strip(txn, r);
    memset(&response, 0, sizeof(response));
    if (event == IDEM_EV_RECORDED) {
        idem_response_of(txn, r, &response);
        if (apr_brigade_pflatten(rec->held, &flat, &len, r->pool) != APR_SUCCESS)
            event = IDEM_EV_OVERSIZE;
        response.body.data = (const unsigned char *)flat;
        response.body.len = len;
    }
    action = idem_txn_settle(txn, event, &response);
    idem_txn_export(txn, txn->r);
    return action;
}

static void settle_cut(idem_txn *txn, idem_event event)
{
    forget_held(txn->recorder);
    idem_txn_settle(txn, event, NULL);
    idem_txn_export(txn, txn->r);
}

/* The end goes to the client, with all that was held. */
static apr_status_t let_go(idem_txn *txn, request_rec *r, ap_filter_t *next, idem_action action)
{
    idem_recorder *rec = txn->recorder;

    if (rec->client_gone) {
        r->connection->aborted = 1;
        apr_brigade_cleanup(rec->held);
        return APR_SUCCESS;
    }
    if (action == IDEM_DO_ANSWER_FROM_SLOT && !rec->flowing) {
        apr_brigade_cleanup(rec->held);
        idem_txn_look_again(txn);
        if (txn->problem == IDEM_PROBLEM_NONE)
            return idem_replay(txn, r, next) == OK ? APR_SUCCESS : APR_EGENERAL;
        return idem_respond(txn, r, next, 0) == OK ? APR_SUCCESS : APR_EGENERAL;
    }
    APR_BRIGADE_INSERT_TAIL(rec->held, apr_bucket_eos_create(r->connection->bucket_alloc));
    return ap_pass_brigade(next, rec->held);
}

/* A client that sees the end of a response it has had the beginning of must see that it is not the end. */
static void break_off(idem_txn *txn, request_rec *r, ap_filter_t *next)
{
    idem_recorder *rec = txn->recorder;
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;

    r->connection->keepalive = AP_CONN_CLOSE;
    APR_BRIGADE_INSERT_TAIL(rec->held, ap_bucket_error_create(HTTP_BAD_GATEWAY, NULL, r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(rec->held, apr_bucket_eos_create(alloc));
    if (!rec->client_gone)
        ap_pass_brigade(next, rec->held);
    else
        r->connection->aborted = 1;
}

/* The end of a page that httpd makes of an error status after the handler's return: nothing more is to come. */
static apr_status_t finish_page(idem_txn *txn, ap_filter_t *f)
{
    idem_recorder *rec = txn->recorder;
    request_rec *r = f->r;
    ap_filter_t *next = f->next;
    idem_action action;

    ap_remove_output_filter(f);
    if (rec->broken) {
        int status = rec->broken;

        settle_cut(txn, IDEM_EV_CUT);
        APR_BRIGADE_INSERT_TAIL(rec->held, ap_bucket_error_create(status, NULL, r->pool, f->c->bucket_alloc));
        APR_BRIGADE_INSERT_TAIL(rec->held, apr_bucket_eos_create(f->c->bucket_alloc));
        return ap_pass_brigade(next, rec->held);
    }
    if (!txn->returned)
        txn->returned = r->status; /* httpd refused a later request of the chain: the application did not write this */
    action = settle_complete(txn, r);
    return let_go(txn, r, next, action);
}

/* ---- after the handler ---------------------------------------------------------------------------------------------- */

/*
 * mod_proxy_http answers 503 by itself only for a backend it could not reach, or that did not answer its ping; it writes
 * error-notes for the latter (mod_proxy_http.c, ap_proxyerror). Behind a balancer other members may have been tried.
 */
static int certainly_unsent(request_rec *r, int status)
{
    static const char *const schemes[] = {"proxy:http://", "proxy:https://"};

    if (status != HTTP_SERVICE_UNAVAILABLE || !r->proxyreq || !r->filename)
        return 0;
    if (apr_table_get(r->notes, "error-notes") || apr_table_get(r->notes, "proxy-error-override"))
        return 0;
    return !strncmp(r->filename, schemes[0], strlen(schemes[0])) || !strncmp(r->filename, schemes[1], strlen(schemes[1]));
}

/* Was the declared length reached? A handler's own Content-Length is a promise that the bytes must keep. */
static int short_of_declared(const idem_txn *txn, request_rec *r)
{
    const char *field = apr_table_get(r->headers_out, "Content-Length");
    apr_off_t declared;

    if (!field)
        field = apr_table_get(r->err_headers_out, "Content-Length");
    if (!field || AP_STATUS_IS_HEADER_ONLY(r->status) || !ap_parse_strict_length(&declared, field))
        return 0;
    return txn->recorder->length != declared;
}

/* Only handlers that never look at c->aborted are known to have run to their end on a connection that was. */
static int may_have_stopped(const idem_txn *txn, request_rec *r)
{
    if (!txn->recorder->was_aborted && !r->connection->aborted)
        return 0;
    return !r->proxyreq && !(r->handler && !strcmp(r->handler, "cgi-script"));
}

static int passed_by(request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec->ftype == AP_FTYPE_PROTOCOL)
            return 0;
    return 1; /* an nph- script removes them all and writes to the connection (cgi_common.h) */
}

/* Handlers that write by ap_rwrite() leave the end of stream to httpd: it belongs before the settlement. */
static void push_end(request_rec *r)
{
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_pass_brigade(r->output_filters, bb);
}

static int conclude_broken(idem_txn *txn, request_rec *r, int status)
{
    idem_recorder *rec = txn->recorder;
    int flowing = rec->flowing;

    settle_cut(txn, idem_intake_cut(txn) ? IDEM_EV_BODY_CUT : IDEM_EV_CUT);
    if (!flowing)
        return status;
    break_off(txn, r, rec->next);
    return OK;
}

static int conclude_error(idem_txn *txn, request_rec *r, int status)
{
    if (idem_intake_cut(txn))
        return conclude_broken(txn, r, status);
    if (txn->recorder->flowing)
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    forget_held(txn->recorder);
    if (!txn->returned) {
        txn->returned = status;
        txn->returned_unsent = certainly_unsent(r, status);
    }
    return status;
}

static int conclude_complete(idem_txn *txn, request_rec *r, int rv)
{
    idem_recorder *rec = txn->recorder;
    ap_filter_t *next = rec->next;
    idem_action action;

    if (idem_intake_cut(txn) || short_of_declared(txn, r) || may_have_stopped(txn, r))
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    if (idem_intake_unread(txn) && !r->connection->master)
        r->connection->keepalive = AP_CONN_CLOSE; /* the rest of the body is not waited for */
    action = settle_complete(txn, r);
    let_go(txn, r, next, action);
    return rv;
}

int idem_recorder_conclude(idem_txn *txn, request_rec *r, int rv)
{
    idem_recorder *rec = txn->recorder;

    if (!running(txn) || rv == SUSPENDED)
        return rv;
    if (rv == DECLINED) {
        if (r == txn->r)
            idem_txn_settle(txn, IDEM_EV_DECLINED, NULL);
        return rv;
    }
    if (rec->eoc && !rec->length && !rec->broken)
        return conclude_error(txn, r, HTTP_BAD_GATEWAY);
    if (rec->broken || rec->eoc || rv == AP_FILTER_ERROR)
        return conclude_broken(txn, r, rec->broken ? rec->broken : HTTP_BAD_GATEWAY);
    if (rv != OK && rv != DONE)
        return conclude_error(txn, r, rv);
    if (passed_by(r)) {
        idem_txn_settle(txn, IDEM_EV_OVERSIZE, NULL);
        return rv;
    }
    if (!rec->eos && rv == OK && !may_have_stopped(txn, r))
        push_end(r);
    if (!rec->eos || (rv == DONE && r->no_cache))
        return conclude_broken(txn, r, HTTP_BAD_GATEWAY);
    return conclude_complete(txn, r, rv);
}

static void insert_recorder(request_rec *r)
{
    idem_txn *txn = r->main ? NULL : idem_txn_of(r);

    if (txn && running(txn))
        idem_recorder_join(txn, r);
}

void idem_recorder_register(apr_pool_t *pool)
{
    (void)pool;
    recorder_handle = ap_register_output_filter("IDEMPOTENCY_OUT", recorder_filter, NULL,
                                                (ap_filter_type)(AP_FTYPE_CONTENT_SET - 3));
    /* Canned errors and internal redirects drop content filters (http_request.c, ap_send_error_response). */
    ap_hook_insert_filter(insert_recorder, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(insert_recorder, NULL, NULL, APR_HOOK_MIDDLE);
}
