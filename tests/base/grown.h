/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grown.h - bytes that are appended to, for what writes in pieces. Without memory the test's program ends.
 */
#ifndef IDEM_GROWN_H
#define IDEM_GROWN_H

#include <stdlib.h>
#include <string.h>

#include <apr.h>

/* Begins as {NULL, 0}; freed by free(data). A NUL stands behind the last byte once something was appended. */
typedef struct grown {
    char *data;
    size_t len;
} grown;

/* baton: a grown. The type is that of what idem_json_write() calls. */
static inline void grown_append(void *baton, const void *data, apr_size_t len)
{
    grown *to = baton;

    to->data = realloc(to->data, to->len + len + 1);
    if (!to->data)
        abort();
    if (len)
        memcpy(to->data + to->len, data, len);
    to->len += len;
    to->data[to->len] = '\0';
}

#endif
