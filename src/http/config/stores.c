/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stores.c - from IdempotencyStore to open fronts.
 *
 * Called by the module's hooks. One front per URL and configuration: virtual hosts that name the same store share it.
 * If a local store that an administrator named cannot be opened, the server does not start. For the default one it
 * warns, and guarded requests get 503 until the store is there.
 */
#include "stores.h"

#include "config.h"
#include "log.h"
#include "probe.h"
#include "secret.h"
#include "threads.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ap_mpm.h>
#include <ap_provider.h>
#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <unixd.h>

#define START_PATIENCE apr_time_from_sec(2)

#ifndef IDEM_STATEDIR
#define IDEM_STATEDIR "/var/lib/apache2"
#endif

typedef struct opened {
    idem_front *front;
    const char *url, *options, *secret;
    apr_interval_time_t timeout;
    int named;
    server_rec *server; /* the first that names it, for log lines */
} opened;

static apr_array_header_t *all;    /* of opened, in pconf */
static apr_array_header_t *fronts; /* of idem_front *, in pconf */

static apr_pool_t *tables; /* pconf, while it is being filled */

/* A driver of version 1 has a shorter table: a copy of it has NULL behind. */
static const idem_driver *find_provider(const char *scheme)
{
    const idem_driver *driver = ap_lookup_provider(IDEM_STORE_GROUP, scheme, IDEM_STORE_VERSION), *shorter;
    idem_driver *copy;

    if (driver)
        return driver;
    shorter = ap_lookup_provider(IDEM_STORE_GROUP, scheme, IDEM_STORE_VERSION_1);
    if (!shorter)
        return NULL;
    copy = apr_pcalloc(tables, sizeof(*copy));
    memcpy(copy, shorter, IDEM_DRIVER_SIZE_1);
    return copy;
}

/* NULL, or what is wrong: there is a driver, but for other versions of idem_store.h. */
static const char *wrong_version(const char *url, apr_pool_t *ptemp)
{
    const apr_array_header_t *groups = ap_list_provider_groups(ptemp);
    const char *scheme = apr_pstrmemdup(ptemp, url, strcspn(url, ":")), *versions = NULL;

    if (find_provider(scheme))
        return NULL;
    for (int i = 0; i < groups->nelts; i++) {
        const ap_list_provider_groups_t *group = &APR_ARRAY_IDX(groups, i, ap_list_provider_groups_t);

        if (!strcmp(group->provider_group, IDEM_STORE_GROUP) &&
            ap_lookup_provider(IDEM_STORE_GROUP, scheme, group->provider_version))
            versions =
                apr_pstrcat(ptemp, versions ? versions : "", versions ? " and " : "", group->provider_version, NULL);
    }
    return !versions ? NULL
                     : apr_psprintf(ptemp,
                                    "the driver of \"%s:\" was made for version %s of idem_store.h, and this "
                                    "mod_idempotency takes versions " IDEM_STORE_VERSION " and " IDEM_STORE_VERSION_1
                                    " only: install a module that fits",
                                    scheme, versions);
}

void idem_stores_register(apr_pool_t *pconf)
{
    tables = pconf;
    idem_registry_finder = find_provider;
    for (const idem_driver *const *driver = idem_registry_drivers(); *driver; driver++)
        ap_register_provider(pconf, IDEM_STORE_GROUP, (*driver)->scheme, IDEM_STORE_VERSION, *driver);
}

/*
 * httpd ends where a hook fails while it reads its configuration again, and by then the old generation has been told to
 * end. So a fault that stops a start does not stop a reload: it is logged as an alert, and that store's requests get
 * 503.
 */
#define SERVED "mod_idempotency: a generation has been configured"

static int is_reload(void)
{
    return ap_retained_data_get(SERVED) != NULL;
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
    env->look_only = ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST;
}

static opened *find_store(const char *url)
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

/* One store has one configuration, however many virtual hosts name it. */
static const char *store_conflict(const opened *known, const idem_server_settings *settings, const char *options,
                                  const char *secret)
{
    if (settings->store_timeout * 3 >= settings->lease)
        return "IdempotencyStoreTimeout must be under a third of IdempotencyLease";
    if (!known)
        return NULL;
    if (strcmp(known->options, options))
        return "IdempotencyStore gives the same store different options in different virtual hosts";
    if (known->timeout != settings->store_timeout)
        return "IdempotencyStoreTimeout differs between virtual hosts that share a store";
    if (strcmp(known->secret, secret))
        return "IdempotencySecret differs between virtual hosts that share a store";
    return NULL;
}

static const char *wrong_secret(const opened *store, const char *why, apr_pool_t *ptemp)
{
    return apr_psprintf(ptemp, "IdempotencySecret %s %s", store->secret, why);
}

