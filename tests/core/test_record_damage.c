/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_record_damage.c - bytes in a slot that were not encoded for it are refused, with a sentence.
 *
 * Damage is tried in two ways: as it happens, when the checksum tells; and with the checksum made right again, to reach
 * every check behind it. For those the rule is: refused, or exactly what the encoder makes of the decoded record.
 */
#include "records.h"

#include <apr_strings.h>

/* ---- damage, as the checksum tells it ---------------------------------------------------------------------------- */

static void assert_refused(apr_pool_t *pool, idem_blob value, const unsigned char *slot, const char *reason)
{
    idem_head head;
    idem_response response;
    const char *why = NULL;

    why = idem_record_decode(NULL, value, slot, pool, &head, &response);
    assert_non_null(why);
    if (reason && !strstr(why, reason))
        fail_msg("\"%s\" instead of \"%s\"", why, reason);
}

/* unit_record(), or with places. */
static idem_blob record_of(apr_pool_t *pool, int places)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = places ? unit_response_with_places(pool) : unit_response(pool);

    return unit_encoded(pool, &head, &response);
}

static void assert_flipped_bits_refused(void **state, int places)
{
    idem_blob value = record_of(*state, places);
    idem_head head = unit_head(IDEM_STATE_RECORD);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    unit_area *area = unit_area_create(*state, value.len);

    for (apr_size_t i = 0; i < value.len * 8; i++) {
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
        assert_refused(*state, unit_place(area, bytes, value.len), head.slot, NULL);
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
    }
}

static void every_flipped_bit_is_refused(void **state)
{
    assert_flipped_bits_refused(state, 0);
    assert_flipped_bits_refused(state, 1);
}

static void every_other_length_is_refused(void **state)
{
    idem_blob value = record_of(*state, 1);
    idem_head head = unit_head(IDEM_STATE_RECORD);
    unsigned char longer[1024] = {0};
    unit_area *area = unit_area_create(*state, sizeof longer);

    memcpy(longer, value.data, value.len);
    for (apr_size_t len = 0; len < value.len + 40; len++)
        if (len != value.len)
            assert_refused(*state, unit_place(area, longer, len), head.slot, NULL);
    assert_refused(*state, idem_blob_of(NULL, 0), head.slot, "no record");
}

static void a_record_of_another_slot_is_refused(void **state)
{
    unsigned char other[IDEM_SLOT_LEN];

    memset(other, 0x52, sizeof other);
    assert_refused(*state, unit_record(*state), other, "another slot");
}

/* ---- damage with a right checksum -------------------------------------------------------------------------------- */

/* Refused, or the one encoding of what was decoded. */
static int assert_canonical(apr_pool_t *pool, idem_blob value)
{
    idem_head head;
    idem_response response;
    idem_blob again;

    if (idem_record_decode(NULL, value, idem_value_slot(value), pool, &head, &response)) {
        return 0;
    }
    again = unit_encoded(pool, &head, head.state == IDEM_STATE_RECORD ? &response : NULL);
    if (value.data[4] <= 2)
        again = unit_older(pool, again);
    assert_int_equal(again.len, value.len);
    assert_memory_equal(again.data, value.data, value.len);
    return 1;
}

static void assert_altered_bytes_canonical(void **state, int places)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x0d};
    idem_blob value = record_of(*state, places);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    unit_area *area = unit_area_create(*state, value.len);
    int accepted = 0;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (apr_size_t i = 0; i < value.len - IDEM_SUM_LEN; i++)
        for (size_t c = 0; c < UNIT_COUNT(changes); c++, apr_pool_clear(pool)) {
            bytes[i] ^= changes[c];
            unit_make_sum_right(bytes, value.len);
            accepted += assert_canonical(pool, unit_place(area, bytes, value.len));
            bytes[i] ^= changes[c];
        }
    assert_in_range(accepted, 3 * (IDEM_SLOT_LEN + IDEM_TOKEN_LEN), 4 * (value.len - IDEM_SUM_LEN) - 1);
}

static void every_altered_byte_is_refused_or_means_something_else(void **state)
{
    assert_altered_bytes_canonical(state, 0);
    assert_altered_bytes_canonical(state, 1);
}

static void every_cut_with_a_right_sum_is_refused(void **state)
{
    idem_blob value = record_of(*state, 1);
    unsigned char *bytes = apr_palloc(*state, value.len);
    unit_area *area = unit_area_create(*state, value.len);

    for (apr_size_t len = IDEM_HEAD_MIN; len < value.len; len++) {
        memcpy(bytes, value.data, len);
        unit_make_sum_right(bytes, len);
        assert_int_equal(assert_canonical(*state, unit_place(area, bytes, len)), 0);
    }
}

