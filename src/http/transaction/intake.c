/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake.c - the request body read ahead, handed out, hashed.
 *
 * Called by the gate before the decision, by httpd as an input filter afterwards, by compare.c for a retry whose body
 * is longer than the spool. What is kept of the body lies in one brigade: heap buckets first, then the temporary file.
 * A handler takes it from there in whatever mode it reads; after an internal redirect the next handler goes on where
 * the last one stopped.
 *
 * The temporary file has no name from the moment it was made: nothing is left behind by a process that dies.
 */
#include "intake_private.h"

#include "compat.h"
#include "log.h"
#include "taken.h"

#include <unistd.h>

#include <apr_file_io.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

static ap_filter_rec_t *intake_handle;

static int handler_reads(const idem_intake *intake)
{
    return intake->txn->phase == IDEM_PHASE_RUNNING || intake->txn->detecting;
}

/* As header fields say it: the client's, or those that a handler will see. */
apr_uint64_t idem_intake_declared(const request_rec *r, const apr_table_t *fields)
{
    const char *field = apr_table_get(fields, "Content-Length");
    apr_off_t length;

    if (apr_table_get(fields, "Transfer-Encoding"))
        return IDEM_LENGTH_UNKNOWN;
    if (!field)
        return r->proto_num >= HTTP_VERSION(2, 0) ? IDEM_LENGTH_UNKNOWN : 0;
    if (!ap_parse_strict_length(&length, field))
        return IDEM_LENGTH_UNKNOWN;
    return (apr_uint64_t)length;
}

/*
 * mod_http2 ends the body of a stream that its client reset like one that is complete, before it marks the connection
 * (h2_stream.c closes the input beam first). The declared length tells them apart. On HTTP/1 httpd itself looks at it:
 * if bytes are missing there, another module read them and did not keep them.
 */
static apr_status_t take_end(idem_intake *intake)
{
    int is_short = intake->declared != IDEM_LENGTH_UNKNOWN && intake->read < intake->declared;

    if (is_short && intake->txn->r->connection->master && !intake->taken)
        return APR_ECONNABORTED;
    intake->lost |= is_short && intake->used;
    intake->whole = !intake->lost;
    return intake->lost ? APR_EGENERAL : APR_SUCCESS;
}

static void count_body(idem_intake *intake, const char *data, apr_size_t len)
{
    intake->read += len;
    if (intake->hash)
        idem_bodyhash_feed(intake->hash, data, len);
}

apr_status_t idem_intake_begin(idem_txn *txn, const char *boundary)
{
    request_rec *r = txn->r;
    idem_intake *intake = apr_pcalloc(r->pool, sizeof(*intake));
    int hashed =
        idem_parts_have(txn->settings->fingerprint, IDEM_PART_BODY) || idem_parts_in_body(txn->settings->fingerprint);

    intake->txn = txn;
    intake->used = hashed || txn->needs_body;
    intake->taken = idem_body_was_taken(r);
    /* Who has taken it may have made another body of it, and says so there (mod_auth_form). */
    intake->declared = idem_intake_declared(r, intake->taken ? r->headers_in : txn->asked.sent);
    intake->kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    intake->in = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    txn->intake = intake;
    idem_intake_join(txn, r);
    intake->lost = intake->used && intake->taken &&
                   idem_body_is_lost(r, intake->source, idem_intake_declared(r, txn->asked.sent) != 0);
    return hashed ? idem_bodyhash_create(&intake->hash, idem_keyring_print_key(txn->ring), boundary, r->pool)
                  : APR_SUCCESS;
}

/*
 * With any filter but the protocol's in the way mod_proxy does not trust a declared length, and stores the whole body
 * before it sends any of it (mod_proxy_http.c, RB_SPOOL_CL). Ours changes no byte: there it counts itself among the
 * protocol's. Not for chunks, whose trailers httpd reads from the first of those.
 */
