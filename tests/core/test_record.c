/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_record.c - what is encoded comes back, and what the decoder would refuse is not encoded.
 */
#include "records.h"

#include <apr_strings.h>

/* ---- what comes back --------------------------------------------------------------------------------------------- */

static void assert_round_trip(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value = unit_encoded(pool, head, response);
    idem_head got_head;
    idem_response got;

    assert_null(idem_record_decode(NULL, value, head->slot, pool, &got_head, &got));
    unit_assert_same_head(head, &got_head);
    if (!response)
        return;
    unit_assert_same_response(response, &got);
    assert_true(!got.body.len || (got.body.data > value.data && got.body.data < value.data + value.len));
}

static void every_state_comes_back(void **state)
{
    for (int s = IDEM_STATE_LEASE; s <= IDEM_STATE_UNKNOWN; s++) {
        idem_head head = unit_head((idem_state)s);
        idem_response response = unit_response(*state);
        assert_round_trip(*state, &head, s == IDEM_STATE_RECORD ? &response : NULL);
    }
}

static void places_come_back(void **state)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_response_with_places(*state);
    idem_place one = {"/", "M", 999};

    assert_round_trip(*state, &head, &response);
    while (response.places->nelts < IDEM_PLACES_MAX)
        APR_ARRAY_PUSH(response.places, idem_place) = one;
    assert_round_trip(*state, &head, &response);
    apr_array_clear(response.places); /* none in it */
    assert_int_equal(unit_encoded(*state, &head, &response).data[4], 3);
    assert_round_trip(*state, &head, &response);
}

static void absent_strings_stay_absent_and_empty_ones_empty(void **state)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_bare_response();

    assert_round_trip(*state, &head, &response);
    response.reason = response.content_type = response.content_encoding = response.languages = "";
    response.status = 599;
    response.fields = apr_array_make(*state, 1, sizeof(idem_field)); /* none in it */
    assert_round_trip(*state, &head, &response);
}

static void the_greatest_numbers_fit(void **state)
{
    idem_head head = unit_head(IDEM_STATE_LEASE);

    head.ttl = APR_INT64_MAX / 1000 * 1000;
    head.lease = (apr_interval_time_t)APR_UINT32_MAX * 1000;
    head.attempt = APR_UINT32_MAX;
    head.owner = head.print.hashed = APR_UINT64_MAX;
    assert_round_trip(*state, &head, NULL);
    head.ttl = head.lease = 0;
    assert_round_trip(*state, &head, NULL);
}

static const char *random_text(apr_pool_t *pool, uint32_t *seed)
{
    apr_size_t len = unit_random(seed) % 40;
    char *text = apr_palloc(pool, len + 1);

    if (unit_random(seed) % 8 == 0)
        return NULL;
    for (apr_size_t i = 0; i < len; i++)
        do
            text[i] = (char)(1 + unit_random(seed) % 255);
        while (text[i] == '\r' || text[i] == '\n');
    text[len] = '\0';
    return text;
}

static idem_response random_response(apr_pool_t *pool, uint32_t *seed)
{
    idem_response r = {.status = (int)(200 + unit_random(seed) % 400)};
    unsigned char *body;

    r.reason = random_text(pool, seed);
    r.content_type = random_text(pool, seed);
    r.content_encoding = random_text(pool, seed);
    r.languages = random_text(pool, seed);
    r.fields = apr_array_make(pool, 4, sizeof(idem_field));
    for (uint32_t i = unit_random(seed) % 9; i > 0; i--) {
        const char *name = random_text(pool, seed), *value = random_text(pool, seed);
        idem_field f = {name && *name ? name : "N", value ? value : "", unit_random(seed) % 2};
        APR_ARRAY_PUSH(r.fields, idem_field) = f;
    }
    r.body.len = unit_random(seed) % 200;
    r.body.data = body = apr_palloc(pool, r.body.len + 1);
    for (apr_size_t i = 0; i < r.body.len; i++)
        body[i] = (unsigned char)unit_random(seed);
    return r;
}

