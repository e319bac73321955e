/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytes.h - big-endian numbers in and out of memory, with bounds.
 *
 * Writers are given room that the caller has measured. Readers carry a cursor, which turns bad instead of reading past
 * its end. So a decoder may read a whole group of fields and look once.
 */
#ifndef IDEM_BYTES_H
#define IDEM_BYTES_H

#include <openssl/crypto.h>
#include <string.h>

#include "idem_store.h"

typedef struct idem_cursor {
    const unsigned char *at, *end;
    int bad; /* something wanted more than there was; every later read gives zeros */
} idem_cursor;

static inline unsigned char *idem_put(unsigned char *to, apr_uint64_t n, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, n >>= 8)
        to[i] = (unsigned char)(n & 0xff);
    return to + bytes;
}

static inline unsigned char *idem_put_bytes(unsigned char *to, const void *from, apr_size_t len)
{
    if (len)
        memcpy(to, from, len);
    return to + len;
}

static inline idem_cursor idem_cursor_of(idem_blob b)
{
    idem_cursor c = {b.data, b.data + b.len, 0};
    return c;
}

static inline const unsigned char *idem_take_bytes(idem_cursor *c, apr_size_t len)
{
    const unsigned char *here = c->at;
    if (c->bad || (apr_size_t)(c->end - c->at) < len) {
        c->bad = 1;
        return NULL;
    }
    c->at += len;
    return here;
}

static inline apr_uint64_t idem_take(idem_cursor *c, int bytes)
{
    const unsigned char *here = idem_take_bytes(c, (apr_size_t)bytes);
    return here ? idem_value_number(here, bytes) : 0;
}

static inline idem_blob idem_blob_of(const void *data, apr_size_t len)
{
    idem_blob b = {(const unsigned char *)data, len};
    return b;
}

static inline idem_blob idem_blob_str(const char *s)
{
    return idem_blob_of(s, s ? strlen(s) : 0);
}

/* Equal in a time that depends on len alone. */
static inline int idem_equal_ct(const void *a, const void *b, apr_size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

#endif
