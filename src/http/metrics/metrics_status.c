/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_status.c - what was counted, on the page of mod_status and in its report for programs (?auto).
 *
 * Called by mod_status where that is loaded: its hook is an optional one, so the module does not need it. The numbers
 * are those of SetHandler idempotency-metrics; durations are left to that. A report has one line a number, whose name
 * is made of the same word.
 */
#include "metrics_private.h"
#include "repeats.h"
#include "text.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <http_protocol.h>
#include <mod_status.h>

#define WORD 40
#define REPEATED 5 /* keys that are shown */

static const char *const gauges[IDEM_GAUGES] = {
    [IDEM_GAUGE_LEASES] = "leases held",
    [IDEM_GAUGE_WAITERS] = "waiters",
    [IDEM_GAUGE_JOBS] = "keeper jobs",
    [IDEM_GAUGE_BYTES] = "keeper bytes",
};
/* Where the lines of one group go, and what their names begin with: "IdempotencyRequests", "IdempotencyStore[0]". */
typedef struct status_group {
    request_rec *r;
    int is_brief;
    const char *prefix;
} status_group;

/* "response-not-kept" is ResponseNotKept there. */
static const char *status_name(char name[WORD], const char *word)
{
    char *to = name;
    int capital = 1;

    for (; *word && to < name + WORD - 1; word++) {
        if (*word == '-' || *word == ' ') {
            capital = 1;
            continue;
        }
        *to = *word;
        if (capital)
            *to = (char)apr_toupper(*word);
        to++;
        capital = 0;
    }
    *to = '\0';
    return name;
}

static void status_line(const status_group *group, const char *word, const char *value)
{
    char name[WORD];

    if (group->is_brief)
        ap_rprintf(group->r, "%s%s: %s\n", group->prefix, status_name(name, word), value);
    else
        ap_rprintf(group->r, "<tr><th scope=\"row\" align=\"left\">%s</th><td align=\"right\">%s</td></tr>\n", word,
                   ap_escape_html(group->r->pool, value));
}

static void status_number(const status_group *group, const char *word, apr_uint64_t value)
{
    status_line(group, word, apr_psprintf(group->r->pool, "%" APR_UINT64_T_FMT, value));
}

static void status_count(const status_group *group, const char *word, const atomic_ulong *counter)
{
    status_number(group, word, atomic_load_explicit(counter, memory_order_relaxed));
}

static status_group status_begin(request_rec *r, int is_brief, const char *prefix, const char *title)
{
    status_group group = {r, is_brief, prefix};

    if (!is_brief)
        ap_rprintf(r, "<h3>%s</h3>\n<table>\n", ap_escape_html(r->pool, title));
    return group;
}

static void status_end(const status_group *group)
{
    if (!group->is_brief)
        ap_rputs("</table>\n", group->r);
}

static void status_requests(request_rec *r, int is_brief, const idem_metrics *metrics)
{
    status_group group = status_begin(r, is_brief, "IdempotencyRequests", "Guarded requests by outcome");

    for (int i = IDEM_OUTCOME_NONE + 1; i < IDEM_OUTCOMES; i++)
        status_count(&group, idem_outcome_word((idem_outcome)i), &metrics->outcomes[0][i]);
    status_count(&group, "undecided", &metrics->undecided);
    status_end(&group);
    group = status_begin(r, is_brief, "IdempotencySettlements", "Executed requests by settlement");
    for (int i = IDEM_SETTLEMENT_NONE + 1; i < IDEM_SETTLEMENTS; i++)
        status_count(&group, idem_settlement_word((idem_settlement)i), &metrics->settlements[i]);
    status_end(&group);
    group = status_begin(r, is_brief, "IdempotencyDetected", "Outcomes that DetectionOnly requests would have had");
    for (int i = IDEM_OUTCOME_NONE + 1; i < IDEM_OUTCOMES; i++)
        status_count(&group, idem_outcome_word((idem_outcome)i), &metrics->outcomes[1][i]);
    status_end(&group);
}

