/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads the address and the options of a Redis store.
 *
 *   redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
 *   redis+unix:PATH
 *   redis-sentinel://[[USER]:PASSWORD@]HOST[:PORT],…/PRIMARY[/DB]
 *   options: password=file:PATH   wait=REPLICAS,MILLISECONDS
 *
 * Called by the front when a configuration is read; nothing but the password's file is opened. What always holds: no
 * sentence for the administrator contains a password or a part of one. Limits: user, password and PRIMARY are
 * percent-encoded where they hold one of "%/@:,".
 */
#include "redis_private.h"
#include "password.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>

#define REDIS_PORT 6379
#define SENTINEL_PORT 26379
#define SERVERS_MOST 16
#define DB_MOST 65535
#define REPLICAS_MOST 32
#define WAIT_MOST 10000 /* milliseconds */

/* A configuration being read. */
typedef struct reading {
    idem_redis *store;
    apr_pool_t *pool;
    const char **why;
} reading;

#define wrong(r, ...) idem_wrong((r)->pool, (r)->why, __VA_ARGS__)

/* A whole decimal number within bounds, or -1. */
static long bounded_number(const char *text, long least, long most)
{
    char *end;
    long n = strtol(text, &end, 10);
    return apr_isdigit(*text) && *end == '\0' && n >= least && n <= most ? n : -1;
}

