/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_record_sealed.c - records under a key ring: nobody without the secret can read one, alter one, move one or make
 * one.
 *
 * Whoever can write to a store can also make checksums right, so every damage here has a right one.
 */
#include "records.h"
#include "rings.h"

#include <apr_strings.h>

#include "seal.h"

static idem_blob sealed_record(apr_pool_t *pool, const idem_keyring *ring)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_response(pool);
    idem_blob value;

    assert_int_equal(idem_record_encode(ring, &head, &response, pool, &value), APR_SUCCESS);
    assert_int_equal(value.len, idem_record_size(ring, &response));
    return unit_guarded(pool, value.data, value.len);
}

static void places_are_sealed_like_the_rest(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
    idem_response response = unit_response_with_places(*state), got;
    idem_blob value;
    unsigned char *bytes;

    assert_int_equal(idem_record_encode(ring, &head, &response, *state, &value), APR_SUCCESS);
    assert_int_equal(value.len, idem_record_size(ring, &response));
    assert_null(memmem(value.data, value.len, "front", 5));
    assert_null(idem_record_decode(ring, value, head.slot, *state, &got_head, &got));
    unit_assert_same_response(&response, &got);
    bytes = apr_pmemdup(*state, value.data, value.len);
    bytes[4] = 1; /* "without places" */
    unit_make_sum_right(bytes, value.len);
    assert_non_null(idem_record_decode(ring, idem_blob_of(bytes, value.len), head.slot, *state, &got_head, &got));
}

static void assert_refused(apr_pool_t *pool, const idem_keyring *ring, idem_blob value, const char *said)
{
    idem_head head;
    idem_response response;
    const char *why = idem_record_decode(ring, value, idem_value_slot(value), pool, &head, &response);

    assert_non_null(why);
    if (said && !strstr(why, said))
        fail_msg("\"%s\" instead of \"%s\"", why, said);
}

static void assert_comes_back(apr_pool_t *pool, const idem_keyring *ring, idem_blob value)
{
    idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
    idem_response response = unit_response(pool), got;
    const char *why = idem_record_decode(ring, value, head.slot, pool, &got_head, &got);

    if (why)
        fail_msg("refused: %s", why);
    head.flags = IDEM_HEAD_SEALED;
    unit_assert_same_head(&head, &got_head);
    unit_assert_same_response(&response, &got);
}

static void sealed_records_come_back(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);

    assert_comes_back(*state, ring, sealed_record(*state, ring));
}

static void nothing_of_the_response_can_be_read(void **state)
{
    static const char *const words[] = {"Made",   "text/plain", "charset", "gzip",
                                        "de, en", "Set-Cookie", "a=1",     "orders"};
    idem_blob plain = unit_record(*state), sealed = sealed_record(*state, unit_ring(*state, UNIT_SLOT UNIT_SEAL_A));

    assert_int_equal(sealed.len, plain.len + IDEM_SEAL_EXTRA);
    for (size_t i = 0; i < UNIT_COUNT(words); i++) {
        assert_non_null(memmem(plain.data, plain.len, words[i], strlen(words[i])));
        assert_null(memmem(sealed.data, sealed.len, words[i], strlen(words[i])));
    }
}

/* Magic and version, state and so on are looked at before the seal; whatever is said, it never comes back. */
static void every_altered_byte_is_refused(void **state)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff};
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_blob value = sealed_record(*state, ring);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    unit_area *area = unit_area_create(*state, value.len);
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (apr_size_t i = 0; i < value.len - IDEM_SUM_LEN; i++, apr_pool_clear(pool))
        for (size_t c = 0; c < UNIT_COUNT(changes); c++) {
            bytes[i] = (unsigned char)(bytes[i] ^ changes[c]);
            unit_make_sum_right(bytes, value.len);
            assert_refused(pool, ring, unit_place(area, bytes, value.len),
                           i >= IDEM_HEAD_LEN + IDEM_SEAL_ID_LEN ? "seal is broken" : NULL);
            bytes[i] = (unsigned char)(bytes[i] ^ changes[c]);
        }
}

static void a_record_moved_to_another_slot_is_refused(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_blob value = sealed_record(*state, ring);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    memset(bytes + 32, 0x52, IDEM_SLOT_LEN);
    unit_make_sum_right(bytes, value.len);
    assert_refused(*state, ring, unit_guarded(*state, bytes, value.len), "seal is broken");
}