static void let_stream(request_rec *r, ap_filter_t *f)
{
    if (idem_is_proxied(r) && idem_intake_declared(r, r->headers_in) != IDEM_LENGTH_UNKNOWN &&
        f->next == r->proto_input_filters)
        r->proto_input_filters = f;
}

void idem_intake_join(idem_txn *txn, request_rec *r)
{
    idem_intake *intake = txn->intake;
    ap_filter_t *f;

    for (f = r->input_filters; f; f = f->next)
        if (f->frec == intake_handle && f->ctx == intake)
            break;
    if (!f)
        f = ap_add_input_filter_handle(intake_handle, intake, r, r->connection);
    if (intake->taken)
        idem_body_read_through(r, f);
    else
        let_stream(r, f);
    if (!intake->taken || !intake->source) /* a later request's keepers might begin anew: we go on with the first's */
        intake->source = f;
}

/* ---- reading ahead ----------------------------------------------------------------------------------------------- */

static apr_status_t remove_spool(void *name)
{
    unlink(name);
    return APR_SUCCESS;
}

static apr_status_t open_spool(idem_intake *intake)
{
    apr_pool_t *pool = intake->txn->r->pool;
    const char *dir;
    char *name;
    apr_status_t rv = apr_temp_dir_get(&dir, pool);

    if (rv != APR_SUCCESS)
        return rv;
    name = apr_pstrcat(pool, dir, "/idempotency-body-XXXXXX", NULL);
    rv = apr_file_mktemp(&intake->spool, name, APR_FOPEN_CREATE | APR_FOPEN_READ | APR_FOPEN_WRITE | APR_FOPEN_EXCL,
                         pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_file_remove(name, pool);
    if (rv != APR_SUCCESS) /* its name goes with its request, if it can; nothing was written to it */
        apr_pool_cleanup_register(pool, name, remove_spool, apr_pool_cleanup_null);
    return rv;
}

static apr_status_t keep_body(idem_intake *intake, const char *data, apr_size_t len)
{
    apr_uint64_t before = intake->read - len, room = (apr_uint64_t)intake->txn->settings->prefetch;
    apr_size_t in_memory = before >= room ? 0 : (apr_size_t)(room - before);
    apr_status_t rv = APR_SUCCESS;

    if (in_memory > len)
        in_memory = len;
    intake->kept_of_piece = in_memory;
    if (in_memory)
        rv = apr_brigade_write(intake->kept, NULL, NULL, data, in_memory);
    if (rv != APR_SUCCESS || in_memory == len)
        return rv;
    if (!intake->spool)
        rv = open_spool(intake);
    if (rv == APR_SUCCESS)
        rv = apr_file_write_full(intake->spool, data + in_memory, len - in_memory, NULL);
    if (rv == APR_SUCCESS)
        intake->spooled += (apr_off_t)(len - in_memory);
    intake->no_room = rv != APR_SUCCESS;
    return rv;
}

/* Reads one piece of at most most bytes, counts it, and keeps it unless it is only compared. */
static void show_spool(idem_intake *intake)
{
    apr_bucket *file;

    if (!intake->spooled)
        return;
    file = apr_brigade_insert_file(intake->kept, intake->spool, 0, intake->spooled, intake->txn->r->pool);
#if APR_HAS_MMAP
    apr_bucket_file_enable_mmap(file, 0); /* a mapped body would count as this process's memory */
#else
    (void)file;
#endif
}

/* Before b everything is kept. b and what follows it is put behind that as it is. */
static void keep_as_it_is(idem_intake *intake, apr_bucket *b)
{
    if (intake->kept_of_piece && apr_bucket_split(b, intake->kept_of_piece) == APR_SUCCESS)
        apr_bucket_delete(b);
    show_spool(intake);
    APR_BRIGADE_CONCAT(intake->kept, intake->in);
}

apr_status_t idem_intake_read(idem_intake *intake, apr_off_t most)
{
    apr_bucket *b;
    apr_status_t rv;

    apr_brigade_cleanup(intake->in);
    rv = ap_get_brigade(intake->source->next, intake->in, AP_MODE_READBYTES, APR_BLOCK_READ, most);
    if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(intake->in))
        return APR_EOF;
    while (rv == APR_SUCCESS && !APR_BRIGADE_EMPTY(intake->in)) {
        const char *data;
        apr_size_t len;

        b = APR_BRIGADE_FIRST(intake->in);
        if (APR_BUCKET_IS_EOS(b)) {
            rv = take_end(intake);
        }
        else if (AP_BUCKET_IS_ERROR(b)) {
            rv = APR_EGENERAL;
        }
        else if (!APR_BUCKET_IS_METADATA(b)) {
            rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
            if (rv == APR_SUCCESS) {
                count_body(intake, data, len);
                if (!intake->comparing)
                    rv = keep_body(intake, data, len);
            }
        }
        if (intake->no_room && intake->txn->detecting) {
            keep_as_it_is(intake, b);
            return rv;
        }
        apr_bucket_delete(b);
    }
    apr_brigade_cleanup(intake->in);
    return rv;
}

