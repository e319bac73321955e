/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.h - AES-256-GCM over what a record keeps of a response.
 *
 *   sealed   4 id of the key · 12 nonce · the bytes encrypted · 16 tag
 *
 * The record's head, slot included, is the associated data. A sealed response opens only under the head that it was
 * made with. So nobody can move it to another slot, or give it another state, token or fingerprint. Nonces are random
 * (NIST SP 800-38D 8.2.2); a seal: secret should seal fewer than 2^32 records before it is replaced.
 */
#ifndef IDEM_SEAL_H
#define IDEM_SEAL_H

#include "keyring.h"

#define IDEM_SEAL_NONCE_LEN 12
#define IDEM_SEAL_TAG_LEN 16
#define IDEM_SEAL_BEFORE (IDEM_SEAL_ID_LEN + IDEM_SEAL_NONCE_LEN)
#define IDEM_SEAL_EXTRA (IDEM_SEAL_BEFORE + IDEM_SEAL_TAG_LEN)

/* Seals in place: at holds IDEM_SEAL_BEFORE bytes of room, len bytes of plain text, IDEM_SEAL_TAG_LEN bytes of room. */
apr_status_t idem_seal(const idem_keyring *ring, idem_blob head, unsigned char *at, apr_size_t len);

/* Opens into pool. APR_EGENERAL and a sentence: no key of the ring made it, or it was altered. APR_ENOMEM: nobody
 * looked. */
apr_status_t idem_unseal(const idem_keyring *ring, idem_blob head, idem_blob sealed, apr_pool_t *pool, idem_blob *plain,
                         const char **why);

#endif
