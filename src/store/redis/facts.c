/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.c - how a Redis server is set up, and what that means for running an operation at most once.
 *
 * Called where a connection begins, and by open(), which has the meaning said at start. What always holds: a setting
 * that the server hides counts as the worse one, and is reported as unknown. Limits: a setting that is changed while
 * the server runs is seen by the next new connection.
 */
#include "redis_private.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>

#define OLDEST_MAJOR 6
#define REPLICAS_MOST 65535

/* ---- reading INFO ------------------------------------------------------------------------------------------------ */

/* The value of "name:" at the beginning of a line; empty if there is none. */
static void read_info_field(const char *info, const char *name, char *to, size_t room)
{
    size_t len = strlen(name);
    const char *line = info;

    *to = '\0';
    while (line && !(strncmp(line, name, len) == 0 && line[len] == ':')) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (line) {
        size_t value = strcspn(line + len + 1, "\r\n");
        apr_cpystrn(to, line + len + 1, value + 1 < room ? value + 1 : room);
    }
}

static apr_uint64_t number_field(const char *info, const char *name)
{
    char text[24];
    read_info_field(info, name, text, sizeof(text));
    return apr_isdigit(*text) ? strtoull(text, NULL, 10) : 0; /* it would read a sign */
}

void idem_redis_read_info(idem_redis_facts *facts, const char *info)
{
    apr_uint64_t replicas;

    read_info_field(info, "redis_version", facts->version, sizeof(facts->version));
    read_info_field(info, "role", facts->role, sizeof(facts->role));
    read_info_field(info, "maxmemory_policy", facts->policy, sizeof(facts->policy));
    read_info_field(info, "loading", facts->loading, sizeof(facts->loading));
    read_info_field(info, "cluster_enabled", facts->cluster, sizeof(facts->cluster));
    read_info_field(info, "aof_enabled", facts->aof, sizeof(facts->aof));
    replicas = number_field(info, "connected_slaves");
    facts->replicas = replicas < REPLICAS_MOST ? (int)replicas : REPLICAS_MOST;
    facts->memory_used = number_field(info, "used_memory");
    facts->memory_max = number_field(info, "maxmemory");
}

const char *idem_redis_unfit(const idem_redis_facts *facts, apr_pool_t *pool)
{
    if (*facts->version && atoi(facts->version) < OLDEST_MAJOR)
        return apr_psprintf(pool, "Redis has version %s, which is too old: use %d or newer", facts->version,
                            OLDEST_MAJOR);
    if (strcmp(facts->cluster, "1") == 0)
        return "Redis is a node of a Redis Cluster, which is not supported: use one primary, with or without Sentinel";
    if (*facts->role && strcmp(facts->role, "master") != 0)
        return "the address leads to a Redis replica: name the primary, or use redis-sentinel:";
    if (strcmp(facts->loading, "1") == 0)
        return "Redis is still loading its data";
    return NULL;
}

/* ---- what it means ----------------------------------------------------------------------------------------------- */

static int policy_evicts(const idem_redis_facts *facts)
{
    return !*facts->policy || (facts->memory_max > 0 && strcmp(facts->policy, "noeviction") != 0);
}

static int keeps_log(const idem_redis_facts *facts)
{
    return strcmp(facts->aof, "1") == 0;
}

static int keeps_snapshots(const idem_redis_facts *facts)
{
    return *facts->save && strcmp(facts->save, "none") != 0;
}

unsigned idem_redis_flags(const idem_redis_facts *facts)
{
    return (policy_evicts(facts) ? IDEM_EVICTS : 0U) |
           (keeps_log(facts) || keeps_snapshots(facts) ? 0U : IDEM_VOLATILE);
}

static const char *of_memory(const idem_redis_facts *facts, apr_pool_t *pool)
{
    if (!*facts->policy)
        return "it refuses INFO: the module cannot tell whether it drops live entries when it is full";
    if (!policy_evicts(facts))
        return NULL;
    return apr_psprintf(pool,
                        "maxmemory-policy %s drops live entries when it is full, and their operations can run again: "
                        "set noeviction",
                        facts->policy);
}

static const char *of_log(const idem_redis_facts *facts)
{
    if (!*facts->fsync)
        return "it refuses CONFIG: the module cannot tell how much it loses with power";
    if (strcmp(facts->fsync, "always") == 0)
        return NULL;
    if (strcmp(facts->fsync, "everysec") == 0)
        return "appendfsync everysec can lose the last second with power, and those operations can run again";
    return "appendfsync no can lose half a minute with power, and those operations can run again";
}

static const char *of_disk(const idem_redis_facts *facts)
{
    if (keeps_log(facts))
        return of_log(facts);
    if (keeps_snapshots(facts))
        return "without appendonly it loses every entry that is newer than its last snapshot, and those "
               "operations can run again";
    if (!*facts->aof || !*facts->save)
        return "it refuses INFO or CONFIG: the module cannot tell whether entries survive its restart";
    return "it keeps nothing on disk (neither appendonly nor save): after its restart every operation can run again";
}

static const char *of_replicas(const idem_redis *store, const idem_redis_facts *facts, apr_pool_t *pool)
{
    if (store->wait_replicas > facts->replicas && *facts->role)
        return apr_psprintf(pool,
                            "wait=%d,%d needs more replicas, only %d replica%s connected: guarded "
                            "requests fail until enough are connected",
                            store->wait_replicas, store->wait_ms, facts->replicas,
                            facts->replicas == 1 ? " is" : "s are");
    if (store->wait_replicas && store->wait_replicas < facts->replicas)
        return apr_psprintf(
            pool,
            "wait=%d,%d, and %d replicas: a failover to a replica that has not confirmed can lose claims, and "
            "those operations can run again: wait for all that may become the primary",
            store->wait_replicas, store->wait_ms, facts->replicas);
    if (!store->wait_replicas && (facts->replicas > 0 || store->primary))
        return "without wait=N,MS a failover can lose the latest claims, and those operations can run again";
    return NULL;
}

const char *idem_redis_warning(const idem_redis *store, const idem_redis_facts *facts, apr_pool_t *pool)
{
    const char *said[4], *all = NULL;

    said[0] = of_memory(facts, pool);
    said[1] = of_disk(facts);
    said[2] = of_replicas(store, facts, pool);
    said[3] = idem_redis_tls_warning(store->tls, pool);
    for (int i = 0; i < 4; i++)
        if (said[i])
            all = all ? apr_pstrcat(pool, all, "; ", said[i], NULL) : said[i];
    return all;
}