static void status_now(request_rec *r, int is_brief, const idem_metrics *metrics, const idem_metrics_sums *sums)
{
    status_group group = status_begin(r, is_brief, "Idempotency", "At the moment");

    status_number(&group, "processes", sums->processes);
    for (int i = 0; i < IDEM_GAUGES; i++)
        status_number(&group, gauges[i], sums->gauges[i]);
    status_end(&group);
    group = status_begin(r, is_brief, "IdempotencyKeeperEnded", "Settlements that were repeated, by their end");
    for (int i = 0; i < IDEM_JOB_ENDS; i++)
        status_count(&group, idem_metrics_job_ends[i], &metrics->jobs[i]);
    status_end(&group);
}

/* A child finds out for itself; one that is about to may still say that all is well. */
static const char *status_of_store(unsigned long open, unsigned long processes)
{
    if (!open)
        return "up";
    return open < processes ? "partly down" : "down";
}

static void status_room(const status_group *group, const idem_store_counts *store)
{
    idem_store_status status;

    if (!idem_metrics_room(store, group->r->pool, &status))
        return;
    status_number(group, "entries", status.entries);
    status_number(group, "used bytes", status.bytes_used);
    status_number(group, "size bytes", status.bytes_max);
}

static void status_store(const status_group *group, const idem_store_counts *store, unsigned long open,
                         unsigned long processes)
{
    if (group->is_brief)
        status_line(group, "name", store->url);
    status_line(group, "state", status_of_store(open, processes));
    status_number(group, "breakers open", open);
    status_count(group, "breaker openings", &store->openings);
    for (int result = 0; result < IDEM_RESULTS; result++) {
        unsigned long count = 0;

        for (int op = 0; op < IDEM_OPS; op++)
            count += atomic_load_explicit(&store->calls[op][result], memory_order_relaxed);
        status_number(group, apr_pstrcat(group->r->pool, "calls ", idem_metrics_results[result], NULL), count);
    }
    status_room(group, store);
}

static void status_stores(request_rec *r, int is_brief, const idem_metrics *metrics, const idem_metrics_sums *sums)
{
    const idem_store_counts *store;
    int number = 0;

    for (int i = 0; (store = idem_metrics_next_store(metrics, &i)) != NULL;) {
        status_group group = status_begin(r, is_brief, apr_psprintf(r->pool, "IdempotencyStore[%d]", number++),
                                          apr_pstrcat(r->pool, "Store ", store->url, NULL));

        status_store(&group, store, sums->open[i - 1], sums->processes);
        status_end(&group);
    }
}

/* Clients that send one key again and again. */
static void status_repeats(request_rec *r, int is_brief)
{
    idem_repeated top[REPEATED];
    int count = idem_repeats_top(top, REPEATED);

    for (int i = 0; i < count; i++) {
        const char *slot = apr_pescape_hex(r->pool, top[i].slot, 4, 0);
        status_group group = status_begin(r, is_brief, apr_psprintf(r->pool, "IdempotencyRepeated[%d]", i),
                                          apr_pstrcat(r->pool, "Sent again most often: slot ", slot, NULL));

        if (is_brief)
            status_line(&group, "slot", slot);
        status_number(&group, "replayed", top[i].replayed);
        status_number(&group, "refused", top[i].refused);
        status_line(&group, "last", idem_time_text(top[i].last, r->pool));
        status_end(&group);
    }
}

static int put_status(request_rec *r, int flags)
{
    const idem_metrics *metrics = idem_metrics_shared();
    int is_brief = flags & AP_STATUS_SHORT;
    idem_metrics_sums sums;

    if (!metrics)
        return DECLINED;
    idem_metrics_sum(&sums);
    if (!is_brief)
        ap_rputs("<hr />\n<h2>Idempotency</h2>\n", r);
    status_requests(r, is_brief, metrics);
    status_now(r, is_brief, metrics, &sums);
    status_stores(r, is_brief, metrics, &sums);
    status_repeats(r, is_brief);
    return OK;
}

void idem_metrics_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, put_status, NULL, NULL, APR_HOOK_MIDDLE);
}
