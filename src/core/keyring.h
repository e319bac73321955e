/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring.h - the administrator's secrets, and the keys made of them.
 *
 * A text of lines: one "slot: SECRET", one or more "seal: SECRET", each secret at least IDEM_SECRET_MIN bytes; blank
 * lines and lines that begin with '#' are skipped. "slot: none" names slots as a store without a secret does, and takes
 * its unsealed records; with it a first "seal: none" seals nothing yet, or no more. Keys are derived once, by
 * HKDF-SHA256 (RFC 5869) with a label per purpose. They lie in memory of their own that no core dump shows. It is wiped
 * when the pool ends. A ring never changes and may be used by all threads.
 */
#ifndef IDEM_KEYRING_H
#define IDEM_KEYRING_H

#include "digest.h"

#define IDEM_SECRET_MIN 32
#define IDEM_SEAL_KEYS_MAX 16
#define IDEM_SEAL_KEY_LEN 32
#define IDEM_SEAL_ID_LEN 4

typedef struct idem_keyring idem_keyring;

/* Does not keep text. *why is a sentence about the line that is wrong; it never contains a secret. */
apr_status_t idem_keyring_parse(idem_keyring **ring, const char *text, apr_size_t len, apr_pool_t *pool,
                                const char **why);

/* For idem_slot_make() and idem_print_make(), bodies included; NULL without a slot secret. */
const idem_blob *idem_keyring_slot_key(const idem_keyring *ring);
const idem_blob *idem_keyring_print_key(const idem_keyring *ring);

/* The key that seals, with its id; and the key of an id, NULL if the ring has none such. */
const unsigned char *idem_keyring_seal_key(const idem_keyring *ring, const unsigned char **id);
const unsigned char *idem_keyring_find(const idem_keyring *ring, const unsigned char id[IDEM_SEAL_ID_LEN]);

/* The ring to seal with: NULL where what is written stays open. */
const idem_keyring *idem_keyring_to_seal(const idem_keyring *ring);

/* Was the store made without a secret, so that records without a seal are its own? */
int idem_keyring_takes_open(const idem_keyring *ring);

/* Tells slot secrets apart without telling them: what a store made with this one is marked with. */
const unsigned char *idem_keyring_mark(const idem_keyring *ring); /* IDEM_DIGEST_LEN bytes */

#endif