static void random_responses_come_back(void **state)
{
    uint32_t seed = 31337;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (int round = 0; round < 1000; round++, apr_pool_clear(pool)) {
        idem_head head = unit_head(IDEM_STATE_RECORD);
        idem_response response = random_response(pool, &seed);
        head.attempt = unit_random(&seed);
        head.ttl = (apr_interval_time_t)unit_random(&seed) * 1000;
        assert_round_trip(pool, &head, &response);
    }
}

/* What lies in stores must stay readable: this sum was computed apart, from the documented layout. */
static void records_stay_what_they_are(void **state)
{
    idem_blob value = unit_record(*state), older = unit_older(*state, value);

    assert_int_equal(IDEM_HEAD_LEN, 320);
    unit_assert_hex(value.data, 32, "4944454d030200000000000005265c0000007530000000020102030405060708");
    unit_assert_hex(value.data + value.len - IDEM_SUM_LEN, IDEM_SUM_LEN, "2211fa479914b393273a8bac647b98a2");
    unit_assert_hex(older.data, 32, "4944454d010200000000000005265c0000007530000000020102030405060708");
    unit_assert_hex(older.data + older.len - IDEM_SUM_LEN, IDEM_SUM_LEN, "dfd5b90f067566f7a33be6014ca4b878");
}

/* A store that the version before has written is read by this one. */
static void older_records_are_read(void **state)
{
    for (int places = 0; places <= 1; places++) {
        idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
        idem_response response = places ? unit_response_with_places(*state) : unit_response(*state), got;
        idem_blob older = unit_older(*state, unit_encoded(*state, &head, &response));

        assert_int_equal(older.data[4], 1 + places);
        assert_null(idem_record_decode(NULL, older, head.slot, *state, &got_head, &got));
        unit_assert_same_head(&head, &got_head);
        unit_assert_same_response(&response, &got);
    }
}

/* One that says it is older, or newer, than it is has another checksum. */
static void a_checksum_belongs_to_its_version(void **state)
{
    idem_blob value = unit_record(*state), older = unit_older(*state, value);
    idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    idem_response got;

    bytes[4] = 1;
    assert_non_null(strstr(idem_record_decode(NULL, idem_blob_of(bytes, value.len), head.slot, *state, &got_head, &got),
                           "checksum is wrong"));
    memcpy(bytes, older.data, older.len);
    bytes[4] = 3;
    assert_non_null(strstr(idem_record_decode(NULL, idem_blob_of(bytes, value.len), head.slot, *state, &got_head, &got),
                           "checksum is wrong"));
}

/* The places stand before all that the version before had. */
static void places_are_all_that_a_newer_version_adds(void **state)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_response_with_places(*state);
    idem_blob old = unit_record(*state), value = unit_encoded(*state, &head, &response);
    apr_size_t rest = old.len - IDEM_HEAD_LEN - IDEM_SUM_LEN;

    unit_assert_hex(value.data, 6, "4944454d0402");
    unit_assert_hex(value.data + IDEM_HEAD_LEN, 24,
                    "0300000000000347455400"
                    "00000a2f696e6465782e706870");
    assert_memory_equal(value.data + value.len - IDEM_SUM_LEN - rest, old.data + IDEM_HEAD_LEN, rest);
}

static void the_head_is_where_drivers_look(void **state)
{
    idem_head head = unit_head(IDEM_STATE_TOMBSTONE);
    idem_blob value = unit_encoded(*state, &head, NULL);

    assert_true(idem_value_plausible(value));
    assert_int_equal(idem_value_state(value), IDEM_STATE_TOMBSTONE);
    assert_int_equal(idem_value_ttl(value), head.ttl);
    assert_int_equal(idem_value_lease(value), head.lease);
    assert_true(idem_value_owner(value) == head.owner);
    assert_memory_equal(idem_value_slot(value), head.slot, IDEM_SLOT_LEN);
    assert_memory_equal(idem_value_token(value), head.token, IDEM_TOKEN_LEN);
}

/* ---- what the encoder refuses ------------------------------------------------------------------------------------ */

static void assert_not_encodable(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value;

    assert_int_equal(idem_record_encode(NULL, head, response, pool, &value), APR_EINVAL);
}

