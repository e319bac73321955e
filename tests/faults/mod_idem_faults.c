/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_faults.c - httpd module for tests: says to the preloaded interposer when a request begins and when it has
 * ended.
 *
 * Loaded by the servers of tests/faults, never by anybody else. A request with the header X-Fault is the one whose
 * calls count, from the moment its head was read until its pool is destroyed. Without the interposer it does nothing.
 */
#include "interposer.h"

#include <httpd.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>

#include <dlfcn.h>

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_faults_module;

typedef void told(void);

static void tell(const char *name)
{
    told *function;

    *(void **)&function = dlsym(RTLD_DEFAULT, name);
    if (function)
        function();
}

static apr_status_t request_ended(void *unused)
{
    (void)unused;
    tell("idem_faults_disarm");
    return APR_SUCCESS;
}

/* Registered before anybody else's, so that it runs behind all of them. */
static int request_begins(request_rec *r)
{
    if (r->main || r->prev || !apr_table_get(r->headers_in, "X-Fault"))
        return DECLINED;
    apr_pool_cleanup_register(r->pool, NULL, request_ended, apr_pool_cleanup_null);
    tell("idem_faults_arm");
    return DECLINED;
}

static void child_begins(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    tell("idem_faults_watch");
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_post_read_request(request_begins, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_child_init(child_begins, NULL, NULL, APR_HOOK_REALLY_FIRST);
}

AP_DECLARE_MODULE(idem_faults) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};