static const char *redis_decoded(reading *r, const char *text)
{
    return apr_punescape_url(r->pool, text, NULL, NULL, 0);
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static apr_status_t read_wait(reading *r, const char *value)
{
    char *rest, *count = apr_strtok(apr_pstrdup(r->pool, value), ",", &rest);
    long replicas = count ? bounded_number(count, 1, REPLICAS_MOST) : -1;
    long ms = count ? bounded_number(rest, 1, WAIT_MOST) : -1;

    if (replicas < 0 || ms < 0)
        return wrong(r, "option wait=REPLICAS,MILLISECONDS takes 1 to %d replicas and 1 to %d milliseconds, not \"%s\"",
                     REPLICAS_MOST, WAIT_MOST, value);
    r->store->wait_replicas = (int)replicas;
    r->store->wait_ms = (int)ms;
    return APR_SUCCESS;
}

static apr_status_t redis_read_option(reading *r, const char *option)
{
    static const char password[] = "password=", wait[] = "wait=";

    if (strncmp(option, wait, sizeof(wait) - 1) == 0)
        return read_wait(r, option + sizeof(wait) - 1);
    if (strncmp(option, password, sizeof(password) - 1) != 0)
        return wrong(r, "a Redis store has the options password=file:PATH and wait=REPLICAS,MILLISECONDS, not \"%s\"",
                     option);
    if (r->store->password)
        return wrong(r, "the address already has a password: remove it, or remove option password=");
    return idem_password_read(option + sizeof(password) - 1, r->store->env, r->pool, &r->store->password, r->why);
}

static apr_status_t redis_read_options(reading *r, const char *const *options)
{
    apr_status_t rv = APR_SUCCESS;

    for (; rv == APR_SUCCESS && options && *options; options++)
        rv = redis_read_option(r, *options);
    if (rv == APR_SUCCESS && r->store->user && !r->store->password)
        return wrong(r, "a user without a password: write USER:PASSWORD@ or :PASSWORD@, or add password=file:PATH");
    return rv;
}

/* ---- address ----------------------------------------------------------------------------------------------------- */

/* Cuts what is before the last '@' off and takes it apart. */
static apr_status_t read_user(reading *r, char **authority)
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

static apr_status_t redis_read_server(reading *r, const char *text, apr_port_t usual, idem_redis_address *address)
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

static apr_status_t redis_read_servers(reading *r, char *list, apr_port_t usual)
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

static apr_status_t read_db(reading *r, const char *text)
{
    long db = *text ? bounded_number(text, 0, DB_MOST) : 0;

    if (db < 0)
        return wrong(r, "\"%s\" is not the number of a database: 0 to %d", text, DB_MOST);
    r->store->db = (int)db;
    return APR_SUCCESS;
}

/* "//authority/path"; what follows the authority's '/' goes to *path, "" if there is none. */
static apr_status_t split_address(reading *r, const char *rest, char **authority, char **path)
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

static reading begin_reading(const idem_env *env, apr_pool_t *pool, const char **why)
{
    reading r = {apr_pcalloc(pool, sizeof(idem_redis)), pool, why};

    r.store->super.flags = IDEM_OFFLINE | IDEM_LOOKS | IDEM_EVICTS | IDEM_VOLATILE; /* until it is known better */
    r.store->super.max_value = IDEM_REDIS_VALUE_MAX;
    r.store->env = env;
    idem_redis_script_init(r.store);
    return r;
}

apr_status_t idem_redis_configure_tcp(idem_store **out, const idem_env *env, const char *rest,
                                      const char *const *options, apr_pool_t *pool, const char **why)
{
    reading r = begin_reading(env, pool, why);
    char *authority, *path;
    apr_status_t rv = split_address(&r, rest, &authority, &path);

    if (rv == APR_SUCCESS)
        rv = redis_read_servers(&r, authority, REDIS_PORT);
    if (rv == APR_SUCCESS && r.store->server_count > 1)
        return wrong(&r, "a store is on one server: name one host, or its sentinels with redis-sentinel:");
    if (rv == APR_SUCCESS)
        rv = read_db(&r, path);
    if (rv == APR_SUCCESS)
        rv = redis_read_options(&r, options);
    *out = &r.store->super;
    return rv;
}

apr_status_t idem_redis_configure_tls(idem_store **out, const idem_env *env, const char *rest,
                                      const char *const *options, apr_pool_t *pool, const char **why)
{
    (void)out, (void)env, (void)rest, (void)options;
    *why = apr_psprintf(pool,
                        "this build, made with hiredis %d.%d, cannot speak TLS to Redis: use redis:// through a tunnel "
                        "(stunnel, a VPN)",
                        HIREDIS_MAJOR, HIREDIS_MINOR);
    return APR_ENOTIMPL;
}

apr_status_t idem_redis_configure_unix(idem_store **out, const idem_env *env, const char *rest,
                                       const char *const *options, apr_pool_t *pool, const char **why)
{
    reading r = begin_reading(env, pool, why);
    idem_redis_address *server = apr_pcalloc(pool, sizeof(*server));

    if (*rest != '/')
        return wrong(&r, "redis+unix:PATH needs the absolute path of Redis's socket, not \"%s\"", rest);
    server->host = apr_pstrdup(pool, rest);
    r.store->servers = server;
    r.store->server_count = 1;
    *out = &r.store->super;
    return redis_read_options(&r, options);
}

apr_status_t idem_redis_configure_sentinel(idem_store **out, const idem_env *env, const char *rest,
                                           const char *const *options, apr_pool_t *pool, const char **why)
{
    reading r = begin_reading(env, pool, why);
    char *authority, *path, *slash, *db = "";
    apr_status_t rv = split_address(&r, rest, &authority, &path);

    if (rv == APR_SUCCESS)
        rv = redis_read_servers(&r, authority, SENTINEL_PORT);
    if (rv != APR_SUCCESS)
        return rv;
    slash = strchr(path, '/');
    if (slash) {
        *slash = '\0';
        db = slash + 1;
    }
    r.store->primary = *path ? redis_decoded(&r, path) : NULL;
    if (!r.store->primary)
        return wrong(&r,
                     "redis-sentinel://HOST,HOST,HOST/PRIMARY needs the name by which the sentinels know the primary");
    rv = read_db(&r, db);
    if (rv == APR_SUCCESS)
        rv = redis_read_options(&r, options);
    *out = &r.store->super;
    return rv;
}
