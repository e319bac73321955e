/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_entry.c - one entry: everything that is known of it, the actions on it, and their results.
 *
 * Called by the page. The buttons do something where the page's script runs; without it the commands of idemctl stand
 * there. Each action carries the version of the entry that is shown.
 */
#include "page.h"

#include <apr_strings.h>
#include <http_protocol.h>

/* ---- what is known ----------------------------------------------------------------------------------------------- */

static void put_fact(request_rec *r, const char *name, const char *value)
{
    if (*value)
        idem_page_put(r, "<div><dt>$</dt><dd>$</dd></div>\n", name, value);
}

static void put_moment_fact(request_rec *r, const char *name, const json_t *moment)
{
    idem_page_put(r, "<div><dt>$</dt><dd>", name);
    idem_page_put_moment(r, moment);
    idem_page_put(r, json_is_string(moment) ? "<br><span class=\"faint exact\">$</span></dd></div>\n" : "</dd></div>\n",
                  json_is_string(moment) ? json_string_value(moment) : "");
}

static const char *owner_shown(request_rec *r, const json_t *owner)
{
    const char *process = idem_page_word(r, owner, "process");

    if (!json_is_object(owner))
        return "";
    return apr_pstrcat(r->pool, json_is_true(json_object_get(owner, "alive")) ? "alive" : "dead",
                       *process ? ", process " : "", process, *idem_page_word(r, owner, "host") ? " of this host" : "",
                       NULL);
}

static const char *names_text(request_rec *r, const json_t *print)
{
    const json_t *names = json_object_get(print, "names");
    const char *text = "parts: ";

    if (!json_is_array(names))
        return idem_page_word(r, print, "note");
    for (size_t i = 0; i < json_array_size(names); i++)
        text = apr_pstrcat(r->pool, text, i ? ", " : "", json_string_value(json_array_get(names, i)), NULL);
    return text;
}

static const char *print_text(request_rec *r, const json_t *print)
{
    const json_t *body = json_object_get(print, "body");
    const char *bytes = idem_page_word(r, body, "bytes");

    if (!json_is_object(print))
        return "";
    return apr_pstrcat(r->pool, names_text(r, print), "; body ",
                       !json_is_object(body) ? "not looked at"
                       : *bytes              ? bytes
                                             : "not known",
                       *bytes ? " B" : "", NULL);
}

/* What it means for who sends the key again. */
static const char *entry_meaning(const char *state, const char *cause)
{
    if (!strcmp(state, "running"))
        return "A request with this key is being executed. A retry waits, or gets 409 in-progress.";
    if (!strcmp(state, "record"))
        return "The request was executed. A retry gets the recorded response.";
    if (!strcmp(state, "tombstone"))
        return "The request was executed; its response was not kept. A retry gets 409 response-not-kept.";
    if (!strcmp(cause, "resolved-retry"))
        return "The outcome was unknown. An administrator let the next request with the same content run.";
    if (!strcmp(state, "unknown"))
        return "A request with this key was begun, and nobody saw its end. A retry gets 409 outcome-unknown. Find out "
               "in the application whether the operation was done; then decide below.";
    return "The entry cannot be read. Nothing is executed for this key: its outcome counts as unknown.";
}

static void put_sent_again(request_rec *r, const json_t *again)
{
    if (!json_is_object(again))
        return;
    put_fact(r, "Replayed", idem_page_word(r, again, "replayed"));
    put_fact(r, "Refused", idem_page_word(r, again, "refused"));
    if (json_is_string(json_object_get(again, "last")))
        put_moment_fact(r, "Last asked for", json_object_get(again, "last"));
}

static void put_facts(request_rec *r, const json_t *entry)
{
    ap_rputs("<dl class=\"facts\">\n", r);
    put_moment_fact(r, "Since", json_object_get(entry, "written"));
    put_moment_fact(r, "Expires", json_object_get(entry, "expires"));
    put_fact(r, "Fault", idem_page_word(r, entry, "fault"));
    put_fact(r, "Cause", idem_page_word(r, entry, "cause"));
    put_fact(r, "Owner", owner_shown(r, json_object_get(entry, "owner")));
    put_fact(r, "Attempt", idem_page_word(r, entry, "attempt"));
    put_sent_again(r, json_object_get(entry, "sent_again"));
    put_fact(r, "Fingerprint", print_text(r, json_object_get(entry, "fingerprint")));
    put_fact(r, "Sealed", idem_page_word(r, entry, "sealed"));
    put_fact(r, "Size", idem_page_size(r, json_integer_value(json_object_get(entry, "bytes"))));
    ap_rputs("</dl>\n", r);
}

/* ---- the response ------------------------------------------------------------------------------------------------ */

static void put_header_fields(request_rec *r, const json_t *fields)
{
    json_t *field;
    size_t i;

    if (!json_array_size(fields))
        return;
    ap_rputs("<table class=\"fields\"><caption>Header fields</caption><tbody>\n", r);
    json_array_foreach(fields, i, field)
    {
        ap_rputs("<tr><th scope=\"row\">", r);
        idem_page_put_text(r, json_object_get(field, "name"));
        ap_rputs("</th><td>", r);
        idem_page_put_text(r, json_object_get(field, "value"));
        ap_rputs("</td></tr>\n", r);
    }
    ap_rputs("</tbody></table>\n", r);
}

