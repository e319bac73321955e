/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wiped.h - memory for copies of keys and credentials: it is overwritten when its pool ends.
 *
 * httpd's own tables also hold the request's values, and nobody wipes those. This keeps the module from leaving further
 * copies.
 */
#ifndef IDEM_WIPED_H
#define IDEM_WIPED_H

#include <apr_pools.h>

/* Never NULL; unset. */
void *idem_wiped_alloc(apr_pool_t *pool, apr_size_t len);

#endif
