/*
 * stores.c - from IdempotencyStore to open fronts.
 *
 * Called by the module's hooks. One front per URL and configuration: virtual hosts that name the same store share it. A local store
 * that an administrator named and that cannot be opened stops the start; the default one warns, and guarded requests get 503
 * until it is there.
 */
#include "stores.h"

#include "config.h"
#include "log.h"

#include <ap_mpm.h>
#include <ap_provider.h>
#include <apr_strings.h>
#include <http_core.h>
#include <unixd.h>

#ifndef IDEM_STATEDIR
#define IDEM_STATEDIR "/var/lib/apache2"
#endif

typedef struct opened {
    idem_front *front;
    const char *url, *options;
    apr_interval_time_t timeout;
    int named;
    server_rec *server; /* the first that names it, for log lines */
} opened;

static apr_array_header_t *all;    /* of opened, in pconf */
static apr_array_header_t *fronts; /* of idem_front *, in pconf */

static const idem_driver *find_provider(const char *scheme)
{
    return ap_lookup_provider(IDEM_STORE_GROUP, scheme, IDEM_STORE_VERSION);
}

void idem_stores_register(apr_pool_t *pconf)
{
    idem_registry_finder = find_provider;
    for (const idem_driver *const *driver = idem_registry_drivers(); *driver; driver++)
        ap_register_provider(pconf, IDEM_STORE_GROUP, (*driver)->scheme, IDEM_STORE_VERSION, *driver);
}

static void describe_env(idem_env *env, apr_pool_t *pconf, server_rec *s)
{
    int processes = 1, threads = 1;

    if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &processes) != APR_SUCCESS || processes < 1)
        processes = 1;
    if (ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &threads) == APR_SUCCESS && threads > 0 && threads < processes)
        processes = threads;
    if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) != APR_SUCCESS || threads < 1)
        threads = 1;
    env->state_dir = IDEM_STATEDIR;
    env->run_dir = ap_runtime_dir_relative(pconf, "");
    env->uid = ap_unixd_config.user_id;
    env->gid = ap_unixd_config.group_id;
    env->processes = 2 * processes; /* a graceful restart has two generations */
    env->threads = threads + 2;     /* the keeper, and the MPM's own */
    env->server = s;
}

static opened *find(const char *url)
{
    for (int i = 0; i < all->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(all, i, opened).url, url))
            return &APR_ARRAY_IDX(all, i, opened);
    return NULL;
}

static const char *join_options(apr_pool_t *pool, const char *const *options)
{
    const char *joined = "";

    for (; options && *options; options++)
        joined = apr_pstrcat(pool, joined, *options, " ", NULL);
    return joined;
}

static int configure_one(apr_pool_t *pconf, server_rec *s, idem_server_settings *settings)
{
    const char *options = join_options(pconf, settings->store_options), *why = NULL;
    opened *known = find(settings->store_url);
    static const char *const none[] = {NULL};
    idem_env *env;

    if (known && strcmp(known->options, options)) {
        IDEM_SLOG(s, APLOG_EMERG, 60, "IdempotencyStore %s is named twice with different options (\"%s\" and \"%s\")",
                  idem_front_url(known->front), known->options, options);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (settings->store_timeout * 3 >= settings->lease) {
        IDEM_SLOG(s, APLOG_EMERG, 67, "IdempotencyStoreTimeout must be under a third of IdempotencyLease");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (known && known->timeout != settings->store_timeout) {
        IDEM_SLOG(s, APLOG_EMERG, 66,
                  "IdempotencyStoreTimeout differs between virtual hosts that share the store %s: one "
                  "store has one timeout",
                  idem_front_url(known->front));
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (!known) {
        known = apr_array_push(all);
        known->url = settings->store_url;
        known->options = options;
        known->named = settings->store_named;
        known->timeout = settings->store_timeout;
        known->server = s;
        env = apr_pcalloc(pconf, sizeof(*env));
        describe_env(env, pconf, s);
        if (idem_front_configure(&known->front, env, settings->store_url,
                                 settings->store_options ? settings->store_options : none, pconf,
                                 &why) != APR_SUCCESS) {
            IDEM_SLOG(s, APLOG_EMERG, 61, "IdempotencyStore: %s", why ? why : "cannot be used");
            return HTTP_INTERNAL_SERVER_ERROR;
        }
        idem_front_set_timeout(known->front, settings->store_timeout);
        APR_ARRAY_PUSH(fronts, idem_front *) = known->front;
    }
    known->named |= settings->store_named;
    settings->stores = known->front;
    return OK;
}

int idem_stores_configure(apr_pool_t *pconf, server_rec *s)
{
    all = apr_array_make(pconf, 2, sizeof(opened));
    fronts = apr_array_make(pconf, 2, sizeof(idem_front *));
    for (; s; s = s->next) {
        int rv = configure_one(pconf, s, idem_server_settings_of(s));

        if (rv != OK)
            return rv;
    }
    return OK;
}

static int open_one(apr_pool_t *pconf, opened *store)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_open(store->front, pconf, &why);
    const idem_store *facts = idem_front_store(store->front);

    if (rv == APR_SUCCESS) {
        if (facts->warning)
            IDEM_SLOG(store->server, APLOG_WARNING, 62, "store %s: %s", idem_front_url(store->front), facts->warning);
        return OK;
    }
    if (store->named && (facts->flags & IDEM_HOST_LOCAL)) {
        IDEM_SLOG(store->server, APLOG_EMERG, 63, "store %s cannot be opened: %s", idem_front_url(store->front),
                  why ? why : "unknown reason");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    IDEM_SLOG(store->server, APLOG_WARNING, 64, "store %s cannot be opened, guarded requests get 503 until it can: %s",
              idem_front_url(store->front), why ? why : "unknown reason");
    return OK;
}

int idem_stores_open(apr_pool_t *pconf, server_rec *s)
{
    (void)s;
    for (int i = 0; i < all->nelts; i++) {
        int rv = open_one(pconf, &APR_ARRAY_IDX(all, i, opened));

        if (rv != OK)
            return rv;
    }
    return OK;
}

void idem_stores_attach(apr_pool_t *pchild, server_rec *s)
{
    for (int i = 0; i < all->nelts; i++) {
        opened *store = &APR_ARRAY_IDX(all, i, opened);
        const char *why = NULL;
        apr_status_t rv = idem_front_attach(store->front, pchild, &why);

        if (rv != APR_SUCCESS && rv != IDEM_EDOWN)
            IDEM_SLOG(s, APLOG_ERR, 65, "store %s cannot be used by this process: %s", idem_front_url(store->front),
                      why ? why : "unknown reason");
    }
}

idem_front *idem_stores_front(server_rec *s)
{
    return idem_server_settings_of(s)->stores;
}

const apr_array_header_t *idem_stores_all(void)
{
    return fronts;
}
