/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.c - the page for browsers, at the place of the admin API: which view a request wants.
 *
 * Called by the handler for whatever is not below v1/. What always holds: users of the API may read the page, and
 * nobody else. The page changes nothing itself: its script calls the API as any other client.
 */
#include "page.h"

#include "accept.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>

static const struct file {
    const char *name, *type, *text;
} files[] = {
    {"page.css", "text/css; charset=utf-8", idem_page_css},
    {"page.js", "text/javascript; charset=utf-8", idem_page_js},
    {"icon.svg", "image/svg+xml", idem_page_icon},
};
#define FILES ((int)(sizeof(files) / sizeof(files[0])))

static const char *last_segment(const request_rec *r)
{
    const char *slash = strrchr(r->uri, '/');

    return slash ? slash + 1 : r->uri;
}

static const struct file *find_file(request_rec *r)
{
    for (int i = 0; i < FILES; i++)
        if (!strcmp(last_segment(r), files[i].name))
            return &files[i];
    return NULL;
}

/* The page's links are relative, so its address ends in a slash. */
static int add_slash(request_rec *r)
{
    const char *segment = ap_os_escape_path(r->pool, last_segment(r), 0);

    apr_table_setn(r->headers_out, "Location",
                   apr_pstrcat(r->pool, segment, "/", r->args ? "?" : "", r->args ? r->args : "", NULL));
    idem_page_set_fields(r);
    r->status = HTTP_TEMPORARY_REDIRECT;
    return OK;
}

/* A form sends its empty fields, too, and what was pasted has spaces around it. */
static int keep_filled(void *data, const char *name, const char *value)
{
    char *trimmed = apr_pstrdup(apr_table_elts(data)->pool, value);

    apr_collapse_spaces(trimmed, trimmed);
    if (*trimmed)
        apr_table_setn(data, name, trimmed);
    return 1;
}

static int has_parameter(const idem_admin_call *call)
{
    static const char *const names[] = {"view",   "state", "older",  "newer",
                                        "prefix", "limit", "cursor", "replayed_more_than"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (apr_table_get(call->query, names[i]))
            return 1;
    return 0;
}

static int answer_view(idem_admin_call *call)
{
    apr_table_t *sent;
    const char *slot;

    if (call->r->method_number == M_POST)
        return idem_admin_read_form(call) ? idem_page_answer_problem(call) : idem_page_find(call);
    if (idem_admin_read_query(call))
        return idem_page_answer_problem(call);
    sent = call->query;
    call->query = apr_table_make(call->r->pool, 4);
    apr_table_do(keep_filled, call->query, sent, NULL);
    slot = apr_table_get(call->query, "slot");
    if (slot)
        return idem_page_entry(call, slot);
    return has_parameter(call) ? idem_page_list(call) : idem_page_overview(call);
}

int idem_admin_page(idem_admin_call *call)
{
    request_rec *r = call->r;
    const struct file *file = find_file(r);
    int is_read = r->method_number == M_GET, is_page = idem_accept_quality(r, "text/html") > 0;

    if (idem_admin_refused(call, 0))
        return is_page ? idem_page_answer_problem(call) : idem_admin_answer_problem(call);
    if (file && is_read)
        return idem_admin_answer_text(call, file->type, file->text);
    if (!is_page) {
        idem_admin_say(call, HTTP_NOT_FOUND, "no-such-path",
                       "The API is below v1/; v1/openapi.json describes it. Browsers (Accept: text/html) get a page.");
        return idem_admin_answer_problem(call);
    }
    if (!is_read && r->method_number != M_POST) {
        apr_table_setn(r->headers_out, "Allow", "GET, HEAD, POST");
        idem_admin_say(call, HTTP_METHOD_NOT_ALLOWED, "method", "Here is only: GET, HEAD, POST");
        return idem_page_answer_problem(call);
    }
    if (is_read && *last_segment(r))
        return add_slash(r);
    return answer_view(call);
}
