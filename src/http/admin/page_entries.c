/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_entries.c - lists of entries, with filters.
 *
 * Called by the page. A list goes on by a link, as the API's goes on by its cursor.
 */
#include "page.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <http_protocol.h>

static int is_one_of(const char *state, const char *states)
{
    return !states || strstr(states, state) != NULL;
}

static const char *remark_of(request_rec *r, const json_t *entry)
{
    const json_t *owner = json_object_get(entry, "owner"), *response = json_object_get(entry, "response");
    const char *fault = idem_page_word(r, entry, "fault"), *cause = idem_page_word(r, entry, "cause");

    if (*fault)
        return fault;
    if (!strcmp(cause, "owner-died"))
        return "the process that ran it died";
    if (!strcmp(cause, "reported"))
        return "the backend broke off";
    if (!strcmp(cause, "resolved-retry"))
        return "resolved: the next request runs";
    if (json_is_object(response))
        return apr_pstrcat(r->pool, "status ", idem_page_word(r, response, "status"), NULL);
    if (json_is_integer(json_object_get(owner, "process")))
        return apr_pstrcat(r->pool, "process ", idem_page_word(r, owner, "process"), NULL);
    return json_is_true(json_object_get(entry, "sealed")) ? "sealed" : "";
}

/* What stands there, and whether its client sends it again and again. */
static const char *with_replays(request_rec *r, const json_t *entry)
{
    const json_t *again = json_object_get(entry, "sent_again");
    json_int_t replayed = json_integer_value(json_object_get(again, "replayed"));
    const char *remark = remark_of(r, entry);

    if (!replayed)
        return remark;
    return apr_psprintf(r->pool, "%s%sreplayed %" APR_INT64_T_FMT "×", remark, *remark ? "; " : "",
                        (apr_int64_t)replayed);
}

static void put_row(request_rec *r, const json_t *entry)
{
    const char *slot = idem_page_word(r, entry, "slot"), *state = idem_page_word(r, entry, "state");

    idem_page_put(r,
                  "<tr><th scope=\"row\"><a class=\"slot\" href=\"./?slot=$\" aria-label=\"slot $\">$…</a></th>"
                  "<td><span class=\"state $\">$</span></td><td>$</td><td class=\"when\">",
                  slot, apr_pstrmemdup(r->pool, slot, 12), apr_pstrmemdup(r->pool, slot, 12), state, state,
                  with_replays(r, entry));
    idem_page_put_moment(r, json_object_get(entry, "written"));
    ap_rputs("</td></tr>\n", r);
}

int idem_page_put_rows(request_rec *r, const json_t *entries, const char *states, const char *caption)
{
    int rows = 0;
    json_t *entry;
    size_t i;

    json_array_foreach(entries, i, entry)
    {
        if (!is_one_of(idem_page_word(r, entry, "state"), states))
            continue;
        if (!rows++)
            idem_page_put(r,
                          "<table class=\"entries\"><caption>$</caption>\n<thead><tr><th scope=\"col\">Slot</th>"
                          "<th scope=\"col\">State</th><th scope=\"col\">Why, or what</th><th scope=\"col\">Since</th>"
                          "</tr></thead>\n<tbody>",
                          caption);
        put_row(r, entry);
    }
    if (rows)
        ap_rputs("</tbody></table>\n", r);
    return rows;
}

/* ---- filters ----------------------------------------------------------------------------------------------------- */

typedef struct choice {
    const char *value, *label;
} choice;

static void put_choices(idem_admin_call *call, const char *name, const char *label, const choice *choices)
{
    const char *chosen = apr_table_get(call->query, name);

    idem_page_put(call->r, "<p class=\"field\"><label for=\"$\">$</label><select id=\"$\" name=\"$\">", name, label,
                  name, name);
    for (; choices->value; choices++)
        idem_page_put(call->r,
                      chosen && !strcmp(chosen, choices->value) ? "<option value=\"$\" selected>$</option>"
                                                                : "<option value=\"$\">$</option>",
                      choices->value, choices->label);
    ap_rputs("</select></p>\n", call->r);
}