static void random_rests_never_crash(void **state)
{
    static const unsigned char likely[] = {0, 0, 0, 0, 1, 2, 4, 200, 255, 'a', '/'};
    idem_blob value = unit_record(*state);
    unsigned char bytes[IDEM_HEAD_LEN + 64 + IDEM_SUM_LEN];
    unit_area *area = unit_area_create(*state, sizeof bytes);
    uint32_t seed = 8;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    memcpy(bytes, value.data, IDEM_HEAD_LEN);
    for (unsigned round = 0; round < 20000; round++, apr_pool_clear(pool)) {
        apr_size_t len = unit_random(&seed) % 64;
        for (apr_size_t i = 0; i < len; i++)
            bytes[IDEM_HEAD_LEN + i] = likely[unit_random(&seed) % sizeof likely];
        bytes[4] = (unsigned char)(1 + round % 4); /* without and with places, older and newer */
        if (len > 1)
            idem_put(bytes + IDEM_HEAD_LEN, 200 + round % 400, 2);
        unit_make_sum_right(bytes, IDEM_HEAD_LEN + len + IDEM_SUM_LEN);
        assert_canonical(pool, unit_place(area, bytes, IDEM_HEAD_LEN + len + IDEM_SUM_LEN));
    }
}

/* Offsets in the full record: what follows the head. */
enum {
    AT_STATUS = IDEM_HEAD_LEN,
    AT_REASON = AT_STATUS + 2,
    AT_TYPE = AT_REASON + 4 + 8,
    AT_ENCODING = AT_TYPE + 4 + 24,
    AT_LANGUAGES = AT_ENCODING + 4 + 4,
    AT_COUNT = AT_LANGUAGES + 4 + 6,
    AT_FIELD = AT_COUNT + 4,
    AT_BODY = AT_FIELD + 4 + 4 * 8 + 10 + 3 + 10 + 3 + 7 + 0 + 8 + 9,
    AT_SUM = AT_BODY + 8 + 5
};

static const struct {
    int at, bytes;
    apr_uint64_t number;
    const char *why;
} damages[] = {
    {0, 1, 'X', "no record"},
    {4, 1, IDEM_RECORD_VERSION + 1, "newer version"},
    {4, 1, 255, "newer version"},
    {4, 1, 0, "unknown version"},
    {5, 1, 0, "no known state"},
    {5, 1, 5, "no known state"},
    {5, 1, IDEM_STATE_LEASE, "no response"},
    {5, 1, IDEM_STATE_UNKNOWN, "no response"},
    {6, 2, IDEM_HEAD_SEALED, "sealed"},
    {6, 2, 0x0002, "unknown flags"},
    {6, 2, 0x8000, "unknown flags"},
    {8, 8, APR_INT64_MAX / 1000 + 1, "life span"},
    {8, 8, APR_UINT64_MAX, "life span"},
    {296, 1, 0x40, "unknown flags"},
    {297, 1, IDEM_PARTS_MAX + 1, "too many parts"},
    {298, 1, 1, "unused part"},
    {319, 1, 1, "unused part"},
    {AT_STATUS, 2, 199, "between 200 and 599"},
    {AT_STATUS, 2, 600, "between 200 and 599"},
    {AT_STATUS, 2, 0, "between 200 and 599"},
    {AT_REASON, 4, 0xfffffffe, "status or type"},
    {AT_REASON + 4, 1, '\n', "status or type"},
    {AT_TYPE + 4, 1, '\r', "status or type"},
    {AT_ENCODING + 4, 1, '\0', "status or type"},
    {AT_LANGUAGES + 9, 1, '\n', "status or type"},
    {AT_LANGUAGES, 4, 0x10000, "status or type"},
    {AT_COUNT, 4, 0xffffffff, "more header fields"},
    {AT_COUNT, 4, 5, "header field is torn"},
    {AT_COUNT, 4, 3, "body is not as long"},
    {AT_COUNT, 4, 0, "body is not as long"},
    {AT_FIELD, 1, 4, "header field has unknown flags"},
    {AT_FIELD + 1, 4, 0xffffffff, "header field is torn"},
    {AT_FIELD + 1, 4, 0, "header field is torn"},
    {AT_FIELD + 5, 1, '\r', "header field is torn"},
    {AT_FIELD + 14, 1, '\0', "header field is torn"},
    {AT_FIELD + 15, 4, 0xffffffff, "header field is torn"},
    {AT_FIELD + 15, 4, 0x7fffffff, "header field is torn"},
    {AT_FIELD + 19, 1, '\n', "header field is torn"},
    {AT_FIELD + 21, 1, '\0', "header field is torn"},
    {AT_BODY, 8, 4, "body is not as long"},
    {AT_BODY, 8, 6, "body is not as long"},
    {AT_BODY, 8, APR_UINT64_MAX, "body is not as long"},
};

