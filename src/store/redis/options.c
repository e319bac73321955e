/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options.c - reads the options of a Redis store.
 *
 *   password=file:PATH   wait=REPLICAS,MILLISECONDS
 *   sentinel-user=NAME   sentinel-password=file:PATH    for sentinels
 *   ca=PATH   cert=PATH   key=PATH   servername=NAME    for TLS
 *
 * Called by config.c behind the address. What always holds: an option that the address has no use for is refused, so
 * that nobody takes a connection for encrypted that is not; no sentence contains a password or a part of one. Limits:
 * where an option comes twice, the last one counts, except a password.
 */
#include "redis_private.h"
#include "password.h"

#include <apr_lib.h>
#include <apr_strings.h>
#include <stdlib.h>

#define REPLICAS_MOST 32
#define WAIT_MOST 10000 /* milliseconds */
#define NAME_MOST 253   /* characters of a host's name */

#define wrong(r, ...) idem_wrong((r)->pool, (r)->why, __VA_ARGS__)

long idem_redis_bounded(const char *text, long least, long most)
{
    char *end;
    long n = strtol(text, &end, 10);
    return apr_isdigit(*text) && *end == '\0' && n >= least && n <= most ? n : -1;
}

/* ---- of each store ----------------------------------------------------------------------------------------------- */

typedef apr_status_t option_reader(idem_redis_reading *r, const char *value);

static apr_status_t read_wait(idem_redis_reading *r, const char *value)
{
    char *rest, *count = apr_strtok(apr_pstrdup(r->pool, value), ",", &rest);
    long replicas = count ? idem_redis_bounded(count, 1, REPLICAS_MOST) : -1;
    long ms = count ? idem_redis_bounded(rest, 1, WAIT_MOST) : -1;

    if (replicas < 0 || ms < 0)
        return wrong(r, "option wait=REPLICAS,MILLISECONDS takes 1 to %d replicas and 1 to %d milliseconds, not \"%s\"",
                     REPLICAS_MOST, WAIT_MOST, value);
    r->store->wait_replicas = (int)replicas;
    r->store->wait_ms = (int)ms;
    return APR_SUCCESS;
}

static apr_status_t redis_read_password(idem_redis_reading *r, const char *value)
{
    if (r->store->password)
        return wrong(r, "the address already has a password: remove it, or remove option password=");
    return idem_password_read("password", value, r->store->env, r->pool, &r->store->password, r->why);
}

/* ---- of sentinels ------------------------------------------------------------------------------------------------ */

static apr_status_t needs_sentinels(idem_redis_reading *r, const char *option)
{
    return r->store->primary ? APR_SUCCESS
                             : wrong(r, "option %s= is for redis-sentinel:// and rediss-sentinel://", option);
}

static apr_status_t read_sentinel_user(idem_redis_reading *r, const char *value)
{
    apr_status_t rv = needs_sentinels(r, "sentinel-user");

    if (rv == APR_SUCCESS && !*value)
        return wrong(r, "option sentinel-user=NAME needs a name");
    r->store->sentinel_user = value;
    return rv;
}

static apr_status_t read_sentinel_password(idem_redis_reading *r, const char *value)
{
    apr_status_t rv = needs_sentinels(r, "sentinel-password");

    if (rv == APR_SUCCESS && r->store->sentinel_password)
        return wrong(r, "option sentinel-password= is given twice");
    return rv != APR_SUCCESS ? rv
                             : idem_password_read("sentinel-password", value, r->store->env, r->pool,
                                                  &r->store->sentinel_password, r->why);
}

/* ---- of TLS ------------------------------------------------------------------------------------------------------ */

/* What the option is for; NULL, and the reason said, in a store that speaks none. */
static idem_redis_tls *tls_of(idem_redis_reading *r, const char *option)
{
    if (!r->store->tls)
        wrong(r, "option %s= is for TLS: write rediss:// or rediss-sentinel://", option);
    return r->store->tls;
}

/* The same for a path, which has to be a whole one. */
static idem_redis_tls *tls_for_path(idem_redis_reading *r, const char *option, const char *path)
{
    idem_redis_tls *tls = tls_of(r, option);

    if (!tls || *path == '/')
        return tls;
    wrong(r, "option %s=PATH needs an absolute path, not \"%s\"", option, path);
    return NULL;
}

static apr_status_t read_ca(idem_redis_reading *r, const char *value)
{
    idem_redis_tls *tls = tls_for_path(r, "ca", value);

    if (!tls)
        return APR_EINVAL;
    tls->ca = value;
    return APR_SUCCESS;
}

static apr_status_t read_cert(idem_redis_reading *r, const char *value)
{
    idem_redis_tls *tls = tls_for_path(r, "cert", value);

    if (!tls)
        return APR_EINVAL;
    tls->cert = value;
    return APR_SUCCESS;
}

static apr_status_t read_key_path(idem_redis_reading *r, const char *value)
{
    idem_redis_tls *tls = tls_for_path(r, "key", value);

    if (!tls)
        return APR_EINVAL;
    tls->key = value;
    return APR_SUCCESS;
}

static apr_status_t read_servername(idem_redis_reading *r, const char *value)
{
    idem_redis_tls *tls = tls_of(r, "servername");

    if (!tls)
        return APR_EINVAL;
    for (const char *c = value; *c; c++)
        if (!apr_isalnum(*c) && !strchr(".-_:", *c))
            return wrong(r, "option servername=NAME takes the name of a host or its number, not \"%s\"", value);
    if (!*value || strlen(value) > NAME_MOST)
        return wrong(r, "option servername=NAME takes a name of 1 to %d characters", NAME_MOST);
    tls->servername = value;
    return APR_SUCCESS;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    option_reader *read;
} known[] = {
    {"password", redis_read_password},
    {"wait", read_wait},
    {"sentinel-user", read_sentinel_user},
    {"sentinel-password", read_sentinel_password},
    {"ca", read_ca},
    {"cert", read_cert},
    {"key", read_key_path},
    {"servername", read_servername},
};

static apr_status_t redis_read_option(idem_redis_reading *r, const char *option)
{
    const char *value = strchr(option, '=');

    for (size_t i = 0; value && i < sizeof(known) / sizeof(known[0]); i++)
        if (strlen(known[i].name) == (size_t)(value - option) &&
            strncmp(option, known[i].name, (size_t)(value - option)) == 0)
            return known[i].read(r, value + 1);
    return wrong(
        r,
        "a Redis store has the options password=file:PATH and wait=REPLICAS,MILLISECONDS, with TLS also ca=PATH, "
        "cert=PATH, key=PATH and servername=NAME, with sentinels also sentinel-user=NAME and "
        "sentinel-password=file:PATH, not \"%s\"",
        option);
}

apr_status_t idem_redis_read_options(idem_redis_reading *r, const char *const *options)
{
    apr_status_t rv = APR_SUCCESS;

    for (; rv == APR_SUCCESS && options && *options; options++)
        rv = redis_read_option(r, *options);
    if (rv == APR_SUCCESS && r->store->user && !r->store->password)
        return wrong(r, "a user without a password: write USER:PASSWORD@ or :PASSWORD@, or add password=file:PATH");
    if (rv == APR_SUCCESS && r->store->sentinel_user && !r->store->sentinel_password)
        return wrong(r, "option sentinel-user= needs option sentinel-password=file:PATH");
    return rv == APR_SUCCESS ? idem_redis_tls_read(r) : rv;
}
