/*
 * unsent.c - was a backend sent anything before httpd gave up?
 *
 * Called with what a handler returned. Only mod_proxy's 503 can say so, and only over HTTP: mod_proxy_fcgi and mod_proxy_ajp return
 * the same status when the backend had read the request and died. mod_proxy_http returns it when it could not connect; for a
 * ping that was not answered it does so too, and leaves error-notes (ap_proxyerror); an application's status behind
 * ProxyErrorOverride leaves proxy-status.
 *
 * A balancer hands on what one member could not take to the next, and the request shows only the last one. Nobody was sent
 * anything if all its members speak HTTP, or if no member was usable at all.
 */
#include "unsent.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <http_config.h>
#include <mod_proxy.h>

static int is_http(const char *scheme)
{
    return !apr_cstr_casecmp(scheme, "http") || !apr_cstr_casecmp(scheme, "https");
}

static int members_speak_http(const proxy_balancer *balancer)
{
    for (int i = 0; i < balancer->workers->nelts; i++)
        if (!is_http(APR_ARRAY_IDX(balancer->workers, i, const proxy_worker *)->s->scheme))
            return 0;
    return 1;
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

/* r->filename is "proxy:" and the URL of the member that was tried last, or of the balancer if none was. */
int idem_certainly_unsent(request_rec *r, int status)
{
    const char *name = apr_table_get(r->subprocess_env, "BALANCER_NAME");
    const proxy_balancer *balancer;

    if (status != HTTP_SERVICE_UNAVAILABLE || !r->proxyreq || !r->filename)
        return 0;
    if (apr_table_get(r->notes, "error-notes") || apr_table_get(r->notes, "proxy-status"))
        return 0;
    if (!strncmp(r->filename, "proxy:balancer://", strlen("proxy:balancer://")))
        return !name;
    if (strncmp(r->filename, "proxy:http://", strlen("proxy:http://")) &&
        strncmp(r->filename, "proxy:https://", strlen("proxy:https://")))
        return 0;
    balancer = name ? balancer_named(r->server, name) : NULL;
    return !name || (balancer && members_speak_http(balancer));
}