static const char *add_front(opened *store, const char *const *options, apr_pool_t *pconf, apr_pool_t *ptemp)
{
    static const char *const none[] = {NULL};
    const char *why = NULL;
    idem_env *env = apr_pcalloc(pconf, sizeof(*env));

    describe_env(env, pconf, store->server);
    env->timeout = store->timeout;
    if (*store->secret && !is_reload()) /* at a reload post_config says it, and the server goes on */
        why = idem_secret_check(store->secret, ptemp);
    if (why)
        return wrong_secret(store, why, ptemp);
    if ((why = wrong_version(store->url, ptemp)) != NULL)
        return apr_pstrcat(ptemp, "IdempotencyStore: ", why, NULL);
    if (idem_front_configure(&store->front, env, store->url, options ? options : none, pconf, &why) != APR_SUCCESS)
        return apr_psprintf(ptemp, "IdempotencyStore: %s", why ? why : "cannot be used");
    idem_front_set_timeout(store->front, store->timeout);
    APR_ARRAY_PUSH(fronts, idem_front *) = store->front;
    return NULL;
}

static const char *configure_one(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s, idem_server_settings *settings)
{
    const char *options = join_options(pconf, settings->store_options),
               *secret = settings->secret ? settings->secret : "";
    opened *store = find_store(settings->store_url);
    const char *wrong = store_conflict(store, settings, options, secret);

    if (wrong)
        return wrong;
    if (!store) {
        store = apr_array_push(all);
        store->url = settings->store_url;
        store->options = options;
        store->secret = secret;
        store->timeout = settings->store_timeout;
        store->server = s;
        wrong = add_front(store, settings->store_options, pconf, ptemp);
    }
    store->named |= settings->store_named;
    settings->stores = store->front;
    return wrong;
}

