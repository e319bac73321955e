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
#include "secret.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

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
    const char *url, *options, *secret;
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

/* One store has one configuration, however many virtual hosts name it. */
static const char *conflict(const opened *known, const idem_server_settings *settings, const char *options,
                            const char *secret)
{
    if (settings->store_timeout * 3 >= settings->lease)
        return "IdempotencyStoreTimeout must be under a third of IdempotencyLease";
    if (!known)
        return NULL;
    if (strcmp(known->options, options))
        return "IdempotencyStore names one store with different options in different virtual hosts";
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
    if (*store->secret)
        why = idem_secret_check(store->secret, ptemp);
    if (why)
        return wrong_secret(store, why, ptemp);
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
    opened *store = find(settings->store_url);
    const char *wrong = conflict(store, settings, options, secret);

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

static int refuse(server_rec *s, const char *wrong)
{
    IDEM_SLOG(s, APLOG_EMERG, 60, "%s", wrong);
    return HTTP_INTERNAL_SERVER_ERROR;
}

int idem_stores_configure(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s)
{
    all = apr_array_make(pconf, 2, sizeof(opened));
    fronts = apr_array_make(pconf, 2, sizeof(idem_front *));
    for (; s; s = s->next) {
        const char *wrong = configure_one(pconf, ptemp, s, idem_server_settings_of(s));

        if (wrong)
            return refuse(s, wrong);
    }
    return OK;
}

/* ---- another secret's store ----------------------------------------------------------------------------------------- */

#define LOOK_SECONDS 10

/* In a process of its own, as the server's user: attach, and say what is wrong. */
static void look_in_child(const opened *store, apr_pool_t *pool)
{
    const char *why = NULL;
    apr_status_t rv;

    alarm(LOOK_SECONDS);
    if (geteuid() == 0 && (setgid(ap_unixd_config.group_id) != 0 || setuid(ap_unixd_config.user_id) != 0))
        _exit(0);
    rv = idem_front_attach(store->front, pool, &why);
    if (rv == IDEM_EDAMAGED)
        IDEM_SLOG(store->server, APLOG_EMERG, 61, "%s", why ? why : "unknown reason");
    _exit(rv == IDEM_EDAMAGED);
}

/*
 * Was the store made with another secret? It can be read only by a process that attaches, and the parent of the children must not.
 * A store that does not answer is looked at again by each child.
 */
static int is_of_another_secret(const opened *store, apr_pool_t *pool)
{
    int status = 0;
    pid_t child = fork();

    if (child == 0)
        look_in_child(store, pool);
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

/* ---- opening -------------------------------------------------------------------------------------------------------- */

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

static int open_one(apr_pool_t *pconf, opened *store)
{
    const char *why = NULL;
    apr_status_t rv = idem_front_open(store->front, pconf, &why);
    const idem_store *facts = idem_front_store(store->front);

    if (rv == APR_SUCCESS) {
        if (facts->warning)
            IDEM_SLOG(store->server, APLOG_WARNING, 62, "store %s: %s", idem_front_url(store->front), facts->warning);
        return is_of_another_secret(store, pconf) ? HTTP_INTERNAL_SERVER_ERROR : OK;
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

int idem_stores_open(apr_pool_t *pconf, apr_pool_t *ptemp)
{
    for (int i = 0; i < all->nelts; i++) {
        opened *store = &APR_ARRAY_IDX(all, i, opened);
        const char *wrong = give_ring(pconf, ptemp, store);
        int rv = wrong ? refuse(store->server, wrong) : open_one(pconf, store);

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
