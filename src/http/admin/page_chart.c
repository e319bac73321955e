/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_chart.c - outcomes over time: the minutes of v1/history as bars, in plain SVG.
 *
 * Called by the overview. A bar has the kinds of outcomes in a fixed order, the bad ones at its foot. The same numbers
 * stand in a table below.
 */
#include "page.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define BAR 4 /* units of the view box for a minute */
#define HEIGHT 120

typedef struct idem_kind {
    const char *name, *label;
    const char *outcomes; /* in spaces */
} idem_kind;

static const idem_kind kinds[] = {
    {"unknown", "unknown or store away", " outcome-unknown store-unavailable response-not-kept "},
    {"undecided", "ended undecided", " undecided "},
    {"refused", "refused", NULL}, /* whatever else there is */
    {"replayed", "replayed", " replayed "},
    {"executed", "executed", " executed "},
};
#define KINDS 5
#define ELSE 2

static int kind_of(const char *outcome)
{
    char word[64];

    apr_snprintf(word, sizeof(word), " %s ", outcome);
    for (int i = 0; i < KINDS; i++)
        if (kinds[i].outcomes && strstr(kinds[i].outcomes, word))
            return i;
    return ELSE;
}

static json_int_t count_kinds(const json_t *minute, json_int_t counts[KINDS])
{
    json_t *outcomes = json_object_get(minute, "outcomes"), *count;
    const char *outcome;
    json_int_t all = 0;

    memset(counts, 0, KINDS * sizeof(*counts));
    json_object_foreach(outcomes, outcome, count)
    {
        counts[kind_of(outcome)] += json_integer_value(count);
        all += json_integer_value(count);
    }
    return all;
}

static void put_bar(request_rec *r, const json_t *minute, int x, json_int_t most)
{
    json_int_t counts[KINDS], all = count_kinds(minute, counts);
    double top = HEIGHT;

    if (!all)
        return;
    ap_rputs("<g>", r);
    for (int i = 0; i < KINDS; i++) {
        double height = (double)counts[i] * HEIGHT / (double)most;

        if (!counts[i])
            continue;
        height = height < 1 ? 1 : height;
        top -= height;
        ap_rprintf(r, "<rect class=\"%s\" x=\"%d\" y=\"%.1f\" width=\"%d\" height=\"%.1f\"/>", kinds[i].name, x, top,
                   BAR - 1, height);
    }
    idem_page_put(r, "<title>$:", apr_pstrmemdup(r->pool, idem_page_word(r, minute, "begins"), 16));
    for (int i = KINDS - 1; i >= 0; i--)
        if (counts[i])
            ap_rprintf(r, " %" APR_INT64_T_FMT " %s;", (apr_int64_t)counts[i], kinds[i].label);
    ap_rputs("</title></g>\n", r);
}

static json_int_t busiest_minute(const json_t *minutes)
{
    json_int_t counts[KINDS], most = 0, all;
    json_t *minute;
    size_t i;

    json_array_foreach(minutes, i, minute)
    {
        all = count_kinds(minute, counts);
        most = all > most ? all : most;
    }
    return most;
}

void idem_page_put_chart(idem_admin_call *call, const json_t *minutes)
{
    request_rec *r = call->r;
    json_int_t most = busiest_minute(minutes);
    int width = (int)json_array_size(minutes) * BAR;
    json_t *minute;
    size_t i;

    ap_rprintf(r,
               "<figure class=\"chart\"><div class=\"axis\"><span>%" APR_INT64_T_FMT
               " a minute</span></div>\n<svg viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" role=\"img\" "
               "aria-label=\"Outcomes of each of the last %d minutes. The table below has the sums.\">\n",
               (apr_int64_t)most, width, HEIGHT, (int)json_array_size(minutes));
    json_array_foreach(minutes, i, minute)
    {
        put_bar(r, minute, (int)i * BAR, most);
    }
    ap_rprintf(r,
               "</svg>\n<div class=\"axis\"><span>%d minutes ago</span><span>now</span></div>\n"
               "<figcaption><ul class=\"legend\">",
               (int)json_array_size(minutes));
    for (int k = KINDS - 1; k >= 0; k--)
        idem_page_put(r, "<li><span class=\"swatch $\"></span>$</li>", kinds[k].name, kinds[k].label);
    ap_rputs("</ul></figcaption></figure>\n", r);
}