static void impossible_heads_are_not_encoded(void **state)
{
    const idem_head good = unit_head(IDEM_STATE_LEASE);
    idem_head bad[9];
    idem_response response = unit_bare_response();

    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        bad[i] = good;
    bad[0].state = (idem_state)0;
    bad[1].state = (idem_state)5;
    bad[2].flags = IDEM_HEAD_SEALED;
    bad[3].flags = 0x8000;
    bad[4].ttl = -1;
    bad[5].lease = -1;
    bad[6].lease = ((apr_interval_time_t)APR_UINT32_MAX + 1) * 1000;
    bad[7].print.parts = IDEM_PARTS_MAX + 1;
    bad[8].print.body_flags = 0x40;
    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        assert_not_encodable(*state, &bad[i], NULL);
    assert_not_encodable(*state, &good, &response);
    bad[0] = unit_head(IDEM_STATE_RECORD);
    assert_not_encodable(*state, &bad[0], NULL);
}

static void assert_response_not_encodable(apr_pool_t *pool, const idem_response *response)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);

    assert_not_encodable(pool, &head, response);
}

static void impossible_responses_are_not_encoded(void **state)
{
    static const int statuses[] = {-1, 0, 100, 199, 600, 65536 + 200};
    static const char *const lines[] = {"a\rb", "a\nb", "\n", "a\r"};
    idem_response r;

    for (size_t i = 0; i < UNIT_COUNT(statuses); i++) {
        r = unit_bare_response();
        r.status = statuses[i];
        assert_response_not_encodable(*state, &r);
    }
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        r = unit_bare_response();
        r.reason = lines[i];
        assert_response_not_encodable(*state, &r);
        r = unit_bare_response();
        r.content_type = lines[i];
        assert_response_not_encodable(*state, &r);
        r = unit_bare_response();
        r.content_encoding = lines[i];
        assert_response_not_encodable(*state, &r);
        r = unit_bare_response();
        r.languages = lines[i];
        assert_response_not_encodable(*state, &r);
    }
    r = unit_bare_response();
    r.body.len = 1; /* of nothing */
    assert_response_not_encodable(*state, &r);
}

static void impossible_fields_are_not_encoded(void **state)
{
    static const idem_field bad[] = {{NULL, "v", 0},  {"", "v", 0},     {"n", NULL, 0},  {"n", "v", 4},
                                     {"n\r", "v", 0}, {"n\nx", "v", 0}, {"n", "v\r", 0}, {"n", "v\nSet-Cookie: x", 0}};

    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        idem_response r = unit_response(*state);
        if (bad[i].name && bad[i].value)
            APR_ARRAY_PUSH(r.fields, idem_field) = bad[i];
        else
            APR_ARRAY_IDX(r.fields, 0, idem_field) = bad[i];
        assert_response_not_encodable(*state, &r);
    }
}

static void impossible_places_are_not_encoded(void **state)
{
    static const idem_place bad[] = {{NULL, "GET", 0},  {"", "GET", 0},    {"x", "GET", 0},   {"/", NULL, 0},
                                     {"/", "", 0},      {"/", "G\nT", 0},  {"/\r", "GET", 0}, {"/", "GET", -1},
                                     {"/", "GET", 199}, {"/", "GET", 1000}};
    idem_response r = unit_response_with_places(*state);

    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        r = unit_response_with_places(*state);
        APR_ARRAY_PUSH(r.places, idem_place) = bad[i];
        assert_response_not_encodable(*state, &r);
    }
    r = unit_response_with_places(*state);
    while (r.places->nelts <= IDEM_PLACES_MAX)
        APR_ARRAY_PUSH(r.places, idem_place) = APR_ARRAY_IDX(r.places, 0, idem_place);
    assert_response_not_encodable(*state, &r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_state_comes_back),
        UNIT(places_come_back),
        UNIT(absent_strings_stay_absent_and_empty_ones_empty),
        UNIT(the_greatest_numbers_fit),
        UNIT(random_responses_come_back),
        UNIT(records_stay_what_they_are),
        UNIT(older_records_are_read),
        UNIT(a_checksum_belongs_to_its_version),
        UNIT(places_are_all_that_a_newer_version_adds),
        UNIT(the_head_is_where_drivers_look),
        UNIT(impossible_heads_are_not_encoded),
        UNIT(impossible_responses_are_not_encoded),
        UNIT(impossible_fields_are_not_encoded),
        UNIT(impossible_places_are_not_encoded),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
