/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_conformance.c - httpd module for tests: runs the store conformance suite inside httpd, for drivers that
 * need it and for those of other modules.
 *
 *   IdemConformance URL [ROUNDS [SELECT]]
 *
 * The suite runs when httpd checks its configuration (-t). All modules are loaded and the configuration is read, as
 * when a server starts. There are no listeners, so it needs no port. httpd's exit status is 0 if no case failed; it
 * then says that the syntax is OK. Relative paths of a store are under the ServerRoot, as are its lock files.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <ap_provider.h>

#include <apr_strings.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conformance.h"
#include "../../../src/store/socache/socache.h"
#include "front.h"

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_conformance_module;

#define PROCESSES 64
#define THREADS 64

static const char *url, *part;
static int rounds;

static const char *set_url(cmd_parms *cmd, void *unused, const char *store, const char *how_many, const char *select)
{
    (void)cmd, (void)unused;
    url = store;
    rounds = how_many ? atoi(how_many) : 0;
    part = select;
    return NULL;
}

static int register_mutex(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog, (void)ptemp;
    return idem_socache_pre_config(pconf) == APR_SUCCESS ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* A driver that another module has registered. */
static const idem_driver *find_provider(const char *scheme)
{
    return ap_lookup_provider(IDEM_STORE_GROUP, scheme, IDEM_STORE_VERSION);
}

static int run_suite(apr_pool_t *pconf, server_rec *s)
{
    static const char *const no_options[] = {NULL};
    idem_env env = {.state_dir = ap_server_root,
                    .run_dir = ap_server_root,
                    .uid = getuid(),
                    .gid = getgid(),
                    .processes = PROCESSES,
                    .threads = THREADS,
                    .server = s};
    idem_conformance_effort effort = {.rounds = rounds};
    const char *rest = strchr(url, ':');
    const idem_driver *driver;

    idem_registry_finder = find_provider;
    driver = rest ? idem_registry_find(apr_pstrmemdup(pconf, url, (apr_size_t)(rest - url)), NULL, pconf) : NULL;
    if (!driver) {
        fprintf(stderr, "there is no driver for %s\n", url);
        return 1;
    }
    idem_conformance_set_effort(&effort);
    return idem_conformance_run(driver, &env, rest + 1, no_options, part);
}

static void test_config(apr_pool_t *pconf, server_rec *s)
{
    int failed = url ? run_suite(pconf, s) : 1;
    fflush(NULL);
    if (failed)
        _exit(1); /* a hook of this kind has no other way to say so */
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_pre_config(register_mutex, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(test_config, NULL, NULL, APR_HOOK_FIRST);
}

static const command_rec commands[] = {AP_INIT_TAKE123("IdemConformance", set_url, NULL, RSRC_CONF,
                                                       "store URL, rounds of the races, part of the cases' names"),
                                       {.name = NULL}};

AP_DECLARE_MODULE(idem_conformance) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, register_hooks, 0};