/* The sealed part of one record under the head of another, as with a fingerprint or a token that suits somebody
 * better. */
static void a_response_under_another_head_is_refused(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_blob value = sealed_record(*state, ring);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    memset(bytes + IDEM_HEAD_MIN + IDEM_PART_DIGEST_LEN, 0x33, IDEM_DIGEST_LEN); /* the fingerprint's rest */
    unit_make_sum_right(bytes, value.len);
    assert_refused(*state, ring, unit_guarded(*state, bytes, value.len), "seal is broken");
}

static void a_record_made_without_the_secret_is_refused(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    const idem_keyring *strange = unit_ring(*state, UNIT_SLOT UNIT_SEAL_B);
    idem_blob value = sealed_record(*state, ring);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    assert_refused(*state, ring, unit_record(*state), "is not sealed");
    assert_refused(*state, ring, sealed_record(*state, strange), "not among the seal: lines");
    assert_refused(*state, NULL, value, "no IdempotencySecret");
    bytes[7] = 0; /* "not sealed" */
    unit_make_sum_right(bytes, value.len);
    assert_refused(*state, ring, unit_guarded(*state, bytes, value.len), "is not sealed");
    assert_refused(*state, NULL, unit_guarded(*state, bytes, value.len), NULL);
}

static void entries_without_a_response_have_nothing_to_seal(void **state)
{
    static const idem_state states[] = {IDEM_STATE_LEASE, IDEM_STATE_TOMBSTONE, IDEM_STATE_UNKNOWN};
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);

    for (size_t i = 0; i < UNIT_COUNT(states); i++) {
        idem_head head = unit_head(states[i]), got;
        idem_blob value, plain = unit_encoded(*state, &head, NULL);

        assert_int_equal(idem_record_encode(ring, &head, NULL, *state, &value), APR_SUCCESS);
        assert_int_equal(value.len, plain.len);
        assert_memory_equal(value.data, plain.data, plain.len);
        assert_null(idem_record_decode(ring, value, head.slot, *state, &got, NULL));
        unit_assert_same_head(&head, &got);
    }
}

static void what_is_sealed_is_checked_like_what_is_not(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_blob value = sealed_record(*state, ring), plain = unit_record(*state);
    apr_size_t len = plain.len - IDEM_HEAD_LEN - IDEM_SUM_LEN;
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len), *rest = bytes + IDEM_HEAD_LEN;

    memcpy(rest + IDEM_SEAL_BEFORE, plain.data + IDEM_HEAD_LEN, len);
    idem_put(rest + IDEM_SEAL_BEFORE, 199, 2); /* the status */
    assert_int_equal(idem_seal(ring, idem_blob_of(bytes, IDEM_HEAD_LEN), rest, len), APR_SUCCESS);
    unit_make_sum_right(bytes, value.len);
    assert_refused(*state, ring, unit_guarded(*state, bytes, value.len), "between 200 and 599");
}

static void a_seal_is_exchanged_without_loss(void **state)
{
    const idem_keyring *a = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    const idem_keyring *ab = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B);
    const idem_keyring *ba = unit_ring(*state, UNIT_SLOT UNIT_SEAL_B UNIT_SEAL_A);
    const idem_keyring *b = unit_ring(*state, UNIT_SLOT UNIT_SEAL_B);

    assert_comes_back(*state, ab, sealed_record(*state, a));
    assert_comes_back(*state, a, sealed_record(*state, ab)); /* a generation that is about to end, or another host */
    assert_comes_back(*state, ba, sealed_record(*state, ab));
    assert_comes_back(*state, ab, sealed_record(*state, ba));
    assert_comes_back(*state, b, sealed_record(*state, ba));
    assert_comes_back(*state, ba, sealed_record(*state, b));
    assert_refused(*state, b, sealed_record(*state, a), "not among the seal: lines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(sealed_records_come_back),
        UNIT(places_are_sealed_like_the_rest),
        UNIT(nothing_of_the_response_can_be_read),
        UNIT(every_altered_byte_is_refused),
        UNIT(a_record_moved_to_another_slot_is_refused),
        UNIT(a_response_under_another_head_is_refused),
        UNIT(a_record_made_without_the_secret_is_refused),
        UNIT(entries_without_a_response_have_nothing_to_seal),
        UNIT(what_is_sealed_is_checked_like_what_is_not),
        UNIT(a_seal_is_exchanged_without_loss),
    };

    return cmocka_run_group_tests_name("record, sealed", tests, NULL, NULL);
}