static void put_body(idem_admin_call *call, const char *slot, const json_t *body)
{
    request_rec *r = call->r;

    if (!idem_admin_may_show(call)) {
        ap_rputs("<p class=\"note\">Header fields and body are shown where IdempotencySecret is configured, or "
                 "IdempotencyAdminResponses On.</p>\n",
                 r);
        return;
    }
    if (!json_is_object(body)) {
        idem_page_put(r, "<p><a href=\"./?slot=$&amp;body=1\">Show the body</a></p>\n", slot);
        return;
    }
    idem_page_put(r, "<h4>Body ($)</h4>\n<pre tabindex=\"0\" aria-label=\"Body\">",
                  idem_page_word(r, body, "encoding"));
    idem_page_put_text(r, json_object_get(body, "data"));
    ap_rputs("</pre>\n", r);
}

static void put_recorded(idem_admin_call *call, const char *slot, const json_t *response)
{
    request_rec *r = call->r;

    idem_page_put(r, "<h3>Recorded response</h3>\n<dl class=\"facts\"><div><dt>Status</dt><dd>$ $</dd></div>\n",
                  idem_page_word(r, response, "status"), idem_page_word(r, response, "reason"));
    put_fact(r, "Type", idem_page_word(r, response, "content_type"));
    put_fact(r, "Coding", idem_page_word(r, response, "content_encoding"));
    put_fact(r, "Body", idem_page_size(r, json_integer_value(json_object_get(response, "body_bytes"))));
    ap_rputs("</dl>\n", r);
    put_header_fields(r, json_object_get(response, "headers"));
    put_body(call, slot, json_object_get(response, "body"));
}

/* ---- what can be done -------------------------------------------------------------------------------------------- */

static const struct deed {
    const char *as, *name, *what; /* as NULL: forget */
    int only_unknown;
} deeds[] = {
    {"done", "It was done",
     "The key stays taken: a retry gets 409 response-not-kept, and nothing is executed. For when the application shows "
     "that the operation took effect.",
     1},
    {"not-done", "It was not done",
     "The key becomes free: the next request with it is executed, whatever its content. For when the application shows "
     "that nothing took effect.",
     1},
    {"retry", "Let a retry run",
     "The next request with this key and the same content is executed, even if the operation was already done. For "
     "what may rather be done twice than not at all.",
     1},
    {NULL, "Forget",
     "The entry is removed and the key becomes free: the next request with it is executed as if it were the first. If "
     "the operation was done, it is then done twice.",
     0},
};

static void put_deed(request_rec *r, const struct deed *deed, const char *slot, const char *version)
{
    idem_page_put(r,
                  "<li><button type=\"button\" class=\"deed\" hidden data-as=\"$\" data-slot=\"$\" data-version=\"$\">$"
                  "</button><strong class=\"unscripted\">$</strong><p>$</p>",
                  deed->as ? deed->as : "", slot, version, deed->name, deed->name, deed->what);
    if (deed->as)
        idem_page_put(r, "<p class=\"unscripted\"><code>idemctl resolve $ --as $</code></p></li>\n", slot, deed->as);
    else
        idem_page_put(r, "<p class=\"unscripted\"><code>idemctl forget $</code></p></li>\n", slot);
}

static void put_deeds(idem_admin_call *call, const json_t *entry, const char *state)
{
    request_rec *r = call->r;
    int unknown = !strcmp(state, "unknown");

    ap_rputs("<h3 id=\"decide\">What can be done</h3>\n", r);
    if (!strcmp(state, "running")) {
        ap_rputs("<p class=\"calm\">Nothing: a request that runs is not disturbed.</p>\n", r);
        return;
    }
    if (idem_admin_refused(call, 1)) {
        idem_page_put(r, "<p class=\"note\">You may only read here. $</p>\n", call->problem.detail);
        return;
    }
    ap_rputs("<noscript><p class=\"note\">The buttons need JavaScript. On the server, these commands do the same:</p>"
             "</noscript>\n<ul class=\"deeds\">\n",
             r);
    for (int i = 0; i < (int)(sizeof(deeds) / sizeof(deeds[0])); i++)
        if (unknown || !deeds[i].only_unknown)
            put_deed(r, &deeds[i], idem_page_word(r, entry, "slot"), idem_page_word(r, entry, "version"));
    ap_rputs("</ul>\n", r);
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

void idem_page_put_entry(idem_admin_call *call, const json_t *entry)
{
    request_rec *r = call->r;
    const char *slot = idem_page_word(r, entry, "slot"), *state = idem_page_word(r, entry, "state");

    idem_page_put(r,
                  "<article><h2>Entry <span class=\"state $\">$</span></h2>\n"
                  "<p><a class=\"slot whole\" href=\"./?slot=$\">$</a></p>\n<p class=\"meaning\">$</p>\n",
                  state, state, slot, slot, entry_meaning(state, idem_page_word(r, entry, "cause")));
    put_facts(r, entry);
    put_deeds(call, entry, state);
    if (json_is_object(json_object_get(entry, "response")))
        put_recorded(call, slot, json_object_get(entry, "response"));
    ap_rputs("</article>\n", r);
}

int idem_page_entry(idem_admin_call *call, const char *slot)
{
    const json_t *entry;

    call->word = slot;
    entry = idem_page_ask(call, idem_admin_show);
    idem_page_begin(call, entry ? HTTP_OK : call->problem.status, "Entry");
    if (entry)
        idem_page_put_entry(call, entry);
    else if (!strcmp(call->problem.name, "no-such-entry") && strlen(slot) == 2 * (size_t)IDEM_SLOT_LEN)
        idem_page_put(call->r,
                      "<h2>No entry</h2>\n<p><code class=\"slot\">$</code></p>\n<p class=\"meaning\">There is no entry "
                      "in this slot: its key is free. The next request with it is executed.</p>\n",
                      slot);
    else
        idem_page_put_problem(call);
    return idem_page_end(call);
}
