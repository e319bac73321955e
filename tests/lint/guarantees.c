/* SPDX-License-Identifier: Apache-2.0 */
/*
 * guarantees.c - prints the flags of each store's setup that a driver can tell without its server: "SETUP: FLAG,FLAG".
 *
 * Run by tests/lint/guarantees.py, which makes the tables of docs/stores.md from these and from what tests show. What
 * always holds: a flag is asked of the driver, none is written here. Limits: what a server says is written here as it
 * says it; tests/store/redis/test_redis_setup.py shows that a real one does.
 */
#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>

#include "socache_private.h"
#include "front.h"
#ifdef IDEM_WITH_REDIS
#include "redis_private.h"
#endif

static void say(const char *setup, unsigned flags)
{
    static const struct {
        unsigned flag;
        const char *name;
    } names[] = {
        {IDEM_EVICTS, "evicts"},   {IDEM_VOLATILE, "volatile"}, {IDEM_HOST_LOCAL, "host-local"},
        {IDEM_FRAGILE, "fragile"}, {IDEM_OFFLINE, "offline"},
    };
    const char *comma = "";

    printf("%s: ", setup);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (flags & names[i].flag) {
            printf("%s%s", comma, names[i].name);
            comma = ",";
        }
    }
    printf("\n");
}

/* What configure() says, of drivers that need no more to know it. */
static int say_configured(const char *setup, const char *url, const char *option, apr_pool_t *pool)
{
    const idem_env env = {.state_dir = "/", .run_dir = "/"};
    const char *const options[] = {option, NULL};
    const char *why = NULL, *colon = strchr(url, ':');
    const idem_driver *driver = idem_registry_find(apr_pstrmemdup(pool, url, (apr_size_t)(colon - url)), NULL, pool);
    idem_store *store;

    if (!driver || driver->configure(&store, &env, colon + 1, options, pool, &why) != APR_SUCCESS) {
        fprintf(stderr, "guarantees: %s: %s\n", setup, why ? why : "there is no driver");
        return 1;
    }
    say(setup, store->flags);
    return 0;
}

#ifdef IDEM_WITH_REDIS
static void say_redis(const char *setup, const char *info, const char *fsync, const char *save)
{
    idem_redis_facts facts = {0};

    idem_redis_read_info(&facts, info);
    apr_cpystrn(facts.fsync, fsync, sizeof(facts.fsync));
    apr_cpystrn(facts.save, save, sizeof(facts.save));
    say(setup, IDEM_OFFLINE | idem_redis_flags(&facts));
}

#define KEEPS_ALL "maxmemory:0\r\nmaxmemory_policy:noeviction\r\n"

static void say_all_of_redis(void)
{
    say_redis("redis, AOF always", KEEPS_ALL "aof_enabled:1\r\n", "always", "none");
    say_redis("redis, AOF everysec", KEEPS_ALL "aof_enabled:1\r\n", "everysec", "none");
    say_redis("redis, snapshots", KEEPS_ALL "aof_enabled:0\r\n", "everysec", "3600 1");
    say_redis("redis, nothing on disk", KEEPS_ALL "aof_enabled:0\r\n", "everysec", "none");
    say_redis("redis, evicting", "maxmemory:8388608\r\nmaxmemory_policy:allkeys-lru\r\naof_enabled:1\r\n", "always",
              "none");
}
#endif

int main(void)
{
    apr_pool_t *pool;
    int failed;

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 1;
    failed = say_configured("lmdb sync=on", "lmdb:/store", "sync=on", pool);
    failed += say_configured("lmdb sync=off", "lmdb:/store", "sync=off", pool);
    for (int i = 0; idem_socache_kinds[i]; i++)
        say(apr_pstrcat(pool, "socache:", idem_socache_kinds[i]->name, NULL), idem_socache_kinds[i]->flags);
#ifdef IDEM_WITH_REDIS
    say_all_of_redis();
#endif
    return failed ? 1 : 0;
}
