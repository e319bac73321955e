/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wiped.c - overwrites copies when their pool ends.
 *
 * Called wherever a key or a credential has to be copied: unescaped, decoded, joined, put in order. A pool cleanup does
 * it, so no way out of a request leaves a copy behind.
 */
#include "wiped.h"

#include <openssl/crypto.h>

typedef struct copy {
    apr_size_t len;
    unsigned char bytes[];
} copy;

static apr_status_t wipe_copy(void *data)
{
    copy *c = data;

    OPENSSL_cleanse(c->bytes, c->len);
    return APR_SUCCESS;
}

void *idem_wiped_alloc(apr_pool_t *pool, apr_size_t len)
{
    copy *c = apr_palloc(pool, sizeof(*c) + len);

    c->len = len;
    apr_pool_cleanup_register(pool, c, wipe_copy, apr_pool_cleanup_null);
    return c->bytes;
}
