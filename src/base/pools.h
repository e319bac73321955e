/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools.h - pools that hang on no other: for what outlives requests, configurations, and the pools of a dying child.
 */
#ifndef IDEM_POOLS_H
#define IDEM_POOLS_H

#include <apr_pools.h>

/*
 * The caller destroys it, from one thread at a time. APR_ENOMEM where there is none to be had. One that is there and
 * cannot grow ends the process, as httpd's own do: nobody looks whether apr_palloc() gave something.
 */
apr_status_t idem_pool_alone(apr_pool_t **pool);

#endif
