/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads the address of a Redis store.
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
 *   redis+unix:PATH
 *   redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/PRIMARY[/DB]
 *   rediss:// and rediss-sentinel:// are the same over TLS
 *
 * Called by the front when a configuration is read; no file is opened but those that options name. What always holds:
 * no sentence for the administrator contains a password or a part of one. Limits: user, password and PRIMARY are
 * percent-encoded where they hold one of "%/@:,".
 */
#include "redis_private.h"

#include <apr_escape.h>
#include <apr_strings.h>

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379
#define SERVERS_MOST 16
#define DB_MOST 65535

#define wrong(r, ...) idem_wrong((r)->pool, (r)->why, __VA_ARGS__)

static const char *redis_decoded(idem_redis_reading *r, const char *text)
{
    return apr_punescape_url(r->pool, text, NULL, NULL, 0);
}

/* ---- address ----------------------------------------------------------------------------------------------------- */

/* Cuts what is before the last '@' off and takes it apart. */
static apr_status_t read_user(idem_redis_reading *r, char **authority)
{
    char *user = *authority, *at = strrchr(user, '@'), *colon;

    if (!at)
        return APR_SUCCESS;
    *at = '\0';
    *authority = at + 1;
    colon = strchr(user, ':');
    if (colon) {
        *colon = '\0';
        r->store->password = redis_decoded(r, colon + 1);
    }
    r->store->user = *user ? redis_decoded(r, user) : NULL;
    if ((*user && !r->store->user) || (colon && !r->store->password))
        return wrong(r, "the user and the password in the address must be percent-encoded");
    if (colon && !*r->store->password)
        r->store->password = NULL;
    return APR_SUCCESS;
}

static apr_status_t redis_read_server(idem_redis_reading *r, const char *text, apr_port_t usual,
                                      idem_redis_address *address)
{
    char *host, *scope;
    apr_port_t port;
    apr_status_t rv = apr_parse_addr_port(&host, &scope, &port, text, r->pool);

    if (rv != APR_SUCCESS || !host || scope || (strchr(host, ':') && *text != '['))
        return wrong(r, "\"%s\" is not HOST[:PORT]", text);
    address->host = host;
    address->port = port ? port : usual;
    return APR_SUCCESS;
}

static apr_status_t redis_read_servers(idem_redis_reading *r, char *list, apr_port_t usual)
{
    idem_redis_address *servers = apr_pcalloc(r->pool, sizeof(*servers) * SERVERS_MOST);
    apr_status_t rv = APR_SUCCESS;
    int count = 0;

    for (char *rest = NULL, *one = apr_strtok(list, ",", &rest); rv == APR_SUCCESS && one;
         one = apr_strtok(NULL, ",", &rest)) {
        if (count == SERVERS_MOST)
            return wrong(r, "more than %d servers are named", SERVERS_MOST);
        rv = redis_read_server(r, one, usual, &servers[count++]);
    }
    if (rv == APR_SUCCESS && count == 0)
        return wrong(r, "no host is named: write redis://HOST, or redis-sentinel://HOST,HOST,HOST/PRIMARY");
    r->store->servers = servers;
    r->store->server_count = count;
    return rv;
}

static apr_status_t read_db(idem_redis_reading *r, const char *text)
{
    long db = *text ? idem_redis_bounded(text, 0, DB_MOST) : 0;

    if (db < 0)
        return wrong(r, "\"%s\" is not the number of a database: 0 to %d", text, DB_MOST);
    r->store->db = (int)db;
    return APR_SUCCESS;
}

/* "//authority/path"; what follows the authority's '/' goes to *path, "" if there is none. */
static apr_status_t split_address(idem_redis_reading *r, const char *rest, char **authority, char **path)
{
    char *slash;

    *authority = *path = apr_pstrdup(r->pool, "");
    if (strncmp(rest, "//", 2) != 0)
        return wrong(r, "the address of a Redis store begins with \"//\": redis://HOST, redis-sentinel://HOST/PRIMARY");
    *authority = apr_pstrdup(r->pool, rest + 2);
    slash = strchr(*authority, '/');
    *path = slash ? slash + 1 : *authority + strlen(*authority);
    if (slash)
        *slash = '\0';
    return read_user(r, authority);
}

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

