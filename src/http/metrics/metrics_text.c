/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_text.c - the handler idempotency-metrics: what was counted, as text for Prometheus.
 *
 * Called by httpd where an administrator set it. The administrator decides who may read it. Two formats: the text
 * format 0.0.4, and OpenMetrics 1.0 for a client that asks for it, whose counters leave the ending _total to their
 * samples. Every series is there from the start, zero or not: a rate over the first event is right only then. Their
 * number is bounded by the number of stores.
 */
#include "metrics_private.h"

#include "accept.h"
#include "config.h"
#include "handlers.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <apr_version.h> /* httpd.h brought it from 2.4.54 on only */
#include <http_protocol.h>
#include <http_request.h>

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define OPEN_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

typedef struct page {
    apr_bucket_brigade *bb;
    apr_pool_t *pool;
    int open; /* OpenMetrics */
} page;

static const char *const operations[IDEM_OPS] = {
    [IDEM_OP_CLAIM] = "claim",   [IDEM_OP_TAKEOVER] = "takeover", [IDEM_OP_RENEW] = "renew",
    [IDEM_OP_SETTLE] = "settle", [IDEM_OP_RELEASE] = "release",   [IDEM_OP_FETCH] = "fetch",
    [IDEM_OP_SWEEP] = "sweep",
};

static unsigned long read_of(const atomic_ulong *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The inside of a label's quotes: the two escapes of both formats, and what is no printable ASCII as in a URL. */
static const char *label_escaped(const char *value, apr_pool_t *pool)
{
    char *start = apr_palloc(pool, 3 * strlen(value) + 1), *to = start;

    for (; *value; value++) {
        if (!apr_isascii(*value) || !apr_isprint(*value)) {
            to += apr_snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*value);
            continue;
        }
        if (*value == '"' || *value == '\\')
            *to++ = '\\';
        *to++ = *value;
    }
    *to = 0;
    return start;
}

/* ---- families of metrics ----------------------------------------------------------------------------------------- */

