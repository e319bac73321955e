/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_seal.c - what is sealed opens under the same head, and nothing else does.
 *
 * The sealed text below was made apart, by another implementation of AES-GCM (NIST SP 800-38D).
 */
#include "rings.h"

#include <dlfcn.h>

#include <apr_strings.h>
#include <openssl/kdf.h>

#include "fingerprint.h"
#include "key.h"
#include "seal.h"

static const idem_blob head = {(const unsigned char *)"the head of a record", 20};

static const unsigned char known[] =
    "\x54\xea\x05\x37\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x45\x5a\x80\x07\x78\xd9\xec\xea\xdf\x51\x5d\xd4"
    "\xfa\xf8\x4f\x49\x2d\x2a\xee\x87\x40\xb7\x1b\x38\x2f\x0b\xcd\xcb\xf3\x20\x47\x97\x73\x90\x03\xc0\x9a\xf6\x26\xd9"
    "\x2e\x49\xd5\xb6";
#define KNOWN_LEN (sizeof known - 1)
#define KNOWN_TEXT "what an application answered"

/* Room, len bytes of plain text, room. */
static idem_blob sealed(apr_pool_t *pool, const idem_keyring *ring, const void *plain, apr_size_t len)
{
    unsigned char *at = apr_palloc(pool, len + IDEM_SEAL_EXTRA);

    memcpy(at + IDEM_SEAL_BEFORE, plain, len);
    assert_int_equal(idem_seal(ring, head, at, len), APR_SUCCESS);
    return unit_guarded(pool, at, len + IDEM_SEAL_EXTRA);
}

static void assert_opens(apr_pool_t *pool, const idem_keyring *ring, idem_blob value, const void *plain, apr_size_t len)
{
    const char *why = "unset";
    idem_blob got;

    assert_int_equal(idem_unseal(ring, head, value, pool, &got, &why), APR_SUCCESS);
    assert_null(why);
    assert_int_equal(got.len, len);
    assert_memory_equal(got.data, plain, len);
}

static void assert_closed(apr_pool_t *pool, const idem_keyring *ring, idem_blob under, idem_blob value,
                          const char *said)
{
    const char *why = NULL;
    idem_blob got;

    assert_int_equal(idem_unseal(ring, under, value, pool, &got, &why), APR_EGENERAL);
    if (!why || !strstr(why, said))
        fail_msg("\"%s\" instead of \"%s\"", why ? why : "nothing", said);
}

static void a_known_text_opens(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_B UNIT_SEAL_A);

    assert_opens(*state, ring, unit_guarded(*state, known, KNOWN_LEN), KNOWN_TEXT, strlen(KNOWN_TEXT));
}

static void every_length_comes_back(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    unsigned char plain[4099];
    uint32_t seed = 77;

    for (apr_size_t i = 0; i < sizeof plain; i++)
        plain[i] = (unsigned char)unit_random(&seed);
    for (apr_size_t len = 0; len < sizeof plain; len = len < 66 ? len + 1 : len * 2 + 1)
        assert_opens(*state, ring, sealed(*state, ring, plain, len), plain, len);
}

static void what_is_sealed_cannot_be_read_and_no_two_are_alike(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_blob before[64];

    for (size_t i = 0; i < UNIT_COUNT(before); i++) {
        before[i] = sealed(*state, ring, KNOWN_TEXT, strlen(KNOWN_TEXT));
        assert_null(memmem(before[i].data, before[i].len, "application", 11));
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(before[i].data + IDEM_SEAL_ID_LEN, before[j].data + IDEM_SEAL_ID_LEN,
                                    IDEM_SEAL_NONCE_LEN);
            assert_memory_not_equal(before[i].data + IDEM_SEAL_BEFORE, before[j].data + IDEM_SEAL_BEFORE, 28);
        }
    }
}

