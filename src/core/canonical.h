/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canonical.h - a JSON text: what stands at a pointer (RFC 6901), and the canonical form (RFC 8785) of all of it or of
 * a part.
 *
 * A text that two readers may understand differently is refused: bad UTF-8, a lone surrogate, a member twice in one
 * object, NaN, a byte order mark. So are more than IDEM_JSON_DEPTH containers in one another, and a tree that would
 * take more than IDEM_JSON_MEMORY bytes. A build without jansson reads none (idem_json_is_there).
 */
#ifndef IDEM_CANONICAL_H
#define IDEM_CANONICAL_H

#include <apr_pools.h>
#include <apr_tables.h>

#include "bytes.h"

#define IDEM_JSON_DEPTH 512
#define IDEM_JSON_MEMORY (256 * 1048576)

#ifdef IDEM_WITH_JANSSON
#define idem_json_is_there 1
#else
#define idem_json_is_there 0
#endif

/* Reference tokens, unescaped. */
typedef struct idem_pointer {
    const char *const *tokens;
    int count; /* at least 1: the whole text is no pointer's here */
} idem_pointer;

/* Parses "/a/b~1c". NULL, or a sentence without its subject about what is wrong. */
const char *idem_pointer_parse(const char *text, apr_pool_t *pool, idem_pointer *pointer);

typedef struct idem_json idem_json;

/*
 * Reads a text, which is not needed afterwards. APR_EGENERAL and *why (a word or two) for one that cannot be read,
 * APR_ENOMEM. The tree lies outside of pools, so idem_json_free() has to be called.
 */
apr_status_t idem_json_read(idem_json **json, idem_blob text, const char **why);
void idem_json_free(idem_json *json);

typedef enum idem_json_found {
    IDEM_JSON_ABSENT, /* null, too */
    IDEM_JSON_TEXT,   /* a string's characters, or a number as it is written in decimal */
    IDEM_JSON_UNFIT   /* true, false, a container, or a number that is not exact */
} idem_json_found;

/* What stands there as a single value. *text is in pool. */
idem_json_found idem_json_text(const idem_json *json, const idem_pointer *pointer, apr_pool_t *pool, idem_blob *text);

typedef void idem_json_sink(void *baton, const void *data, apr_size_t len);

/*
 * Writes the canonical form of the value at pointer; NULL: of the whole text. The values at the pointers of without (of
 * idem_pointer; NULL for none) are left out. APR_NOTFOUND if there is nothing at pointer. APR_EGENERAL if a number in
 * it would be written as another one; something may have been written then.
 */
apr_status_t idem_json_write(const idem_json *json, const idem_pointer *pointer, const apr_array_header_t *without,
                             idem_json_sink *sink, void *baton);

#endif
