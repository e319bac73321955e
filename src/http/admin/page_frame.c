/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page_frame.c - what is the same in all views: where their facts come from, header fields, top and foot.
 *
 * Called by the page and its views. What always holds: only the page's own files act in it as scripts and styles. So
 * bytes from a store could not act even if they came through as markup.
 */
#include "page.h"

#include <http_protocol.h>

#define POLICY                                                                                      \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " \
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

static apr_status_t drop_asked(void *data)
{
    json_decref(data);
    return APR_SUCCESS;
}

json_t *idem_page_ask(idem_admin_call *call, idem_admin_verb *verb)
{
    json_t *answer = NULL;

    call->taken = &answer;
    verb(call);
    call->taken = NULL;
    if (answer)
        apr_pool_cleanup_register(call->r->pool, answer, drop_asked, apr_pool_cleanup_null);
    return answer;
}

void idem_page_set_fields(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy", POLICY);
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
    apr_table_setn(r->headers_out, "Cross-Origin-Opener-Policy", "same-origin");
    apr_table_mergen(r->headers_out, "Vary", "Accept");
}

void idem_page_begin(idem_admin_call *call, int status, const char *title)
{
    request_rec *r = call->r;
    const char *user = r->user ? r->user : "nobody in particular";

    r->status = status;
    ap_set_content_type(r, "text/html; charset=utf-8");
    idem_page_set_fields(r);
    idem_page_put(r, idem_page_head, title, r->hostname ? r->hostname : r->server->server_hostname, user);
}

int idem_page_end(idem_admin_call *call)
{
    idem_page_put(call->r, idem_page_foot, IDEM_VERSION);
    return OK;
}

int idem_page_answer_problem(idem_admin_call *call)
{
    idem_page_begin(call, call->problem.status, "Not shown");
    idem_page_put_problem(call);
    return idem_page_end(call);
}