int idem_intake_failed(idem_txn *txn, apr_status_t rv)
{
    int status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
    char reason[120];

    txn->r->connection->keepalive = AP_CONN_CLOSE;
    if (txn->intake->lost) {
        IDEM_LOG(txn, APLOG_ERR, 110,
                 "another module read the request body before the handler, and the handler cannot read all of "
                 "it again");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (txn->intake->no_room) {
        IDEM_LOG(txn, APLOG_WARNING, 21,
                 "cannot write a request body to a temporary file (TMPDIR, IdempotencySpool): %s",
                 apr_strerror(rv, reason, sizeof(reason)));
        txn->problem = IDEM_PROBLEM_STORE_UNAVAILABLE;
        txn->detail = "The server has no room for the body of the request at the moment. Nothing was done.";
        return HTTP_SERVICE_UNAVAILABLE;
    }
    IDEM_LOG(txn, APLOG_INFO, 20, "the request body could not be read (%d): nothing was claimed, nothing ran", rv);
    return status; /* AP_FILTER_ERROR: HTTP_IN has sent its own error page already */
}

/* HTTP_IN refuses a body over LimitRequestBody when it is first read: a long one by a handler that has begun. A proxy
 * has no limit. */
static int over_limit(request_rec *r, apr_uint64_t declared)
{
    apr_off_t limit = ap_get_limit_req_body(r);

    return limit > 0 && !idem_is_proxied(r) && declared > (apr_uint64_t)limit;
}

/* What was read can be looked into. */
static void show_body(const idem_intake *intake)
{
    idem_body *body = apr_pcalloc(intake->txn->r->pool, sizeof(*body));

    body->kept = intake->kept;
    body->file = intake->spool;
    body->in_file = intake->spooled;
    body->length = intake->read;
    body->whole = intake->whole;
    intake->txn->asked.body = body;
}

/* Under DetectionOnly the handler meets the fault itself, after the bytes that were read ahead. */
static int stop_watching(idem_intake *intake, apr_status_t rv)
{
    if (!intake->no_room) /* else it is there already */
        show_spool(intake);
    IDEM_LOG(intake->txn, APLOG_INFO, 172,
             "the request body could not be read ahead (%d): the request passes unwatched", rv);
    return DECLINED;
}

static apr_status_t read_ahead(idem_intake *intake, apr_uint64_t limit)
{
    apr_status_t rv = APR_SUCCESS;

    while (rv == APR_SUCCESS && !intake->whole && intake->read <= limit)
        rv = idem_intake_read(intake, IDEM_INTAKE_PIECE);
    return rv;
}

int idem_intake_prefetch(idem_txn *txn)
{
    idem_intake *intake = txn->intake;
    apr_uint64_t limit = (apr_uint64_t)txn->settings->spool;
    apr_uint64_t declared = intake->declared;
    apr_status_t rv = APR_SUCCESS;

    if (txn->detecting && !txn->needs_body)
        return OK;
    if (intake->lost)
        rv = APR_EGENERAL;
    else if (declared == IDEM_LENGTH_UNKNOWN || declared <= limit)
        rv = read_ahead(intake, limit);
    else if (!txn->detecting && over_limit(txn->r, declared))
        rv = APR_ENOSPC;
    if (rv != APR_SUCCESS)
        return txn->detecting ? stop_watching(intake, rv) : idem_intake_failed(txn, rv);
    show_spool(intake);
    if (txn->needs_body)
        show_body(intake);
    return OK;
}

/* ---- handing out ------------------------------------------------------------------------------------------------- */

apr_status_t idem_intake_hand_out(apr_bucket_brigade *kept, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                  apr_read_type_e block, apr_off_t bytes)
{
    apr_bucket *end, *b;
    apr_status_t rv;

    if (mode == AP_MODE_GETLINE)
        return apr_brigade_split_line(bb, kept, block, HUGE_STRING_LEN);
    if (mode == AP_MODE_EXHAUSTIVE) {
        APR_BRIGADE_CONCAT(bb, kept);
        return APR_SUCCESS;
    }
    rv = apr_brigade_partition(kept, bytes, &end);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE)
        return rv;
    for (b = APR_BRIGADE_FIRST(kept); b != end && b != APR_BRIGADE_SENTINEL(kept);) {
        apr_bucket *next = APR_BUCKET_NEXT(b), *give = b;

        if (mode != AP_MODE_SPECULATIVE)
            APR_BUCKET_REMOVE(b);
        else if ((rv = apr_bucket_copy(b, &give)) != APR_SUCCESS)
            return rv;
        APR_BRIGADE_INSERT_TAIL(bb, give);
        b = next;
    }
    return APR_SUCCESS;
}