static void write_family(page *p, const char *name, const char *type, const char *help)
{
    apr_brigade_printf(p->bb, NULL, NULL, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void counter_family(page *p, const char *name, const char *help)
{
    write_family(p, p->open ? name : apr_pstrcat(p->pool, name, "_total", NULL), "counter", help);
}

/* A counter with one label. */
static void write_counter(page *p, const char *name, const char *key, const char *value, const atomic_ulong *count)
{
    apr_brigade_printf(p->bb, NULL, NULL, "%s_total{%s=\"%s\"} %lu\n", name, key, value, read_of(count));
}

static void write_gauge(page *p, const char *name, const char *help, unsigned long value)
{
    write_family(p, name, "gauge", help);
    apr_brigade_printf(p->bb, NULL, NULL, "%s %lu\n", name, value);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static void put_build(page *p)
{
    const char *drivers = NULL;

    for (const idem_driver *const *driver = idem_registry_drivers(); *driver; driver++)
        drivers = drivers ? apr_pstrcat(p->pool, drivers, " ", (*driver)->scheme, NULL) : (*driver)->scheme;
    write_family(p, p->open ? "idempotency_build" : "idempotency_build_info", p->open ? "info" : "gauge",
                 "The module's version and build.");
    apr_brigade_printf(
        p->bb, NULL, NULL,
        "idempotency_build_info{version=\"%s\",httpd=\"%s\",apr=\"%s\",drivers=\"%s\",record_format=\"%d\"} 1\n",
        IDEM_VERSION, AP_SERVER_BASEREVISION, APR_VERSION_STRING, drivers, IDEM_RECORD_VERSION);
}

static void put_outcomes(page *p, const char *name, const char *help, const atomic_ulong *counts)
{
    counter_family(p, name, help);
    for (int i = IDEM_OUTCOME_NONE + 1; i < IDEM_OUTCOMES; i++)
        write_counter(p, name, "outcome", idem_outcome_word((idem_outcome)i), &counts[i]);
}

static void put_requests(page *p, const idem_metrics *metrics)
{
    put_outcomes(p, "idempotency_requests", "Guarded requests by outcome.", metrics->outcomes[0]);
    put_outcomes(p, "idempotency_detected_requests",
                 "Requests under DetectionOnly by the outcome that they would have had.", metrics->outcomes[1]);
    counter_family(p, "idempotency_undecided_requests",
                   "Guarded requests that ended before there was an outcome: an upload broke off, or a client left.");
    apr_brigade_printf(p->bb, NULL, NULL, "idempotency_undecided_requests_total %lu\n", read_of(&metrics->undecided));
    counter_family(p, "idempotency_settlements", "Executed requests by settlement.");
    for (int i = IDEM_SETTLEMENT_NONE + 1; i < IDEM_SETTLEMENTS; i++)
        write_counter(p, "idempotency_settlements", "settlement", idem_settlement_word((idem_settlement)i),
                      &metrics->settlements[i]);
}

static void put_gauges(page *p, const idem_metrics *metrics, const idem_metrics_sums *sums)
{
    write_gauge(p, "idempotency_processes", "Children of the server that count, old generations included.",
                sums->processes);
    write_gauge(p, "idempotency_leases_held", "Keys that requests under way hold.", sums->gauges[IDEM_GAUGE_LEASES]);
    write_gauge(p, "idempotency_waiters", "Duplicates that wait for the outcome of another request.",
                sums->gauges[IDEM_GAUGE_WAITERS]);
    write_gauge(p, "idempotency_keeper_jobs", "Settlements and withdrawals that are repeated until a store takes them.",
                sums->gauges[IDEM_GAUGE_JOBS]);
    write_gauge(p, "idempotency_keeper_bytes", "Memory that the settlements among them take.",
                sums->gauges[IDEM_GAUGE_BYTES]);
    counter_family(p, "idempotency_keeper_jobs_ended", "Settlements and withdrawals that were repeated, by their end.");
    for (int i = 0; i < IDEM_JOB_ENDS; i++)
        write_counter(p, "idempotency_keeper_jobs_ended", "result", idem_metrics_job_ends[i], &metrics->jobs[i]);
}

/* ---- stores ------------------------------------------------------------------------------------------------------ */

static void put_calls(page *p, const idem_metrics *metrics)
{
    const idem_store_counts *store;

    counter_family(p, "idempotency_store_calls",
                   "Calls to a store: ok; refused, the slot says otherwise; full, no room; failed, no answer.");
    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;)
        for (int op = 0; op < IDEM_OPS; op++)
            for (int result = 0; result < IDEM_RESULTS; result++)
                apr_brigade_printf(p->bb, NULL, NULL,
                                   "idempotency_store_calls_total{store=\"%s\",operation=\"%s\",result=\"%s\"} %lu\n",
                                   label_escaped(store->url, p->pool), operations[op], idem_metrics_results[result],
                                   read_of(&store->calls[op][result]));
}

/* A decimal number of seconds, as short as both formats want it: 0.003, 3.0. */
static const char *seconds_text(apr_uint64_t microseconds, apr_pool_t *pool)
{
    char *text = apr_psprintf(pool, "%" APR_UINT64_T_FMT ".%06" APR_UINT64_T_FMT, microseconds / APR_USEC_PER_SEC,
                              microseconds % APR_USEC_PER_SEC);
    char *end = text + strlen(text) - 1;

    while (*end == '0' && end[-1] != '.')
        *end-- = 0;
    return text;
}

static void put_durations_of(page *p, const idem_store_counts *store, int op)
{
    const char *labels =
        apr_psprintf(p->pool, "store=\"%s\",operation=\"%s\"", label_escaped(store->url, p->pool), operations[op]);
    unsigned long count = 0;

    for (int i = 0; i <= IDEM_BOUNDS; i++) {
        count += read_of(&store->within[op][i]);
        apr_brigade_printf(
            p->bb, NULL, NULL, "idempotency_store_call_duration_seconds_bucket{%s,le=\"%s\"} %lu\n", labels,
            i < IDEM_BOUNDS ? seconds_text((apr_uint64_t)idem_metrics_bounds[i], p->pool) : "+Inf", count);
    }
    apr_brigade_printf(p->bb, NULL, NULL,
                       "idempotency_store_call_duration_seconds_sum{%s} %s\n"
                       "idempotency_store_call_duration_seconds_count{%s} %lu\n",
                       labels, seconds_text(read_of(&store->spent[op]), p->pool), labels, count);
}

static void put_durations(page *p, const idem_metrics *metrics)
{
    const idem_store_counts *store;

    write_family(
        p, "idempotency_store_call_duration_seconds", "histogram",
        "How long calls to a store took, those not counted that were not sent because it was known to be down.");
    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;)
        for (int op = 0; op < IDEM_OPS; op++)
            put_durations_of(p, store, op);
}

/* What the stores say that can tell how full they are. */
typedef struct rooms {
    int told[IDEM_METRICS_STORES];
    apr_uint64_t entries[IDEM_METRICS_STORES], used[IDEM_METRICS_STORES], size[IDEM_METRICS_STORES];
} rooms;

static void ask_stores(rooms *all, const idem_metrics *metrics, apr_pool_t *pool)
{
    for (int i = 0; i < IDEM_METRICS_STORES; i++) {
        idem_store_status status;

        all->told[i] = idem_metrics_room(&metrics->stores[i], pool, &status);
        all->entries[i] = status.entries;
        all->used[i] = status.bytes_used;
        all->size[i] = status.bytes_max;
    }
}

static void put_room(page *p, const idem_metrics *metrics, const char *name, const char *help, const int *told,
                     const apr_uint64_t *numbers)
{
    const idem_store_counts *store;

    write_family(p, name, "gauge", help);
    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;)
        if (told[i - 1])
            apr_brigade_printf(p->bb, NULL, NULL, "%s{store=\"%s\"} %" APR_UINT64_T_FMT "\n", name,
                               label_escaped(store->url, p->pool), numbers[i - 1]);
}

