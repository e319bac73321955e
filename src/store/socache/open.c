/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - makes a socache store: reads its address, creates cache and mutex, attaches a child.
 *
 * Called by the front at start and in each child. What always holds: nothing of the cache is touched before the mutex
 * is held, since children of the generation before may use a persistent cache. For the same reason the mutex of one
 * address is the same in all generations. The largest value is not only computed: it has been stored once and read
 * back. Limits: the cache is made in the parent, so a store whose open() failed cannot be attached later.
 */
#include "socache_private.h"

#include <ap_provider.h>
#include <http_config.h>
#include <util_mutex.h>

#include <apr_strings.h>
#include <apr_version.h>

#include "digest.h"

#define OPEN_PATIENCE apr_time_from_sec(10)
#define SMALLEST_USEFUL 512 /* a lease, and a little */
#define POLL_FIRST apr_time_from_msec(1)
#define POLL_MOST apr_time_from_msec(20)

/* ---- the mutex --------------------------------------------------------------------------------------------------- */

/* Survives restarts of the configuration, under the store's address. */
typedef struct kept_mutex {
    apr_global_mutex_t *mutex;
} kept_mutex;

apr_status_t idem_socache_pre_config(apr_pool_t *pconf)
{
    return ap_mutex_register(pconf, IDEM_SOCACHE_MUTEX, NULL, APR_LOCK_DEFAULT, 0);
}

/* For mechanisms, or versions of APR, that cannot wait with a deadline. */
static apr_status_t poll_mutex(apr_global_mutex_t *mutex, apr_time_t deadline)
{
    apr_interval_time_t pause = POLL_FIRST;
    for (;;) {
        apr_time_t left = deadline - apr_time_now();
        apr_status_t rv = apr_global_mutex_trylock(mutex);
        if (!APR_STATUS_IS_EBUSY(rv))
            return rv;
        if (left <= 0)
            return APR_TIMEUP;
        apr_sleep(pause < left ? pause : left);
        pause = pause * 2 < POLL_MOST ? pause * 2 : POLL_MOST;
    }
}

static apr_status_t wait_for_mutex(apr_global_mutex_t *mutex, apr_time_t deadline)
{
#if APR_VERSION_AT_LEAST(1, 7, 0)
    apr_interval_time_t left = deadline - apr_time_now();
    apr_status_t rv = apr_global_mutex_timedlock(mutex, left > 0 ? left : 0);
    if (!APR_STATUS_IS_ENOTIMPL(rv))
        return rv;
#endif
    return poll_mutex(mutex, deadline);
}

apr_status_t idem_socache_lock(idem_socache *store, idem_call *call)
{
    apr_status_t rv = wait_for_mutex(store->mutex, call->deadline);
    if (rv != APR_SUCCESS)
        call->why = "the mutex \"" IDEM_SOCACHE_MUTEX "\" stayed locked until the deadline: another process holds it";
    return rv;
}

/* One mutex per address, made on first use and kept as long as the server runs. */
static apr_status_t make_mutex(idem_socache *store, apr_pool_t *pool, const char **why)
{
    server_rec *s = store->env->server;
    const char *key = apr_pstrcat(pool, "idempotency-socache:", store->kind->name, ":", store->args, NULL);
    kept_mutex *kept = ap_retained_data_get(key);
    unsigned char digest[IDEM_DIGEST_LEN];
    apr_status_t rv = APR_SUCCESS;

    if (!kept)
        kept = ap_retained_data_create(key, sizeof(*kept));
    if (!kept->mutex) {
        rv = idem_digest_of(NULL, idem_blob_str(key), digest); /* tells the lock files of several stores apart */
        if (rv == APR_SUCCESS)
            rv = ap_global_mutex_create(&kept->mutex, NULL, IDEM_SOCACHE_MUTEX,
                                        apr_psprintf(pool, "%08x", (unsigned)idem_value_number(digest, 4)), s,
                                        s->process->pool, 0);
    }
    if (rv != APR_SUCCESS) {
        kept->mutex = NULL; /* it may have been made, but without the rights the children need */
        *why = "the mutex \"" IDEM_SOCACHE_MUTEX "\" could not be made: see the Mutex, User and Group directives";
    }
    store->made_mutex = kept->mutex;
    return rv;
}