static idem_redis_reading begin_reading(const idem_env *env, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = {apr_pcalloc(pool, sizeof(idem_redis)), pool, why};

    r.store->super.flags = IDEM_OFFLINE | IDEM_LOOKS | IDEM_EVICTS | IDEM_VOLATILE; /* until it is known better */
    r.store->super.max_value = IDEM_REDIS_VALUE_MAX;
    r.store->env = env;
    idem_redis_script_init(r.store);
    return r;
}

static apr_status_t configure_server(idem_redis_reading *r, const char *rest, const char *const *options)
{
    char *authority, *path;
    apr_status_t rv = split_address(r, rest, &authority, &path);

    if (rv == APR_SUCCESS)
        rv = redis_read_servers(r, authority, REDIS_PORT);
    if (rv == APR_SUCCESS && r->store->server_count > 1)
        return wrong(r, "a store is on one server: name one host, or its sentinels with redis-sentinel:");
    if (rv == APR_SUCCESS)
        rv = read_db(r, path);
    return rv == APR_SUCCESS ? idem_redis_read_options(r, options) : rv;
}

apr_status_t idem_redis_configure_tcp(idem_store **out, const idem_env *env, const char *rest,
                                      const char *const *options, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = begin_reading(env, pool, why);

    *out = &r.store->super;
    return configure_server(&r, rest, options);
}

apr_status_t idem_redis_configure_tls(idem_store **out, const idem_env *env, const char *rest,
                                      const char *const *options, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = begin_reading(env, pool, why);

    r.store->tls = apr_pcalloc(pool, sizeof(*r.store->tls));
    *out = &r.store->super;
    return configure_server(&r, rest, options);
}

apr_status_t idem_redis_configure_unix(idem_store **out, const idem_env *env, const char *rest,
                                       const char *const *options, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = begin_reading(env, pool, why);
    idem_redis_address *server = apr_pcalloc(pool, sizeof(*server));

    if (*rest != '/')
        return wrong(&r, "redis+unix:PATH needs the absolute path of Redis's socket, not \"%s\"", rest);
    server->host = apr_pstrdup(pool, rest);
    r.store->servers = server;
    r.store->server_count = 1;
    *out = &r.store->super;
    return idem_redis_read_options(&r, options);
}

static apr_status_t configure_sentinels(idem_redis_reading *r, const char *rest, const char *const *options)
{
    char *authority, *path, *slash, *db = "";
    apr_status_t rv = split_address(r, rest, &authority, &path);

    if (rv == APR_SUCCESS)
        rv = redis_read_servers(r, authority, SENTINEL_PORT);
    if (rv != APR_SUCCESS)
        return rv;
    slash = strchr(path, '/');
    if (slash) {
        *slash = '\0';
        db = slash + 1;
    }
    r->store->primary = *path ? redis_decoded(r, path) : NULL;
    if (!r->store->primary)
        return wrong(r,
                     "redis-sentinel://HOST,HOST,HOST/PRIMARY needs the name by which the sentinels know the primary");
    rv = read_db(r, db);
    return rv == APR_SUCCESS ? idem_redis_read_options(r, options) : rv;
}

apr_status_t idem_redis_configure_sentinel(idem_store **out, const idem_env *env, const char *rest,
                                           const char *const *options, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = begin_reading(env, pool, why);

    *out = &r.store->super;
    return configure_sentinels(&r, rest, options);
}

apr_status_t idem_redis_configure_sentinel_tls(idem_store **out, const idem_env *env, const char *rest,
                                               const char *const *options, apr_pool_t *pool, const char **why)
{
    idem_redis_reading r = begin_reading(env, pool, why);

    r.store->tls = apr_pcalloc(pool, sizeof(*r.store->tls));
    *out = &r.store->super;
    return configure_sentinels(&r, rest, options);
}
