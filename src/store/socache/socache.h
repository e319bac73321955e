/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socache.h - what httpd's glue must do for the socache driver beside using it as a store.
 */
#ifndef IDEM_DRIVER_SOCACHE_H
#define IDEM_DRIVER_SOCACHE_H

#include <apr_pools.h>

/* The name under which the Mutex directive finds the lock of these stores. */
#define IDEM_SOCACHE_MUTEX "idempotency"

/* Makes the mutex known to the Mutex directive. In pre_config, whether or not such a store is used later. */
apr_status_t idem_socache_pre_config(apr_pool_t *pconf);

#endif