/* httpd adds the place to what it refuses itself; this comes after it has read the configuration. */
static int refuse_start(server_rec *s, const char *wrong)
{
    const char *place = idem_server_settings_of(s)->store_place;
    int known = place && !strncmp(wrong, "IdempotencyStore", strlen("IdempotencyStore"));

    IDEM_SLOG(s, APLOG_EMERG, 60, "%s%s%s", wrong, known ? ": " : "", known ? place : "");
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int check_stores(apr_pool_t *pconf, apr_pool_t *ptemp);

int idem_stores_configure(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
{
    all = apr_array_make(pconf, 2, sizeof(opened));
    fronts = apr_array_make(pconf, 2, sizeof(idem_front *));
    for (; s; s = s->next) {
        const char *wrong = configure_one(pconf, ptemp, s, idem_server_settings_of(s));

        if (wrong)
            return refuse_start(s, wrong);
    }
    return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST ? check_stores(pconf, ptemp) : OK;
}

/* ---- another secret's store -------------------------------------------------------------------------------------- */

#define SECRET_SECONDS 10
#define GUARDED_GET_503 "guarded requests get 503 until you repair this and reload the server"

/* In a process of its own, as the server's user: attach, and say what is wrong. */
static void probe_in_child(const opened *store, apr_pool_t *pool)
{
    const char *why = NULL;
    apr_status_t rv;

    idem_probe_alone();
    alarm(SECRET_SECONDS);
    if (idem_probe_become(ap_unixd_config.user_id, ap_unixd_config.group_id) != 0)
        _exit(0);
    rv = idem_front_attach(store->front, pool, &why);
    if (rv == IDEM_EDAMAGED && is_reload())
        IDEM_SLOG(store->server, APLOG_ALERT, 151, "%s; the server keeps running, and " GUARDED_GET_503,
                  why ? why : "unknown reason");
    else if (rv == IDEM_EDAMAGED)
        IDEM_SLOG(store->server, APLOG_EMERG, 61, "%s", why ? why : "unknown reason");
    _exit(rv == IDEM_EDAMAGED);
}

/*
 * Was the store made with another secret? It can be read only by a process that attaches, and the parent of the
 * children must not. If the store does not answer, each child asks it again.
 */
static int is_of_another_secret(const opened *store, apr_pool_t *pool)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        probe_in_child(store, pool);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* NULL, or what is wrong with the secrets. */
static const char *give_ring(apr_pool_t *pconf, apr_pool_t *ptemp, opened *store)
{
    idem_keyring *ring;
    const char *why;

    if (!*store->secret)
        return NULL;
    if (idem_secret_read(store->secret, pconf, ptemp, &ring, &why) != APR_SUCCESS)
        return wrong_secret(store, why, ptemp);
    idem_front_set_ring(store->front, ring);
    return NULL;
}

static int stop_for(const opened *store, const char *why)
{
    IDEM_SLOG(store->server, APLOG_EMERG, 63, "store %s cannot be opened: %s", idem_front_url(store->front),
              why ? why : "unknown reason");
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int go_on_without(const opened *store, const char *why)
{
    why = why ? why : "unknown reason";
    IDEM_SLOG(store->server, APLOG_ALERT, 150,
              "store %s cannot be opened: %s; the server keeps running, and " GUARDED_GET_503,
              idem_front_url(store->front), why);
    idem_front_damaged(store->front, why);
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
        if (!is_of_another_secret(store, pconf))
            return OK;
        if (!is_reload())
            return HTTP_INTERNAL_SERVER_ERROR;
        idem_front_damaged(store->front, "the store was made with another secret"); /* logged by that process */
        return OK;
    }
    if (store->named && (facts->flags & IDEM_HOST_LOCAL))
        return is_reload() ? go_on_without(store, why) : stop_for(store, why);
    IDEM_SLOG(store->server, APLOG_WARNING, 64,
              "store %s cannot be opened; guarded requests get 503 until it can be: %s", idem_front_url(store->front),
              why ? why : "unknown reason");
    return OK;
}

int idem_stores_open(apr_pool_t *pconf, apr_pool_t *ptemp)
{
    for (int i = 0; i < all->nelts; i++) {
        opened *store = &APR_ARRAY_IDX(all, i, opened);
        const char *wrong = give_ring(pconf, ptemp, store);
        int rv;

        if (wrong && is_reload())
            rv = go_on_without(store, wrong);
        else
            rv = wrong ? refuse_start(store->server, wrong) : open_one(pconf, store);
        if (rv != OK)
            return rv;
    }
    ap_retained_data_create(SERVED, 1);
    return OK;
}

/* ---- configtest -------------------------------------------------------------------------------------------------- */

/* Finds each fault that would stop a start, as far as its user can see it. A command's secret is not asked for. */
static int check_store(apr_pool_t *pconf, apr_pool_t *ptemp, opened *store)
{
    const idem_store *facts = idem_front_store(store->front);
    int is_command = !strncmp(store->secret, "exec:", 5);
    const char *why = NULL;

    if (!(facts->flags & IDEM_LOOKS))
        return OK;
    if (!is_command && give_ring(pconf, ptemp, store)) /* checked before */
        return HTTP_INTERNAL_SERVER_ERROR;
    if (idem_front_open(store->front, pconf, &why) == APR_SUCCESS)
        return !is_command && (facts->flags & IDEM_LOOKS) && is_of_another_secret(store, pconf)
                   ? HTTP_INTERNAL_SERVER_ERROR
                   : OK;
    if (!store->named || !(facts->flags & IDEM_HOST_LOCAL))
        return OK; /* a start warns of it, and goes on */
    return stop_for(store, why);
}

static int check_stores(apr_pool_t *pconf, apr_pool_t *ptemp)
{
    int rv = OK;

    for (int i = 0; i < all->nelts && rv == OK; i++)
        rv = check_store(pconf, ptemp, &APR_ARRAY_IDX(all, i, opened));
    return rv;
}

/* A start deserves more patience than a request: a database may need its time to fork the first process for us. */
static apr_status_t attach_patiently(idem_front *front, apr_pool_t *pchild, const char **why)
{
    apr_interval_time_t until = idem_monotonic() + START_PATIENCE;
    apr_status_t rv;

    do
        rv = idem_front_attach(front, pchild, why);
    while (rv == APR_TIMEUP && idem_monotonic() < until);
    return rv;
}

void idem_stores_attach(apr_pool_t *pchild, server_rec *s)
{
    for (int i = 0; i < all->nelts; i++) {
        opened *store = &APR_ARRAY_IDX(all, i, opened);
        const char *why = NULL;
        apr_status_t rv = attach_patiently(store->front, pchild, &why);

        if (rv == APR_SUCCESS && idem_front_store(store->front)->owner)
            IDEM_SLOG(s, APLOG_INFO, 220, "store %s: this process is owner %" APR_UINT64_T_HEX_FMT,
                      idem_front_url(store->front), idem_front_store(store->front)->owner);
        else if (rv != APR_SUCCESS && rv != IDEM_EDOWN)
            IDEM_SLOG(s, APLOG_ERR, 65, "this process cannot use store %s: %s", idem_front_url(store->front),
                      why ? why : "unknown reason");
    }
}

const idem_keyring *idem_stores_ring(server_rec *s)
{
    return idem_front_ring(idem_stores_front(s));
}

idem_front *idem_stores_front(server_rec *s)
{
    return idem_server_settings_of(s)->stores;
}

const apr_array_header_t *idem_stores_all(void)
{
    return fronts;
}
