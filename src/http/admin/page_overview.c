/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_overview.c - the page's first view: outcomes that need a decision, running requests, counts, and the store's
 * health.
 *
 * Called by the page. Limits: it looks at a store for as long as one part of a list takes, and says so where that was
 * not all.
 */
#include "page.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define WORK "unknown,damaged,running"
#define WORK_MOST "200"

/* ---- the store --------------------------------------------------------------------------------------------------- */

static void put_store(request_rec *r, const json_t *store)
{
    const char *trouble = idem_page_word(r, store, "trouble"), *breaker = idem_page_word(r, store, "breaker");
    const json_t *used = json_object_get(store, "bytes_used"), *most = json_object_get(store, "bytes_max");
    int away = *trouble || strcmp(breaker, "closed");

    ap_rputs("<h2 id=\"store\">Store</h2>\n", r);
    if (away)
        idem_page_put(r, "<p class=\"problem\"><strong>The store is in trouble.</strong> $ (breaker: $)</p>\n", trouble,
                      breaker);
    idem_page_put(r, "<dl class=\"facts\"><div><dt>Place</dt><dd><code>$</code></dd></div>",
                  idem_page_word(r, store, "url"));
    if (json_is_integer(json_object_get(store, "entries")))
        idem_page_put(r, "<div><dt>Entries</dt><dd>$</dd></div>", idem_page_word(r, store, "entries"));
    if (json_is_integer(used))
        idem_page_put(r, "<div><dt>Used</dt><dd>$</dd></div>", idem_page_size(r, json_integer_value(used)));
    if (json_is_integer(most))
        idem_page_put(r, "<div><dt>At most</dt><dd>$</dd></div>", idem_page_size(r, json_integer_value(most)));
    idem_page_put(r, "<div><dt>State</dt><dd>$</dd></div></dl>\n", away ? "in trouble" : "answers");
}

/* ---- what is to be done ------------------------------------------------------------------------------------------ */

static int compare_age(const void *a, const void *b)
{
    const json_t *const *one = a, *const *other = b;
    apr_time_t x = idem_page_moment(json_object_get(*one, "written"));
    apr_time_t y = idem_page_moment(json_object_get(*other, "written"));

    return x < y ? -1 : x > y;
}

/* Oldest first. */
static json_t *sort_by_age(request_rec *r, const json_t *entries)
{
    size_t n = json_array_size(entries);
    json_t **all = apr_palloc(r->pool, (n + 1) * sizeof(json_t *)), *sorted = json_array();

    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(entries, i);
    qsort(all, n, sizeof(*all), compare_age);
    for (size_t i = 0; i < n; i++)
        json_array_append(sorted, all[i]);
    return sorted;
}

static void put_held(request_rec *r, const json_t *counted)
{
    idem_page_put(
        r,
        "<p class=\"note\">In all processes of the server: leases held: $; requests that wait for another one: "
        "$; settlements under way: $; processes: $.</p>\n",
        idem_page_word(r, counted, "leases_held"), idem_page_word(r, counted, "waiters"),
        idem_page_word(r, counted, "keeper_jobs"), idem_page_word(r, counted, "processes"));
}

static void put_work(idem_admin_call *call, const json_t *answer)
{
    request_rec *r = call->r;
    json_t *sorted;

    ap_rputs("<h2 id=\"unknown\">Needs a decision</h2>\n", r);
    if (!answer) {
        idem_page_put_problem(call);
        return;
    }
    sorted = sort_by_age(r, json_object_get(answer, "entries"));
    if (!idem_page_put_rows(r, sorted, "unknown damaged", "Unknown outcomes and damaged entries, oldest first"))
        ap_rputs("<p class=\"calm\">No outcome is unknown.</p>\n", r);
    if (json_is_string(json_object_get(answer, "next")))
        idem_page_put(r,
                      "<p class=\"note\">This is not all: $ entries were looked at. "
                      "<a href=\"./?state=unknown,damaged\">List all that are unknown</a></p>\n",
                      idem_page_word(r, answer, "looked_at"));
    ap_rputs("<h2 id=\"running\">Runs now</h2>\n", r);
    if (!idem_page_put_rows(r, sorted, "running", "Requests that run now, oldest first"))
        ap_rputs("<p class=\"calm\">No guarded request runs at this moment.</p>\n", r);
    json_decref(sorted);
}

/* ---- what was counted -------------------------------------------------------------------------------------------- */

static json_int_t sum_minutes(const json_t *minutes, const char *what, const char *name)
{
    json_int_t sum = 0;
    json_t *minute;
    size_t i;

    json_array_foreach(minutes, i, minute)
    {
        sum += json_integer_value(json_object_get(json_object_get(minute, what), name));
    }
    return sum;
}