/* ---- configure --------------------------------------------------------------------------------------------------- */

static apr_status_t refuse_kind(const char *name, apr_pool_t *pool, const char **why)
{
    const char *use = "the providers that can be used are shmcb and dbm";
    if (strcmp(name, "memcache") == 0)
        use = "use memcache:HOST, which claims a key in one atomic step";
    if (strcmp(name, "redis") == 0)
        use = "use redis://HOST, which claims a key in one atomic step";
    *why = apr_psprintf(pool, "socache:%s cannot keep idempotency records safely; %s", name, use);
    return APR_EINVAL;
}

static const idem_socache_kind *kind_named(const char *name)
{
    for (int i = 0; idem_socache_kinds[i]; i++)
        if (strcmp(idem_socache_kinds[i]->name, name) == 0)
            return idem_socache_kinds[i];
    return NULL;
}

apr_status_t idem_socache_configure(idem_store **out, const idem_env *env, const char *rest, const char *const *options,
                                    apr_pool_t *pool, const char **why)
{
    idem_socache *store = apr_pcalloc(pool, sizeof(*store));
    const char *colon = strchr(rest, ':');
    const char *name = colon ? apr_pstrmemdup(pool, rest, (apr_size_t)(colon - rest)) : rest;

    if (options && options[0]) {
        *why = apr_psprintf(pool, "a socache store has no option \"%s\": the provider's arguments follow its name",
                            options[0]);
        return APR_EINVAL;
    }
    store->env = env;
    store->kind = kind_named(*name ? name : idem_socache_kinds[0]->name);
    if (!store->kind)
        return refuse_kind(name, pool, why);
    store->super.flags = store->kind->flags;
    *out = &store->super;
    return store->kind->configure(store, colon ? colon + 1 : "", pool, why);
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static apr_status_t find_socache(idem_socache *store, apr_pool_t *pool, const char **why)
{
    const char *name = store->kind->name;
    store->provider = ap_lookup_provider(AP_SOCACHE_PROVIDER_GROUP, name, AP_SOCACHE_PROVIDER_VERSION);
    if (store->provider)
        return APR_SUCCESS;
    *why = apr_psprintf(pool, "socache:%s needs mod_socache_%s, which is not loaded: a2enmod socache_%s, or LoadModule",
                        name, name, name);
    return APR_ENOTIMPL;
}

static apr_status_t make_cache(idem_socache *store, apr_pool_t *pool, const char **why)
{
    struct ap_socache_hints hints = {IDEM_SLOT_LEN, IDEM_SOCACHE_AVERAGE, idem_socache_never()};
    const char *wrong = store->provider->create(&store->cache, store->args, pool, pool);
    apr_status_t rv;

    if (wrong) {
        *why = apr_psprintf(pool, "socache:%s does not understand \"%s\": %s", store->kind->name, store->args, wrong);
        return APR_EINVAL;
    }
    rv = store->provider->init(store->cache, "idempotency", &hints, store->env->server, pool);
    if (rv == APR_SUCCESS)
        return rv;
    *why = apr_psprintf(pool, "httpd cannot make socache:%s with \"%s\"; earlier lines of the log say why",
                        store->kind->name, store->args);
    return rv < 0 ? APR_EGENERAL : rv; /* some providers return DECLINED */
}

/* Does a value of this size fit? The mutex is held. */
static int segment_fits(idem_socache *store, apr_size_t size, apr_pool_t *pool)
{
    server_rec *s = store->env->server;
    unsigned int len = (unsigned int)(size + IDEM_SOCACHE_EXPIRY_LEN), there = len;
    unsigned char id[IDEM_SLOT_LEN];
    apr_status_t rv = idem_random(id, sizeof(id));

    memset(store->out, 0x5a, len);
    if (rv == APR_SUCCESS)
        rv = store->provider->store(store->cache, s, id, sizeof(id), idem_socache_never(), store->out, len, pool);
    if (rv == APR_SUCCESS)
        rv = store->provider->retrieve(store->cache, s, id, sizeof(id), store->in, &there, pool);
    store->provider->remove(store->cache, s, id, sizeof(id), pool);
    return rv == APR_SUCCESS && there == len && memcmp(store->in, store->out, len) == 0;
}

/* Proves the computed size; smaller ones are tried in case this httpd divides its memory otherwise. */
static apr_status_t find_largest(idem_socache *store, apr_pool_t *pool, const char **why)
{
    apr_size_t size = store->kind->largest(store);

    store->in = apr_palloc(pool, size + IDEM_SOCACHE_EXPIRY_LEN);
    store->out = apr_palloc(pool, size + IDEM_SOCACHE_EXPIRY_LEN);
    while (size >= SMALLEST_USEFUL && !segment_fits(store, size, pool))
        size = size * 3 / 4;
    store->super.max_value = size;
    if (size >= SMALLEST_USEFUL)
        return APR_SUCCESS;
    *why = apr_psprintf(pool, "socache:%s with \"%s\" is too small to keep a record", store->kind->name, store->args);
    return IDEM_EFULL;
}

static apr_status_t make_store(idem_socache *store, apr_pool_t *pool, const char **why)
{
    apr_status_t rv = APR_SUCCESS;

    if (store->kind->prepare)
        rv = store->kind->prepare(store, pool, why);
    if (rv == APR_SUCCESS)
        rv = make_cache(store, pool, why);
    if (rv == APR_SUCCESS)
        rv = find_largest(store, pool, why);
    if (rv == APR_SUCCESS)
        rv = idem_socache_share_file(store, store->lock_path, pool, why);
    if (rv == APR_SUCCESS && store->kind->finish)
        rv = store->kind->finish(store, pool, why);
    return rv;
}

apr_status_t idem_socache_open(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_socache *store = (idem_socache *)base;
    apr_status_t rv = find_socache(store, pool, why);

    if (rv == APR_SUCCESS)
        rv = make_mutex(store, pool, why);
    if (rv != APR_SUCCESS)
        return rv;
    rv = wait_for_mutex(store->made_mutex, apr_time_now() + OPEN_PATIENCE);
    if (rv != APR_SUCCESS) {
        *why = "the mutex \"" IDEM_SOCACHE_MUTEX "\" is held by a process of the server's previous run: does it hang?";
        return rv;
    }
    idem_clock_start(&store->clock, apr_time_now());
    rv = make_store(store, pool, why);
    apr_global_mutex_unlock(store->made_mutex);
    if (rv == APR_SUCCESS)
        store->super.warning = store->kind->warning(store, pool);
    else
        store->cache = NULL;
    return rv;
}

/* ---- attach ------------------------------------------------------------------------------------------------------ */

apr_status_t idem_socache_attach(idem_store *base, apr_pool_t *pool, const char **why)
{
    idem_socache *store = (idem_socache *)base;
    apr_status_t rv;

    if (!store->cache) {
        *why = "a socache store can only be made while the server starts, and that failed: repair the cause, "
               "then restart the server";
        return APR_ENOTIMPL;
    }
    store->mutex = store->made_mutex;
    rv = apr_global_mutex_child_init(&store->mutex, apr_global_mutex_lockfile(store->mutex), pool);
    if (rv != APR_SUCCESS) {
        *why = "this process cannot use the mutex \"" IDEM_SOCACHE_MUTEX "\"";
        return rv;
    }
    rv = idem_liveness_open(&store->liveness, store->lock_path, pool, why);
    if (rv == APR_SUCCESS)
        store->super.owner = idem_liveness_owner(store->liveness);
    return rv;
}
