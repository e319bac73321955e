/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wiped.h - memory for copies of keys and credentials: it is overwritten when its pool ends.
 *
 * What a request brings stands in httpd's own tables as well, which nobody wipes; this keeps the module from adding to
 * them.
 */
#ifndef IDEM_WIPED_H
#define IDEM_WIPED_H

#include <apr_pools.h>

/* Never NULL; unset. */
void *idem_wiped_alloc(apr_pool_t *pool, apr_size_t len);

#endif
