/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.h - SHA-256 and HMAC-SHA-256; digest.c is the only file that knows the digests of OpenSSL's EVP.
 *
 * A digest belongs to one thread at a time. A cleanup of its pool frees its OpenSSL context, or keeps it for the next
 * digest of the thread in which the pool ends.
 */
#ifndef IDEM_DIGEST_H
#define IDEM_DIGEST_H

#include "bytes.h"

#define IDEM_DIGEST_LEN 32

typedef struct idem_digest idem_digest;

/* Starts SHA-256, or with a secret (secret->len > 0) HMAC-SHA-256. APR_EGENERAL if libcrypto refuses. */
apr_status_t idem_digest_create(idem_digest **digest, const idem_blob *secret, apr_pool_t *pool);

/* Feeding never fails: what libcrypto refuses makes the final fail. */
void idem_digest_feed(idem_digest *digest, const void *data, apr_size_t len);

/*
 * Feeds the length as 8 bytes, then the bytes: two parts never run into each other. An absent part (data NULL) is fed
 * as a length that no part can have, so that it differs from the empty one.
 */
void idem_digest_feed_part(idem_digest *digest, idem_blob part);

/* The value so far, leaving the digest open for more: what has been read is compared before the rest has come. */
apr_status_t idem_digest_peek(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN]);

/* The value it would have if tail were fed too. */
apr_status_t idem_digest_peek_with(idem_digest *digest, idem_blob tail, unsigned char out[IDEM_DIGEST_LEN]);

/* The value, of a digest that gets no more and is not peeked into again; its pool's end frees it. */
apr_status_t idem_digest_close(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN]);

/* For use within one function, without a pool: finish gives the value and frees the digest, whatever it returns. */
apr_status_t idem_digest_start(idem_digest **digest, const idem_blob *secret);
apr_status_t idem_digest_finish(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN]);

/* SHA-256 (HMAC with a secret) of one piece. */
apr_status_t idem_digest_of(const idem_blob *secret, idem_blob data, unsigned char out[IDEM_DIGEST_LEN]);

/* len random bytes from libcrypto's generator. */
apr_status_t idem_random(unsigned char *out, apr_size_t len);

/* A random token. A thread makes several ahead, which a forked process does not use. */
apr_status_t idem_random_token(unsigned char token[IDEM_TOKEN_LEN]);

#endif