static void put_rooms(page *p, const idem_metrics *metrics)
{
    rooms all;

    ask_stores(&all, metrics, p->pool);
    put_room(p, metrics, "idempotency_store_entries",
             "Entries in a local store; expired entries stay until they are swept.", all.told, all.entries);
    put_room(p, metrics, "idempotency_store_used_bytes", "How much of its room a local store uses.", all.told,
             all.used);
    put_room(p, metrics, "idempotency_store_size_bytes", "The room that a local store has.", all.told, all.size);
}

static void put_breakers(page *p, const idem_metrics *metrics, const idem_metrics_sums *sums)
{
    const idem_store_counts *store;

    write_family(p, "idempotency_store_breakers_open", "gauge",
                 "Children that send a store nothing at the moment, since it does not answer.");
    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;)
        apr_brigade_printf(p->bb, NULL, NULL, "idempotency_store_breakers_open{store=\"%s\"} %lu\n",
                           label_escaped(store->url, p->pool), sums->open[i - 1]);
    counter_family(p, "idempotency_store_breaker_openings",
                   "How often a child has found that a store does not answer.");
    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;)
        write_counter(p, "idempotency_store_breaker_openings", "store", label_escaped(store->url, p->pool),
                      &store->openings);
}

/* ---- the handler ------------------------------------------------------------------------------------------------- */

static void write_page(page *p, const idem_metrics *metrics)
{
    idem_metrics_sums sums;

    idem_metrics_sum(&sums);
    put_build(p);
    put_requests(p, metrics);
    put_gauges(p, metrics, &sums);
    put_calls(p, metrics);
    put_durations(p, metrics);
    put_breakers(p, metrics, &sums);
    put_rooms(p, metrics);
    if (p->open)
        apr_brigade_puts(p->bb, NULL, NULL, "# EOF\n");
}

/* Prometheus names both and prefers OpenMetrics; a browser names neither. */
static int wants_open_metrics(request_rec *r)
{
    int quality = idem_accept_quality(r, "application/openmetrics-text");

    return quality && quality >= idem_accept_quality(r, "text/plain");
}

int idem_metrics_handler(request_rec *r)
{
    page p = {NULL, r->pool, 0};
    apr_off_t length = 0;

    if (!r->handler || strcmp(r->handler, "idempotency-metrics"))
        return DECLINED;
    if (!idem_handler_is_the_servers(r) && !idem_server_settings_of(r->server)->metrics_in_htaccess) {
        ap_set_content_type(r, "text/plain; charset=utf-8");
        r->status = HTTP_FORBIDDEN;
        ap_rputs("The metrics are the whole server's: name their handler by SetHandler in its configuration, or allow "
                 ".htaccess files to do so with IdempotencyMetricsInHtaccess On.\n",
                 r);
        return OK;
    }
    if (r->method_number != M_GET) { /* HEAD is one as well */
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_GET, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    p.bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    p.open = wants_open_metrics(r);
    write_page(&p, idem_metrics_shared());
    apr_brigade_length(p.bb, 1, &length);
    APR_BRIGADE_INSERT_TAIL(p.bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_set_content_type(r, p.open ? OPEN_TYPE : TEXT_TYPE);
    ap_set_content_length(r, length);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_mergen(r->headers_out, "Vary", "Accept");
    ap_pass_brigade(r->output_filters, p.bb);
    return OK;
}
