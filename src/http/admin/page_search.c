/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_search.c - the page's ways to one entry: by the digits of a slot, and by its key.
 *
 * Called by the page. A key comes by POST, so that it stands in no address, no history and no access log. It is shown
 * to nobody again.
 */
#include "page.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define PART "scope."

/* ---- the forms --------------------------------------------------------------------------------------------------- */

static void put_part(request_rec *r, const char *part, const char *id)
{
    const char *value = strcmp(part, "host") || !r->hostname ? "" : r->hostname;

    idem_page_put(r,
                  "<p class=\"field\"><label for=\"$\">$</label>"
                  "<input id=\"$\" name=\"" PART "$\" value=\"$\" autocomplete=\"off\" spellcheck=\"false\"></p>\n",
                  id, part, id, part, value);
}

static void put_key_form(idem_admin_call *call)
{
    request_rec *r = call->r;
    const apr_array_header_t *scope = idem_defaults_of(r->server)->scope;

    ap_rputs("<details class=\"by-key\"><summary>By key: what happened to a request?</summary>\n"
             "<form method=\"post\" action=\"./\">\n"
             "<p class=\"field\"><label for=\"key\">Key, as the client sent it</label>"
             "<input id=\"key\" name=\"key\" required autocomplete=\"off\" spellcheck=\"false\"></p>\n"
             "<fieldset><legend>Who sent it: the parts of the scope. Leave empty what the request had not.</legend>\n",
             r);
    for (int i = 0; i < scope->nelts; i++)
        put_part(r, APR_ARRAY_IDX(scope, i, const idem_part).spelled, apr_psprintf(r->pool, "part%d", i));
    ap_rputs(
        "</fieldset>\n"
        "<p class=\"field\"><label for=\"other\">Another scope, if its place has one (IdempotencyScope), with "
        "values: <code>host=shop.example header:X-Tenant=a</code></label>"
        "<input id=\"other\" name=\"other\" autocomplete=\"off\" spellcheck=\"false\"></p>\n"
        "<p><label><input type=\"checkbox\" name=\"raw\" value=\"1\"> The key was no header field (a form, JSON, a "
        "path): quotes belong to it</label></p>\n"
        "<p><button type=\"submit\">Find</button></p></form></details>\n",
        r);
}

void idem_page_put_search(idem_admin_call *call)
{
    ap_rputs("<section class=\"search\" aria-label=\"Search\">\n"
             "<form method=\"get\" action=\"./\" role=\"search\"><label for=\"prefix\">Slot, or its first digits (from "
             "a log line)</label>\n<span class=\"together\"><input id=\"prefix\" name=\"prefix\" type=\"search\" "
             "maxlength=\"80\" pattern=\" *[0-9A-Fa-f]{1,64} *\" title=\"1 to 64 hexadecimal digits\" required "
             "autocomplete=\"off\" spellcheck=\"false\"><button type=\"submit\">Show</button></span></form>\n",
             call->r);
    put_key_form(call);
    ap_rputs("</section>\n", call->r);
}

/* ---- the answer -------------------------------------------------------------------------------------------------- */

static int add_scope_part(void *data, const char *name, const char *value)
{
    if (!strncmp(name, PART, strlen(PART)))
        json_object_set_new(data, name + strlen(PART), *value ? json_string(value) : json_null());
    return 1;
}

/* "host=a user" names the parts and their values; NULL if it cannot be read. */
static const char *read_other(idem_admin_call *call, const char *other, json_t *values)
{
    const char *parts = "";
    char **words;

    if (apr_tokenize_to_argv(other, &words, call->r->pool) != APR_SUCCESS)
        return NULL;
    for (; *words; words++) {
        const char *name, *value;

        idem_scope_split(*words, &name, &value, call->r->pool);
        json_object_set_new(values, name, value ? idem_shown_text(value, call->r->pool) : json_null());
        parts = apr_pstrcat(call->r->pool, parts, " \"", name, "\"", NULL);
    }
    return parts;
}

/* What v1/find takes. */
static void read_find(idem_admin_call *call)
{
    const char *key = apr_table_get(call->query, "key"), *other = apr_table_get(call->query, "other");
    json_t *body = json_object(), *values = json_object();

    json_object_set_new(body, "key", json_string(key ? key : ""));
    json_object_set_new(body, "raw", json_boolean(idem_admin_flag(call, "raw")));
    if (other && *other)
        json_object_set_new(body, "parts", idem_shown_text(read_other(call, other, values), call->r->pool));
    else
        apr_table_do(add_scope_part, values, call->query, NULL);
    json_object_set_new(body, "scope", values);
    idem_admin_set_body(call, body);
}

static void put_scope(request_rec *r, const json_t *scope)
{
    json_t *part;
    size_t i;

    ap_rputs("<p>The key was looked up with this scope: ", r);
    json_array_foreach(scope, i, part)
    {
        const char *value = json_string_value(json_object_get(part, "value"));

        idem_page_put(r, value ? "$<code>$=$</code>" : "$<code>$</code> (absent)$", i ? ", " : "",
                      idem_page_word(r, part, "part"), value ? value : "");
    }
    ap_rputs(json_array_size(scope) ? ".</p>\n" : "none.</p>\n", r);
}

int idem_page_find(idem_admin_call *call)
{
    request_rec *r = call->r;
    const json_t *found, *entry;

    read_find(call);
    found = idem_page_ask(call, idem_admin_find);
    if (!found)
        return idem_page_answer_problem(call);
    entry = json_object_get(found, "entry");
    idem_page_begin(call, HTTP_OK, "By key");
    idem_page_put_search(call);
    put_scope(r, json_object_get(found, "scope"));
    if (json_is_object(entry))
        idem_page_put_entry(call, entry);
    else
        idem_page_put(r,
                      "<h2>No entry</h2>\n<p>Nothing is known of this key in this scope: slot <code class=\"slot\">$"
                      "</code> is free. Either no such request came, or it was forgotten or expired, or its scope is "
                      "another one.</p>\n",
                      idem_page_word(r, found, "slot"));
    return idem_page_end(call);
}
