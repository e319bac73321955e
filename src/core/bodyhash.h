/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bodyhash.h - the running digest of a request body, fed in pieces of any size at constant memory.
 *
 * Clients choose a new boundary for each attempt. So, with a multipart boundary, every delimiter (RFC 2046 5.1.1) is
 * fed without the boundary's characters. Marks tell it from text that looks alike, so two bodies with any other
 * difference never share a digest. Bytes before, between and after stay as they are, and so does a multipart inside a
 * part.
 */
#ifndef IDEM_BODYHASH_H
#define IDEM_BODYHASH_H

#include "digest.h"

typedef struct idem_bodyhash idem_bodyhash;

#define IDEM_BOUNDARY_MAX 70 /* RFC 2046 5.1.1 */

/*
 * boundary: as in the Content-Type, unquoted, NULL or empty for a raw body. APR_EINVAL if it is longer than
 * IDEM_BOUNDARY_MAX or holds a CR, which no field value can.
 */
apr_status_t idem_bodyhash_create(idem_bodyhash **hash, const idem_blob *secret, const char *boundary,
                                  apr_pool_t *pool);
void idem_bodyhash_feed(idem_bodyhash *hash, const void *data, apr_size_t len);

/*
 * The digest over what was fed, and the count of normalised bytes under it. A boundary that the last feed cut is
 * counted as ordinary bytes. The hash stays open.
 */
apr_status_t idem_bodyhash_peek(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes);

/* The same for a body of which no more will be read: where a delimiter was cut, as far as every boundary goes with
 * it. */
apr_status_t idem_bodyhash_peek_cut(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes);

/* The body has ended: nothing more is fed, and from here on a look costs nothing. Both give the value of the whole. */
apr_status_t idem_bodyhash_close(idem_bodyhash *hash);

/*
 * The boundary parameter of a Content-Type of any multipart type, unquoted, in pool. content_type is NULL where the
 * request has none. NULL: it is another type, or its boundary has not 1 to IDEM_BOUNDARY_MAX printable characters.
 * *stripped gets the field value without that parameter (type and other parameters as sent), or the whole value.
 */
const char *idem_multipart_boundary(const char *content_type, apr_pool_t *pool, const char **stripped);

#endif
