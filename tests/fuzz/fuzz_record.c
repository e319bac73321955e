/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_record.c - any bytes as what stands in a slot, plain and under a key ring.
 *
 * The first byte of an input says what is made right before decoding; an attacker who can write to the store could do
 * the same. Bit 0: magic, version and slot. Bit 1: the checksum. Bit 2: the rest is the plain text of a record, and is
 * sealed, to reach the decoder behind the seal. What must hold: what the decoder takes, the encoder gives back.
 */
#include "fuzz.h"
#include "record.h"
#include "seal.h"

#define RING_TEXT "slot: 0123456789abcdef0123456789abcdef\nseal: fedcba9876543210fedcba9876543210\n"

enum { MAKE_HEAD = 1, MAKE_SUM = 2, MAKE_SEAL = 4 };

static const unsigned char slot[IDEM_SLOT_LEN];

static const idem_keyring *ring_of_tests(apr_pool_t *pool)
{
    const char *why;
    idem_keyring *ring;

    MUST(idem_keyring_parse(&ring, RING_TEXT, strlen(RING_TEXT), pool, &why) == APR_SUCCESS);
    return ring;
}

static void make_head(unsigned char *value, size_t len)
{
    if (len < IDEM_HEAD_LEN)
        return;
    memcpy(value, "IDEM", 4);
    if (value[4] < 1 || value[4] > IDEM_RECORD_VERSION) /* all are read */
        value[4] = IDEM_RECORD_VERSION;
    memcpy(value + 32, slot, IDEM_SLOT_LEN);
}

static void make_sum(unsigned char *value, size_t len)
{
    unsigned char sum[IDEM_DIGEST_LEN];

    if (len < IDEM_SUM_LEN)
        return;
    if (len > 4 && (value[4] == 1 || value[4] == 2))
        MUST(idem_digest_of(NULL, idem_blob_of(value, len - IDEM_SUM_LEN), sum) == APR_SUCCESS);
    else
        idem_checksum(idem_blob_of(value, len - IDEM_SUM_LEN), sum);
    memcpy(value + len - IDEM_SUM_LEN, sum, IDEM_SUM_LEN);
}

static void look(const idem_keyring *ring, idem_blob value, apr_pool_t *pool)
{
    idem_response response;
    idem_head head;
    idem_blob again;
    const char *why = idem_record_decode(ring, value, slot, pool, &head, &response);

    if (why)
        return;
    head.flags = 0;
    MUST(idem_record_encode(ring, &head, head.state == IDEM_STATE_RECORD ? &response : NULL, pool, &again) ==
         APR_SUCCESS);
    MUST(again.len == value.len);
    if (value.data[4] <= 2) { /* it comes back as what is written today */
        MUST(again.data[4] == value.data[4] + 2);
        MUST(ring || !memcmp(again.data + 5, value.data + 5, value.len - 5 - IDEM_SUM_LEN));
        return;
    }
    MUST(ring || !memcmp(again.data, value.data, value.len));
}

/* The head of the input, its rest as plain text under a seal, and room for the checksum. */
static idem_blob sealed(const idem_keyring *ring, const uint8_t *data, size_t size)
{
    size_t plain = size - IDEM_HEAD_LEN, len = size + IDEM_SEAL_EXTRA + IDEM_SUM_LEN;
    unsigned char *value = calloc(1, len);

    MUST(value);
    memcpy(value, data, IDEM_HEAD_LEN);
    make_head(value, len);
    value[5] = IDEM_STATE_RECORD;
    value[6] = 0;
    value[7] = IDEM_HEAD_SEALED;
    memcpy(value + IDEM_HEAD_LEN + IDEM_SEAL_BEFORE, data + IDEM_HEAD_LEN, plain);
    MUST(idem_seal(ring, idem_blob_of(value, IDEM_HEAD_LEN), value + IDEM_HEAD_LEN, plain) == APR_SUCCESS);
    make_sum(value, len);
    return idem_blob_of(value, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const idem_keyring *ring = ring_of_tests(pool);
    int make = size ? *data : 0;
    unsigned char *value = (unsigned char *)fuzz_string(size ? data + 1 : data, size ? size - 1 : 0);

    size -= size > 0;
    if (make & MAKE_SEAL && size >= IDEM_HEAD_LEN) {
        idem_blob made = sealed(ring, value, size);
        look(ring, made, pool);
        look(NULL, made, pool);
        free((void *)(uintptr_t)made.data);
    }
    if (make & MAKE_HEAD)
        make_head(value, size);
    if (make & MAKE_SUM)
        make_sum(value, size);
    look(NULL, idem_blob_of(value, size), pool);
    look(ring, idem_blob_of(value, size), pool);
    free(value);
    apr_pool_destroy(pool);
    return 0;
}
