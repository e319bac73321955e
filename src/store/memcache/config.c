/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads the address of a memcached store.
 *
 *   memcache:HOST[:PORT],…
 *
 * The front calls it when it reads a configuration. It looks up no name and connects to no server. What always holds:
 * the servers are sorted. So the order in which hosts list them does not matter, but their spelling does. Limits: IPv4;
 * a name with several kinds of addresses is reached by its IPv4 one.
 */
#include "memcache_private.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdarg.h>
#include <stdlib.h>

#define MEMCACHED_PORT 11211

/* A configuration being read. */
typedef struct reading {
    idem_mc *store;
    apr_pool_t *pool;
    const char **why;
} reading;

#define wrong(r, ...) idem_wrong((r)->pool, (r)->why, __VA_ARGS__)

static apr_status_t mc_read_server(reading *r, const char *text, idem_mc_server *server)
{
    char *host, *scope;
    apr_port_t port;
    apr_status_t rv = apr_parse_addr_port(&host, &scope, &port, text, r->pool);

    if (rv != APR_SUCCESS || !host || scope || strpbrk(host, "/@ ") || (strchr(host, ':') && *text != '['))
        return wrong(r, "\"%s\" is not HOST[:PORT]: write memcache:HOST or memcache:HOST:PORT,HOST:PORT", text);
    if (strchr(host, ':'))
        return wrong(r, "\"%s\" is an IPv6 address: memcached needs an IPv4 address", text);
    for (char *c = host; *c; c++)
        *c = (char)apr_tolower(*c);
    server->host = host;
    server->port = port ? port : MEMCACHED_PORT;
    server->name = apr_psprintf(r->pool, "%s:%u", host, server->port);
    return APR_SUCCESS;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const idem_mc_server *)a)->name, ((const idem_mc_server *)b)->name);
}

static apr_status_t mc_read_servers(reading *r, char *list)
{
    idem_mc *store = r->store;
    apr_status_t rv = APR_SUCCESS;
    char *rest = NULL;

    store->servers = apr_pcalloc(r->pool, sizeof(*store->servers) * IDEM_MC_SERVERS_MOST);
    for (char *one = apr_strtok(list, ",", &rest); rv == APR_SUCCESS && one; one = apr_strtok(NULL, ",", &rest)) {
        if (store->server_count == IDEM_MC_SERVERS_MOST)
            return wrong(r, "more than %d servers are named", IDEM_MC_SERVERS_MOST);
        rv = mc_read_server(r, one, &store->servers[store->server_count++]);
    }
    if (rv != APR_SUCCESS)
        return rv;
    if (store->server_count == 0)
        return wrong(r, "no server is named: write memcache:HOST or memcache:HOST:PORT,HOST:PORT");
    qsort(store->servers, (size_t)store->server_count, sizeof(*store->servers), compare_names);
    for (int i = 1; i < store->server_count; i++)
        if (compare_names(&store->servers[i - 1], &store->servers[i]) == 0)
            return wrong(r, "the server %s is named twice", store->servers[i].name);
    return APR_SUCCESS;
}

apr_status_t idem_mc_configure(idem_store **out, const idem_env *env, const char *rest, const char *const *options,
                               apr_pool_t *pool, const char **why)
{
    reading r = {apr_pcalloc(pool, sizeof(idem_mc)), pool, why};
    apr_status_t rv;

    r.store->super.flags = IDEM_OFFLINE | IDEM_LOOKS | IDEM_VOLATILE | IDEM_EVICTS; /* until it is known better */
    r.store->super.max_value = IDEM_MC_ITEM_USUAL - IDEM_MC_OVERHEAD;
    r.store->env = env;
    *out = &r.store->super;
    if (options && *options)
        return wrong(&r, "a memcached store has no options, not even \"%s\"", *options);
    rv = mc_read_servers(&r, apr_pstrdup(pool, rest));
    r.store->super.parts = r.store->server_count;
    return rv;
}
