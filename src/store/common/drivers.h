/* SPDX-License-Identifier: Apache-2.0 */
/*
 * drivers.h - the drivers that can be compiled in; registry.c says which of them are.
 */
#ifndef IDEM_DRIVERS_H
#define IDEM_DRIVERS_H

#include "idem_store.h"

extern const idem_driver idem_driver_lmdb;
extern const idem_driver idem_driver_socache; /* httpd only */
extern const idem_driver idem_driver_memcache;
extern const idem_driver idem_driver_dbd;
extern const idem_driver idem_driver_redis;
extern const idem_driver idem_driver_redis_tls;
extern const idem_driver idem_driver_redis_unix;
extern const idem_driver idem_driver_redis_sentinel;
extern const idem_driver idem_driver_redis_sentinel_tls;

#endif
