/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - what a process needs to reach the database: APR's driver, the statements, the client library, time.
 *
 * Called when a process attaches, and by the process that open() starts. What always holds: nothing in here belongs to
 * a pool of the server's. A thread that hangs in the client library may outlive detach(), and a child may end while it
 * hangs. For the same reason this code and the client library stay mapped once they have been used. Limits: functions
 * of the client library beyond APR are looked up by name. The driver does without those that are missing.
 */
#include "dbd_private.h"
#include "pools.h"

#include <apr_file_info.h>
#include <apr_strings.h>

#define USUAL_TIMEOUT apr_time_from_msec(500)
#define KEPT_FREE ((apr_size_t)256 << 10) /* bytes that a pool keeps for later; values may be far larger */

/* ---- libraries --------------------------------------------------------------------------------------------------- */

/* APR keeps its drivers in the root of the first pool that it gets, and loses them when that pool ends. So not ours. */
static apr_status_t load_driver(idem_dbd_access *access, idem_call *call)
{
    const idem_dbd_engine *engine = access->config.engine;
    apr_status_t rv = apr_dbd_init(call->pool);

    if (rv == APR_SUCCESS)
        rv = apr_dbd_get_driver(access->pool, engine->name, &access->driver);
    if (rv != APR_SUCCESS)
        return idem_dbd_fail(access, call, rv,
                             "APR's driver for %s is not installed, or cannot be loaded: Debian's package is %s",
                             engine->title, engine->package);
    access->library = idem_dbd_pin(access->driver);
    idem_dbd_pin((const void *)(apr_uintptr_t)&load_driver);
    return APR_SUCCESS;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

apr_pool_t *idem_dbd_own_pool(void)
{
    apr_pool_t *pool = NULL;

    if (idem_pool_alone(&pool) == APR_SUCCESS)
        apr_allocator_max_free_set(apr_pool_allocator_get(pool), KEPT_FREE);
    return pool;
}

int idem_dbd_is_file(const char *path)
{
    apr_pool_t *pool = idem_dbd_own_pool();
    apr_finfo_t info;
    int is_file;

    if (!pool)
        return 0;
    is_file = apr_stat(&info, path, APR_FINFO_TYPE, pool) == APR_SUCCESS && info.filetype == APR_REG;
    apr_pool_destroy(pool);
    return is_file;
}

apr_interval_time_t idem_dbd_timeout(const idem_dbd *store)
{
    return store->env->timeout ? store->env->timeout : USUAL_TIMEOUT;
}

static void copy_config(idem_dbd_access *access, const idem_dbd *store)
{
    idem_dbd_config *config = &access->config;

    config->engine = store->config.engine;
    config->params = apr_pstrdup(access->pool, store->config.params);
    config->password = apr_pstrdup(access->pool, store->config.password);
    config->table = apr_pstrdup(access->pool, store->config.table);
    config->path = apr_pstrdup(access->pool, store->config.path);
    config->connections = store->config.connections;
}

apr_status_t idem_dbd_access_make(const idem_dbd *store, idem_call *call, idem_dbd_access **out)
{
    apr_pool_t *pool = idem_dbd_own_pool();
    idem_dbd_access *access;
    apr_status_t rv;

    if (!pool)
        return APR_ENOMEM;
    access = apr_pcalloc(pool, sizeof(*access));
    access->pool = pool;
    access->timeout = idem_dbd_timeout(store);
    atomic_init(&access->users, 1);
    atomic_init(&access->generation, 0);
    atomic_init(&access->hanging, 0);
    copy_config(access, store);
    for (int i = 0; i < IDEM_DBD_STATEMENTS; i++)
        if (access->config.engine->texts[i])
            access->texts[i] =
                idem_dbd_translate(&access->config, access->config.engine->texts[i], &access->letters[i], pool);
    rv = load_driver(access, call);
    if (rv == APR_SUCCESS)
        *out = access;
    else
        apr_pool_destroy(pool);
    return rv;
}

void idem_dbd_access_done(idem_dbd_access *access)
{
    if (atomic_fetch_sub(&access->users, 1) == 1)
        apr_pool_destroy(access->pool);
}