static void each_damage_has_its_reason(void **state)
{
    idem_blob value = unit_record(*state);
    idem_head head = unit_head(IDEM_STATE_RECORD);
    unit_area *area = unit_area_create(*state, value.len);
    unsigned char *bytes = apr_palloc(*state, value.len);

    assert_int_equal(value.len, AT_SUM + IDEM_SUM_LEN);
    for (size_t i = 0; i < UNIT_COUNT(damages); i++) {
        memcpy(bytes, value.data, value.len);
        idem_put(bytes + damages[i].at, damages[i].number, damages[i].bytes);
        unit_make_sum_right(bytes, value.len);
        assert_refused(*state, unit_place(area, bytes, value.len), head.slot, damages[i].why);
    }
}

/* Offsets in the record with places, the first of which is GET /index.php. */
enum {
    AT_PLACES = IDEM_HEAD_LEN,
    AT_PLACE = AT_PLACES + 1,
    AT_METHOD = AT_PLACE + 2,
    AT_URI = AT_METHOD + 4 + 3,
};

static const struct {
    int at, bytes;
    apr_uint64_t number;
    const char *why;
} place_damages[] = {
    {4, 1, IDEM_RECORD_VERSION + 1, "newer version"},
    {5, 1, IDEM_STATE_LEASE, "no response"},
    {AT_PLACES, 1, 0, "no places"},
    {AT_PLACES, 1, IDEM_PLACES_MAX + 1, "no places, or too many"},
    {AT_PLACES, 1, 255, "no places, or too many"},
    {AT_PLACES, 1, 4, "place is torn"},
    {AT_PLACE, 2, 199, "no known status"},
    {AT_PLACE, 2, 1000, "no known status"},
    {AT_METHOD, 4, 0, "place is torn"},
    {AT_METHOD, 4, 0xffffffff, "place is torn"},
    {AT_METHOD + 5, 1, '\n', "place is torn"},
    {AT_URI, 4, 0xffffffff, "place is torn"},
    {AT_URI, 4, 0x10000, "place is torn"},
    {AT_URI + 4, 1, 'i', "place is torn"},
    {AT_URI + 5, 1, '\r', "place is torn"},
};

static void each_damage_of_places_has_its_reason(void **state)
{
    idem_blob value = record_of(*state, 1);
    idem_head head = unit_head(IDEM_STATE_RECORD);
    unit_area *area = unit_area_create(*state, value.len);
    unsigned char *bytes = apr_palloc(*state, value.len);

    for (size_t i = 0; i < UNIT_COUNT(place_damages); i++) {
        memcpy(bytes, value.data, value.len);
        idem_put(bytes + place_damages[i].at, place_damages[i].number, place_damages[i].bytes);
        unit_make_sum_right(bytes, value.len);
        assert_refused(*state, unit_place(area, bytes, value.len), head.slot, place_damages[i].why);
    }
}

static void a_head_alone_is_no_record_with_a_response(void **state)
{
    idem_head head = unit_head(IDEM_STATE_LEASE);
    idem_blob value = unit_encoded(*state, &head, NULL);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    bytes[5] = IDEM_STATE_RECORD;
    unit_make_sum_right(bytes, value.len);
    assert_refused(*state, unit_guarded(*state, bytes, value.len), head.slot, "status or type");
    assert_refused(*state, unit_guarded(*state, bytes, IDEM_HEAD_MIN), head.slot, "shorter than its head");
}

static void a_response_nobody_wants_is_checked_all_the_same(void **state)
{
    idem_blob value = unit_record(*state);
    idem_head head = unit_head(IDEM_STATE_RECORD), got;
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    assert_null(idem_record_decode(NULL, value, head.slot, *state, &got, NULL));
    unit_assert_same_head(&head, &got);
    idem_put(bytes + AT_BODY, 4, 8);
    unit_make_sum_right(bytes, value.len);
    value = unit_guarded(*state, bytes, value.len);
    assert_non_null(idem_record_decode(NULL, value, head.slot, *state, &got, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_flipped_bit_is_refused),
        UNIT(every_other_length_is_refused),
        UNIT(a_record_of_another_slot_is_refused),
        UNIT(every_altered_byte_is_refused_or_means_something_else),
        UNIT(every_cut_with_a_right_sum_is_refused),
        UNIT(random_rests_never_crash),
        UNIT(each_damage_has_its_reason),
        UNIT(each_damage_of_places_has_its_reason),
        UNIT(a_head_alone_is_no_record_with_a_response),
        UNIT(a_response_nobody_wants_is_checked_all_the_same),
    };

    return cmocka_run_group_tests_name("record damage", tests, NULL, NULL);
}