static void every_flipped_bit_breaks_the_seal(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    unsigned char bytes[KNOWN_LEN], other_head[20];
    unit_area *area = unit_area_create(*state, KNOWN_LEN);

    memcpy(bytes, known, KNOWN_LEN);
    memcpy(other_head, head.data, head.len);
    for (size_t i = 0; i < 8 * KNOWN_LEN; i++) {
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
        assert_closed(*state, ring, head, unit_place(area, bytes, KNOWN_LEN),
                      i < 8 * IDEM_SEAL_ID_LEN ? "not among the seal: lines" : "seal is broken");
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
    }
    for (size_t i = 0; i < 8 * head.len; i++) {
        other_head[i / 8] = (unsigned char)(other_head[i / 8] ^ 1u << i % 8);
        assert_closed(*state, ring, idem_blob_of(other_head, head.len), unit_place(area, known, KNOWN_LEN),
                      "is broken");
        other_head[i / 8] = (unsigned char)(other_head[i / 8] ^ 1u << i % 8);
    }
    assert_closed(*state, ring, idem_blob_of(head.data, head.len - 1), unit_place(area, known, KNOWN_LEN), "is broken");
}

static void every_other_length_is_refused(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    unsigned char longer[KNOWN_LEN + 1] = {0};
    unit_area *area = unit_area_create(*state, sizeof longer);

    memcpy(longer, known, KNOWN_LEN);
    for (size_t len = 0; len <= sizeof longer; len++)
        if (len != KNOWN_LEN)
            assert_closed(*state, ring, head, unit_place(area, longer, len),
                          len < IDEM_SEAL_EXTRA ? "shorter than a seal" : "is broken");
}

/* As on a host after the other: the new seal is added, moved to the front, and the old one is dropped. */
static void a_seal_is_exchanged_without_loss(void **state)
{
    static const char *const steps[] = {UNIT_SLOT UNIT_SEAL_A, UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B,
                                        UNIT_SLOT UNIT_SEAL_B UNIT_SEAL_A, UNIT_SLOT UNIT_SEAL_B};
    const idem_keyring *ring[UNIT_COUNT(steps)];
    idem_blob made[UNIT_COUNT(steps)];

    for (size_t i = 0; i < UNIT_COUNT(steps); i++) {
        ring[i] = unit_ring(*state, steps[i]);
        made[i] = sealed(*state, ring[i], KNOWN_TEXT, strlen(KNOWN_TEXT));
    }
    for (size_t i = 0; i + 1 < UNIT_COUNT(steps); i++) { /* neighbours open each other's */
        assert_opens(*state, ring[i], made[i + 1], KNOWN_TEXT, strlen(KNOWN_TEXT));
        assert_opens(*state, ring[i + 1], made[i], KNOWN_TEXT, strlen(KNOWN_TEXT));
    }
    assert_closed(*state, ring[3], head, made[0], "not among the seal: lines");
}

/* ---- no key is derived for a request: this program's EVP_KDF_derive() counts ------------------------------------- */

static int derived;

int EVP_KDF_derive(EVP_KDF_CTX *ctx, unsigned char *key, size_t len, const OSSL_PARAM params[])
{
    int (*real)(EVP_KDF_CTX *, unsigned char *, size_t, const OSSL_PARAM *);

    *(void **)&real = dlsym(RTLD_NEXT, "EVP_KDF_derive");
    derived++;
    return real(ctx, key, len, params);
}

static void keys_are_derived_when_the_ring_is_made_and_never_again(void **state)
{
    const idem_keyring *ring;
    const idem_part_value part = {"host", idem_blob_str("shop.example")};
    unsigned char slot[IDEM_SLOT_LEN];
    idem_print print;

    derived = 0;
    ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B);
    assert_int_equal(derived, 3 + 2 * 2);
    for (int i = 0; i < 10; i++) {
        assert_opens(*state, ring, sealed(*state, ring, KNOWN_TEXT, 5), KNOWN_TEXT, 5);
        assert_int_equal(idem_slot_make(idem_keyring_slot_key(ring), &part, 1, idem_blob_str("k"), slot), APR_SUCCESS);
        assert_int_equal(idem_print_make(idem_keyring_print_key(ring), &part, 1, 1, &print), APR_SUCCESS);
    }
    assert_int_equal(derived, 3 + 2 * 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_known_text_opens),
        UNIT(every_length_comes_back),
        UNIT(what_is_sealed_cannot_be_read_and_no_two_are_alike),
        UNIT(every_flipped_bit_breaks_the_seal),
        UNIT(every_other_length_is_refused),
        UNIT(a_seal_is_exchanged_without_loss),
        UNIT(keys_are_derived_when_the_ring_is_made_and_never_again),
    };

    return cmocka_run_group_tests_name("seal", tests, NULL, NULL);
}