/* what NULL: the minutes do not know them. */
static void put_counts(request_rec *r, const json_t *minutes, json_t *counts, const char *what, const char *caption)
{
    const char *name;
    json_t *count;

    idem_page_put(r,
                  "<table class=\"counts\"><caption>$</caption>\n<thead><tr><th scope=\"col\">Word</th>"
                  "<th scope=\"col\" class=\"number\">3 hours</th><th scope=\"col\" class=\"number\">since start</th>"
                  "</tr></thead>\n<tbody>",
                  caption);
    json_object_foreach(counts, name, count)
    {
        apr_int64_t recent = what ? sum_minutes(minutes, what, name) : 0;

        if (json_integer_value(count))
            idem_page_put(
                r, "<tr><th scope=\"row\">$</th><td class=\"number\">$</td><td class=\"number\">$</td></tr>\n", name,
                what ? apr_psprintf(r->pool, "%" APR_INT64_T_FMT, recent) : "–", idem_page_word(r, counts, name));
    }
    ap_rputs("</tbody></table>\n", r);
}

static int has_counts(json_t *counts)
{
    const char *name;
    json_t *count;

    json_object_foreach(counts, name, count)
    {
        if (json_integer_value(count))
            return 1;
    }
    return 0;
}

/* Outcomes, and the requests that ended before they had one. */
static json_t *with_undecided(const json_t *counted)
{
    json_t *counts = json_copy(json_object_get(counted, "outcomes"));

    json_object_set(counts, "undecided", json_object_get(counted, "undecided"));
    return counts;
}

static void put_numbers(idem_admin_call *call, const json_t *stats, const json_t *history)
{
    request_rec *r = call->r;
    json_t *outcomes;
    const json_t *minutes = json_object_get(history, "minutes"), *counted = json_object_get(stats, "counted");

    ap_rputs("<h2 id=\"outcomes\">Outcomes</h2>\n", r);
    idem_page_put_chart(call, minutes);
    ap_rputs("<div class=\"beside\">\n", r);
    outcomes = with_undecided(counted);
    put_counts(r, minutes, outcomes, "outcomes", "What became of guarded requests");
    json_decref(outcomes);
    put_counts(r, minutes, json_object_get(counted, "settlements"), "settlements", "How executions were settled");
    if (has_counts(json_object_get(counted, "detected")))
        put_counts(r, minutes, json_object_get(counted, "detected"), NULL, "What would have been done (DetectionOnly)");
    ap_rputs("</div>\n", r);
}

/* ---- keys that are hammered -------------------------------------------------------------------------------------- */

#define HAMMERED "10" /* keys that are shown */

static void put_again_row(request_rec *r, const json_t *key)
{
    const char *prefix = idem_page_word(r, key, "prefix");

    idem_page_put(r,
                  "<tr><th scope=\"row\"><a class=\"slot\" href=\"./?prefix=$\" aria-label=\"slot $\">$…</a></th>"
                  "<td class=\"number\">$</td><td class=\"number\">$</td><td class=\"when\">",
                  prefix, apr_pstrmemdup(r->pool, prefix, 12), apr_pstrmemdup(r->pool, prefix, 12),
                  idem_page_word(r, key, "replayed"), idem_page_word(r, key, "refused"));
    idem_page_put_moment(r, json_object_get(key, "last"));
    ap_rputs("</td></tr>\n", r);
}

static void put_hammered(request_rec *r, const json_t *answer)
{
    json_t *keys = json_object_get(answer, "keys"), *key;
    size_t i;

    if (!json_array_size(keys))
        return;
    ap_rputs("<h2 id=\"again\">Sent again</h2>\n<table class=\"entries\"><caption>Keys that were sent again most often"
             "</caption>\n<thead><tr><th scope=\"col\">Slot</th><th scope=\"col\" class=\"number\">Replayed</th>"
             "<th scope=\"col\" class=\"number\">Refused</th><th scope=\"col\">Last</th></tr></thead>\n<tbody>",
             r);
    json_array_foreach(keys, i, key)
    {
        put_again_row(r, key);
    }
    ap_rputs("</tbody></table>\n", r);
}

int idem_page_overview(idem_admin_call *call)
{
    apr_table_t *none = apr_table_make(call->r->pool, 2);
    const json_t *stats, *history, *work, *again;

    call->query = none;
    apr_table_setn(none, "entries", "0");
    stats = idem_page_ask(call, idem_admin_stats);
    history = idem_page_ask(call, idem_admin_history);
    apr_table_clear(none);
    apr_table_setn(none, "state", WORK);
    apr_table_setn(none, "limit", WORK_MOST);
    work = idem_page_ask(call, idem_admin_list);
    apr_table_clear(none);
    apr_table_setn(none, "limit", HAMMERED);
    again = idem_page_ask(call, idem_admin_again);
    apr_table_clear(none);
    idem_page_begin(call, HTTP_OK, "Overview");
    idem_page_put_search(call);
    put_work(call, work);
    put_held(call->r, json_object_get(stats, "counted"));
    put_numbers(call, stats, history);
    put_hammered(call->r, again);
    put_store(call->r, json_object_get(stats, "store"));
    return idem_page_end(call);
}
