/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pools.c - pools of no parent's, see pools.h. Called by keeper, renewer and the lmdb driver.
 *
 * httpd gives its pools a function that ends the process when they cannot grow. Their children inherit it. A pool
 * without a parent has none, and would hand out NULL.
 */
#include "pools.h"

#include <stdlib.h>
#include <unistd.h>

static int cannot_grow(int status)
{
    static const char said[] = "[crit] mod_idempotency: no memory, aborting process.\n";

    (void)status;
    if (write(STDERR_FILENO, said, sizeof(said) - 1) < 0)
        _exit(1);
    abort();
}

apr_status_t idem_pool_alone(apr_pool_t **pool)
{
    apr_status_t rv = apr_pool_create_unmanaged_ex(pool, NULL, NULL);

    if (rv == APR_SUCCESS)
        apr_pool_abort_set(cannot_grow, *pool);
    return rv;
}
