/* SPDX-License-Identifier: Apache-2.0 */
/*
 * returned.c - a handler returned a status instead of a response: what does that say about what was done?
 *
 * Called with what a handler returned, before httpd makes a page of it. A client error is an answer. A server error
 * says nothing: mod_proxy returns the same 502, 503 or 504 for a backend that has acted. Two cases are certain.
 *
 * The application itself wrote it: behind ProxyErrorOverride mod_proxy leaves the note proxy-error-override. (Its other
 * note, proxy-status, is there for each status line that was read, also where httpd then failed.)
 *
 * Nothing was sent: mod_proxy_http returns 503 only when it could not connect. It also does so for a ping without an
 * answer, and then leaves error-notes (ap_proxyerror). Others return it also when the backend had read the request:
 * there it takes the line that they log (witness.c). A balancer hands on to the next member what one could not take. So
 * all its members must be of these kinds, or none was usable at all. And nobody may have acted before: only mod_rewrite
 * redirects without doing anything.
 */
#include "returned.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_log.h>
#include <mod_proxy.h>

static int is_http(const char *scheme)
{
    return !apr_cstr_casecmp(scheme, "http") || !apr_cstr_casecmp(scheme, "https");
}

static int url_begins(const char *text, const char *with)
{
    return !strncmp(text, with, strlen(with));
}

/* mod_proxy need not be loaded: its configuration is found by name, none of its functions is called. */
static const proxy_balancer *balancer_named(const server_rec *s, const char *name)
{
    module *proxy = ap_find_linked_module("mod_proxy.c");
    const proxy_server_conf *conf = proxy ? ap_get_module_config(s->module_config, proxy) : NULL;

    for (int i = 0; conf && i < conf->balancers->nelts; i++) {
        const proxy_balancer *balancer = &APR_ARRAY_IDX(conf->balancers, i, const proxy_balancer);

        if (!apr_cstr_casecmp(balancer->s->name, name))
            return balancer;
    }
    return NULL;
}

/* Would an error of the module that speaks this scheme be heard? */
static int is_audible(request_rec *r, const char *scheme)
{
    const char *name = is_http(scheme) ? "http" : scheme;
    const module *speaker = ap_find_linked_module(apr_pstrcat(r->pool, "mod_proxy_", name, ".c", NULL));

    return speaker && APLOG_R_MODULE_IS_LEVEL(r, speaker->module_index, APLOG_ERR);
}

static int members_are(request_rec *r, const proxy_balancer *balancer, int (*good)(request_rec *r, const char *scheme))
{
    for (int i = 0; i < balancer->workers->nelts; i++)
        if (!good(r, APR_ARRAY_IDX(balancer->workers, i, const proxy_worker *)->s->scheme))
            return 0;
    return 1;
}

static int speaks_http(request_rec *r, const char *scheme)
{
    (void)r;
    return is_http(scheme);
}

/* r->filename is "proxy:" and the URL of the member that was tried last, or of the balancer if none was. */
static int no_backend_reached(const idem_txn *txn, request_rec *r)
{
    const char *name = apr_table_get(r->subprocess_env, "BALANCER_NAME");
    const proxy_balancer *balancer = name ? balancer_named(r->server, name) : NULL;
    int http = url_begins(r->filename, "proxy:http://") || url_begins(r->filename, "proxy:https://");

    if (apr_table_get(r->notes, "error-notes") || apr_table_get(r->notes, "proxy-status"))
        return 0;
    if (url_begins(r->filename, "proxy:balancer://"))
        return !name;
    if (name && !balancer)
        return 0;
    if (http && (!balancer || members_are(r, balancer, speaks_http)))
        return 1;
    return idem_witness_unreached(&txn->heard) && (!balancer || members_are(r, balancer, is_audible));
}

/* A handler that was visited before and redirected: it may have acted, unless it is mod_rewrite's. */
static int acted_before(const idem_txn *txn, const request_rec *r)
{
    for (; r != txn->r && r->prev; r = r->prev)
        if (!r->prev->handler || strcmp(r->prev->handler, "redirect-handler"))
            return 1;
    return 0;
}

static int certainly_unsent(const idem_txn *txn, request_rec *r)
{
    if (acted_before(txn, r) || !r->filename)
        return 0;
    if (r->proxyreq && url_begins(r->filename, "proxy:"))
        return no_backend_reached(txn, r);
    return !r->proxyreq && idem_witness_unreached(&txn->heard); /* mod_cgid */
}

idem_returned idem_returned_means(const idem_txn *txn, request_rec *r, int status)
{
    if (!ap_is_HTTP_SERVER_ERROR(status))
        return IDEM_RETURNED_ANSWER;
    if (r->proxyreq && apr_table_get(r->notes, "proxy-error-override"))
        return IDEM_RETURNED_ANSWER;
    if (status == HTTP_SERVICE_UNAVAILABLE && certainly_unsent(txn, r))
        return IDEM_RETURNED_UNSENT;
    return IDEM_RETURNED_FAILURE;
}

int idem_proxy_broke(const request_rec *r, int rv)
{
    return rv == DONE && r->proxyreq && r->no_cache;
}