static void put_filters(idem_admin_call *call)
{
    static const choice states[] = {{"", "any"},
                                    {"unknown,damaged", "unknown or damaged"},
                                    {"unknown", "unknown"},
                                    {"running", "running"},
                                    {"record", "record"},
                                    {"tombstone", "tombstone"},
                                    {"damaged", "damaged"},
                                    {NULL, NULL}};
    static const choice ages[] = {{"", "any"},        {"60", "1 minute"},   {"600", "10 minutes"}, {"3600", "1 hour"},
                                  {"86400", "1 day"}, {"604800", "1 week"}, {NULL, NULL}};
    static const choice times[] = {{"", "any"},           {"0", "once or more"},    {"9", "10 or more"},
                                   {"99", "100 or more"}, {"999", "1,000 or more"}, {NULL, NULL}};
    const char *prefix = apr_table_get(call->query, "prefix");

    ap_rputs("<form class=\"filters\" method=\"get\" action=\"./\"><input type=\"hidden\" name=\"view\" "
             "value=\"entries\">\n",
             call->r);
    put_choices(call, "state", "State", states);
    put_choices(call, "older", "Older than", ages);
    put_choices(call, "newer", "Newer than", ages);
    put_choices(call, "replayed_more_than", "Replayed", times);
    idem_page_put(
        call->r,
        "<p class=\"field\"><label for=\"digits\">Slot begins with</label><input id=\"digits\" name=\"prefix\" "
        "value=\"$\" maxlength=\"64\" autocomplete=\"off\" spellcheck=\"false\"></p>\n"
        "<p class=\"field\"><button type=\"submit\">Filter</button></p></form>\n",
        prefix ? prefix : "");
}

static int add_parameter(void *data, const char *name, const char *value)
{
    const char **address = ((void **)data)[0];
    apr_pool_t *pool = ((void **)data)[1];

    if (strcmp(name, "cursor"))
        *address = apr_pstrcat(pool, *address, name, "=", apr_pescape_urlencoded(pool, value), "&", NULL);
    return 1;
}

static const char *next_address(idem_admin_call *call, const char *cursor)
{
    const char *address = "./?";
    void *data[] = {&address, call->r->pool};

    apr_table_do(add_parameter, data, call->query, NULL);
    return apr_pstrcat(call->r->pool, address, "cursor=", apr_pescape_urlencoded(call->r->pool, cursor), NULL);
}

static void put_list(idem_admin_call *call, const json_t *answer)
{
    request_rec *r = call->r;
    const char *next = json_string_value(json_object_get(answer, "next"));

    if (!idem_page_put_rows(r, json_object_get(answer, "entries"), NULL, "Entries, by slot"))
        ap_rputs(next ? "<p class=\"calm\">None so far: the store is large. Go on.</p>\n"
                      : "<p class=\"calm\">No such entry.</p>\n",
                 r);
    if (next)
        idem_page_put(r, "<p><a class=\"next\" rel=\"next\" href=\"$\">Go on with the next part</a></p>\n",
                      next_address(call, next));
}

/* By the digits of a slot somebody looks for one entry. */
static const char *only_slot(request_rec *r, const idem_admin_call *call, const json_t *answer)
{
    const json_t *entries = json_object_get(answer, "entries");

    if (!apr_table_get(call->query, "prefix") || apr_table_get(call->query, "view") || json_array_size(entries) != 1 ||
        json_is_string(json_object_get(answer, "next")))
        return NULL;
    return idem_page_word(r, json_array_get(entries, 0), "slot");
}

int idem_page_list(idem_admin_call *call)
{
    const json_t *answer = idem_page_ask(call, idem_admin_list);
    const char *slot = answer ? only_slot(call->r, call, answer) : NULL;

    if (slot)
        return idem_page_entry(call, slot);
    idem_page_begin(call, answer ? HTTP_OK : call->problem.status, "Entries");
    ap_rputs("<h2>Entries</h2>\n", call->r);
    put_filters(call);
    if (answer)
        put_list(call, answer);
    else
        idem_page_put_problem(call);
    return idem_page_end(call);
}
