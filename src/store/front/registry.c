/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - which store drivers this build has; the only file that knows IDEM_WITH_*.
 *
 * Called by the front when it reads a URL, and by the glue, which makes the compiled-in drivers known to other modules.
 * A driver of another module is asked for through idem_registry_finder; a compiled-in one of the same name wins.
 */
#include "front.h"

#include <apr_strings.h>

#include "drivers.h"

static const idem_driver *const drivers[] = {
    &idem_driver_lmdb,
#ifdef IDEM_WITH_SOCACHE
    &idem_driver_socache,
#endif
#ifdef IDEM_WITH_MEMCACHE
    &idem_driver_memcache,
#endif
#ifdef IDEM_WITH_REDIS
    &idem_driver_redis,
    &idem_driver_redis_tls,
    &idem_driver_redis_unix,
    &idem_driver_redis_sentinel,
    &idem_driver_redis_sentinel_tls,
#endif
#ifdef IDEM_WITH_DBD
    &idem_driver_dbd,
#endif
    NULL,
};

idem_driver_finder *idem_registry_finder;

const idem_driver *const *idem_registry_drivers(void)
{
    return drivers;
}

static const char *names_of_drivers(apr_pool_t *pool)
{
    const char *names = drivers[0]->scheme;
    for (int i = 1; drivers[i]; i++)
        names = apr_pstrcat(pool, names, ", ", drivers[i]->scheme, NULL);
    return names;
}

const idem_driver *idem_registry_find(const char *scheme, const char **names, apr_pool_t *pool)
{
    if (names)
        *names = names_of_drivers(pool);
    for (int i = 0; drivers[i]; i++)
        if (strcmp(drivers[i]->scheme, scheme) == 0)
            return drivers[i];
    return idem_registry_finder ? idem_registry_finder(scheme) : NULL;
}
