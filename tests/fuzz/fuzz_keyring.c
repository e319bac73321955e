/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_keyring.c - any bytes as the text of IdempotencySecret.
 *
 * What must hold: a ring has a key that seals, and finds it by its id; a refusal has a sentence.
 */
#include "fuzz.h"
#include "keyring.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const unsigned char *id, *key;
    const char *why = NULL;
    idem_keyring *ring;

    if (idem_keyring_parse(&ring, (const char *)data, size, pool, &why) == APR_SUCCESS) {
        key = idem_keyring_seal_key(ring, &id);
        MUST(idem_keyring_find(ring, id) == key);
        MUST(idem_keyring_takes_open(ring) || idem_keyring_slot_key(ring)->len == IDEM_DIGEST_LEN);
        MUST(idem_keyring_to_seal(ring) || idem_keyring_takes_open(ring));
        MUST(idem_keyring_mark(ring));
    }
    else {
        MUST(why);
    }
    apr_pool_destroy(pool);
    return 0;
}
