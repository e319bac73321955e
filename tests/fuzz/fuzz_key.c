/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_key.c - any bytes as the field value of Idempotency-Key.
 *
 * What must hold: a key that was accepted is printable ASCII and gives a slot.
 */
#include "fuzz.h"
#include "key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    unsigned char slot[IDEM_SLOT_LEN];
    idem_blob key;
    idem_key_fault fault = idem_key_parse(idem_blob_of(data, size), pool, &key);

    if (fault == IDEM_KEY_OK) {
        MUST(key.len <= size);
        for (apr_size_t i = 0; i < key.len; i++)
            MUST(key.data[i] >= ' ' && key.data[i] <= '~');
        if (idem_key_check(key, 1, 255) == IDEM_KEY_OK)
            MUST(idem_slot_make(NULL, NULL, 0, key, slot) == APR_SUCCESS);
    }
    else {
        MUST(idem_key_fault_text(fault));
    }
    apr_pool_destroy(pool);
    return 0;
}
