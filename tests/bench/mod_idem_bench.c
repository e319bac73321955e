/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_bench.c - httpd module for measurements: a handler that costs as little as one can, and marks.
 *
 * Loaded by the private servers of tests/bench, never by anybody else. SetHandler idem-bench reads its request's body.
 * It answers 201 with a little JSON and the header fields of such an answer. "size=N" in the query asks for N bytes,
 * "cut" for an answer that ends before its declared length. SetHandler idem-bench-counted
 * says in its body how often it ran: peers.py asks. SetHandler idem-bench-mark, under valgrind, ends a section
 * of the profile and of the log, and names it by its query.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>

#include <apr_atomic.h>
#include <apr_strings.h>

#include <valgrind/callgrind.h>

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_bench_module;

#define USUAL_SIZE 250

static char filling[1 << 18]; /* written before there are threads, then only read */

static void put_fields(request_rec *r)
{
    ap_set_content_type(r, "application/json");
    apr_table_setn(r->headers_out, "Location", "/orders/4711");
    apr_table_setn(r->headers_out, "X-Request-Id", "6f1a4bb2-7d0e-4c55-9c0b-3b6c3a1d9a10");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
}

static apr_off_t asked_size(const request_rec *r)
{
    return r->args && strncmp(r->args, "size=", 5) == 0 ? (apr_off_t)apr_atoi64(r->args + 5) : USUAL_SIZE;
}

static void send_filling(request_rec *r, apr_off_t size)
{
    apr_bucket_alloc_t *alloc = r->connection->bucket_alloc;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, alloc);

    while (size > 0) {
        apr_size_t piece = size < (apr_off_t)sizeof(filling) ? (apr_size_t)size : sizeof(filling);

        APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_immortal_create(filling, piece, alloc));
        size -= (apr_off_t)piece;
    }
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    ap_pass_brigade(r->output_filters, bb);
}

static int answer(request_rec *r)
{
    apr_off_t size = asked_size(r);

    if (ap_discard_request_body(r) != OK)
        return HTTP_BAD_REQUEST;
    r->status = HTTP_CREATED;
    put_fields(r);
    ap_set_content_length(r, r->args && !strcmp(r->args, "cut") ? size + 1 : size);
    send_filling(r, size);
    return OK;
}

/* The answer that each of tests/bench/peers gives. */
static int answer_counted(request_rec *r)
{
    static apr_uint32_t runs;
    char *body = apr_palloc(r->pool, USUAL_SIZE + 1);

    if (ap_discard_request_body(r) != OK)
        return HTTP_BAD_REQUEST;
    memcpy(body, filling, USUAL_SIZE);
    body[apr_snprintf(body, USUAL_SIZE, "{\"run\":\"%010u\",\"filling\":\"", apr_atomic_inc32(&runs) + 1)] = 'x';
    apr_cpystrn(body + USUAL_SIZE - 2, "\"}", 3);
    r->status = HTTP_CREATED;
    put_fields(r);
    ap_set_content_length(r, USUAL_SIZE);
    ap_rwrite(body, USUAL_SIZE, r);
    return OK;
}

static int mark(request_rec *r)
{
    const char *name = r->args ? r->args : "";

    CALLGRIND_DUMP_STATS_AT(name);
    VALGRIND_PRINTF("mark %s\n", name);
    return HTTP_NO_CONTENT;
}

static int bench_handler(request_rec *r)
{
    if (r->handler && !strcmp(r->handler, "idem-bench"))
        return answer(r);
    if (r->handler && !strcmp(r->handler, "idem-bench-counted"))
        return answer_counted(r);
    return r->handler && !strcmp(r->handler, "idem-bench-mark") ? mark(r) : DECLINED;
}

static void register_bench(apr_pool_t *pool)
{
    (void)pool;
    memset(filling, 'x', sizeof(filling));
    ap_hook_handler(bench_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA __attribute__((visibility("default")))
idem_bench_module = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_bench, AP_MODULE_FLAG_NONE};