/* Beyond what was read ahead: pass on, and hash what passes. */
static apr_status_t read_on(idem_intake *intake, ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode,
                            apr_read_type_e block, apr_off_t bytes)
{
    const ap_filter_t *source = intake->taken ? intake->source : f;
    apr_status_t rv = ap_get_brigade(source->next, bb, mode, block, bytes);

    if (mode == AP_MODE_SPECULATIVE || mode == AP_MODE_INIT || !handler_reads(intake))
        return rv;
    if (rv != APR_SUCCESS) {
        if (!APR_STATUS_IS_EAGAIN(rv) && !APR_STATUS_IS_EINTR(rv))
            intake->cut = 1;
        return rv;
    }
    for (apr_bucket *b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (AP_BUCKET_IS_ERROR(b) || (APR_BUCKET_IS_EOS(b) && take_end(intake) != APR_SUCCESS))
            intake->cut = 1;
        if (APR_BUCKET_IS_METADATA(b))
            continue;
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS) {
            intake->cut = 1;
            return rv;
        }
        count_body(intake, data, len);
    }
    return APR_SUCCESS;
}

static apr_status_t intake_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block,
                                  apr_off_t bytes)
{
    const idem_txn *txn = f->r ? idem_txn_of(f->r) : NULL;
    idem_intake *intake = txn ? txn->intake : NULL;

    if (!intake || f->ctx != intake) { /* named by somebody else (.htaccess): its context is not ours */
        ap_remove_input_filter(f);
        return ap_get_brigade(f->next, bb, mode, block, bytes);
    }
    if (mode == AP_MODE_INIT || mode == AP_MODE_EATCRLF)
        return ap_get_brigade(f->next, bb, mode, block, bytes);
    if (!APR_BRIGADE_EMPTY(intake->kept))
        return idem_intake_hand_out(intake->kept, bb, mode, block, bytes);
    if (intake->whole) {
        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(f->c->bucket_alloc));
        return APR_SUCCESS;
    }
    return read_on(intake, f, bb, mode, block, bytes);
}

void idem_intake_register(apr_pool_t *pool)
{
    (void)pool;
    intake_handle =
        ap_register_input_filter("IDEMPOTENCY_IN", intake_filter, NULL, (ap_filter_type)(AP_FTYPE_CONTENT_SET + 1));
}
