/*
 * test_record.c - what is encoded comes back; whatever else stands in a slot is refused with a sentence.
 *
 * Damage is tried in two ways: as it happens (the checksum tells), and with the checksum made right again, so that every check
 * behind it is reached too. For those the rule is: refused, or exactly what the encoder makes of the decoded record.
 */
#include "unit.h"

#include <apr_strings.h>

#include "record.h"

/* ---- records ------------------------------------------------------------------------------------------------------- */

static const idem_field fields[] = {
    {"Set-Cookie", "a=1", 0}, {"Set-Cookie", "b=2", IDEM_FIELD_ERR}, {"X-Empty", "", 0}, {"Location", "/orders/1", 0}};

static idem_head head_in(idem_state state)
{
    idem_head head;

    memset(&head, 0, sizeof head);
    head.state = state;
    head.ttl = apr_time_from_sec(86400);
    head.lease = apr_time_from_sec(30);
    head.attempt = 2;
    head.owner = APR_UINT64_C(0x0102030405060708);
    memset(head.slot, 0x51, sizeof head.slot);
    memset(head.token, 0x70, sizeof head.token);
    memset(&head.print, 0xee, sizeof head.print);
    head.print.hashed = 12;
    head.print.declared = IDEM_LENGTH_UNKNOWN;
    head.print.body_flags = IDEM_BODY_USED | IDEM_BODY_KNOWN | IDEM_BODY_WHOLE;
    head.print.parts = IDEM_PARTS_MAX;
    return head;
}

static idem_response full_response(apr_pool_t *pool)
{
    idem_response r = {201, "201 Made", "text/plain;charset=utf-8", "gzip", "de, en", NULL, idem_blob_of("\0b\r\n\xff", 5)};

    r.fields = apr_array_make(pool, 4, sizeof(idem_field));
    for (size_t i = 0; i < UNIT_COUNT(fields); i++)
        APR_ARRAY_PUSH(r.fields, idem_field) = fields[i];
    return r;
}

static idem_response bare_response(void)
{
    idem_response r = {204, NULL, NULL, NULL, NULL, NULL, {NULL, 0}};
    return r;
}

static idem_blob encoded(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value;

    assert_int_equal(idem_record_encode(head, response, pool, &value), APR_SUCCESS);
    assert_int_equal(value.len, idem_record_size(response));
    return unit_guarded(pool, value.data, value.len);
}

static idem_blob full_record(apr_pool_t *pool)
{
    idem_head head = head_in(IDEM_RECORD);
    idem_response response = full_response(pool);

    return encoded(pool, &head, &response);
}

static void assert_same_text(const char *one, const char *two)
{
    if (!one || !two)
        assert_ptr_equal(one, two);
    else
        assert_string_equal(one, two);
}

static void assert_same_response(const idem_response *one, const idem_response *two)
{
    int count = one->fields ? one->fields->nelts : 0;

    assert_int_equal(one->status, two->status);
    assert_same_text(one->reason, two->reason);
    assert_same_text(one->content_type, two->content_type);
    assert_same_text(one->content_encoding, two->content_encoding);
    assert_same_text(one->languages, two->languages);
    assert_int_equal(count, two->fields ? two->fields->nelts : 0);
    for (int i = 0; i < count; i++) {
        const idem_field *a = &APR_ARRAY_IDX(one->fields, i, idem_field), *b = &APR_ARRAY_IDX(two->fields, i, idem_field);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->value, b->value);
        assert_int_equal(a->flags, b->flags);
    }
    assert_int_equal(one->body.len, two->body.len);
    assert_true(!one->body.len || !memcmp(one->body.data, two->body.data, one->body.len));
}

static void assert_same_head(const idem_head *one, const idem_head *two)
{
    assert_int_equal(one->state, two->state);
    assert_int_equal(one->flags, two->flags);
    assert_int_equal(one->ttl, two->ttl);
    assert_int_equal(one->lease, two->lease);
    assert_int_equal(one->attempt, two->attempt);
    assert_true(one->owner == two->owner);
    assert_memory_equal(one->slot, two->slot, sizeof one->slot);
    assert_memory_equal(one->token, two->token, sizeof one->token);
    assert_memory_equal(&one->print, &two->print, sizeof one->print);
}

static void assert_round_trip(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value = encoded(pool, head, response);
    idem_head got_head;
    idem_response got;
    const char *why = "unset";

    assert_int_equal(idem_record_decode(value, head->slot, pool, &got_head, &got, &why), APR_SUCCESS);
    assert_null(why);
    assert_same_head(head, &got_head);
    if (!response)
        return;
    assert_same_response(response, &got);
    assert_true(!got.body.len || (got.body.data > value.data && got.body.data < value.data + value.len));
}

/* ---- what comes back ----------------------------------------------------------------------------------------------- */

static void every_state_comes_back(void **state)
{
    for (int s = IDEM_LEASE; s <= IDEM_UNKNOWN; s++) {
        idem_head head = head_in((idem_state)s);
        idem_response response = full_response(*state);
        assert_round_trip(*state, &head, s == IDEM_RECORD ? &response : NULL);
    }
}

static void absent_strings_stay_absent_and_empty_ones_empty(void **state)
{
    idem_head head = head_in(IDEM_RECORD);
    idem_response response = bare_response();

    assert_round_trip(*state, &head, &response);
    response.reason = response.content_type = response.content_encoding = response.languages = "";
    response.status = 599;
    response.fields = apr_array_make(*state, 1, sizeof(idem_field)); /* none in it */
    assert_round_trip(*state, &head, &response);
}

static void the_greatest_numbers_fit(void **state)
{
    idem_head head = head_in(IDEM_LEASE);

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
    idem_response r = {(int)(200 + unit_random(seed) % 400), random_text(pool, seed), random_text(pool, seed),
                       random_text(pool, seed), random_text(pool, seed), NULL, {NULL, 0}};
    unsigned char *body;

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
        idem_head head = head_in(IDEM_RECORD);
        idem_response response = random_response(pool, &seed);
        head.attempt = unit_random(&seed);
        head.ttl = (apr_interval_time_t)unit_random(&seed) * 1000;
        assert_round_trip(pool, &head, &response);
    }
}

/* What lies in stores must stay readable: this sum was computed apart, from the documented layout. */
static void records_stay_what_they_are(void **state)
{
    idem_blob value = full_record(*state);

    assert_int_equal(IDEM_HEAD_LEN, 320);
    unit_assert_hex(value.data, 32, "4944454d01020000" "0000000005265c00" "00007530" "00000002" "0102030405060708");
    unit_assert_hex(value.data + value.len - IDEM_SUM_LEN, IDEM_SUM_LEN, "dfd5b90f067566f7a33be6014ca4b878");
}

static void the_head_is_where_drivers_look(void **state)
{
    idem_head head = head_in(IDEM_TOMBSTONE);
    idem_blob value = encoded(*state, &head, NULL);

    assert_true(idem_value_plausible(value));
    assert_int_equal(idem_value_state(value), IDEM_TOMBSTONE);
    assert_int_equal(idem_value_ttl(value), head.ttl);
    assert_int_equal(idem_value_lease(value), head.lease);
    assert_true(idem_value_owner(value) == head.owner);
    assert_memory_equal(idem_value_slot(value), head.slot, IDEM_SLOT_LEN);
    assert_memory_equal(idem_value_token(value), head.token, IDEM_TOKEN_LEN);
}

/* ---- what the encoder refuses -------------------------------------------------------------------------------------- */

static void assert_not_encodable(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value;

    assert_int_equal(idem_record_encode(head, response, pool, &value), APR_EINVAL);
}

static void impossible_heads_are_not_encoded(void **state)
{
    const idem_head good = head_in(IDEM_LEASE);
    idem_head bad[9];
    idem_response response = bare_response();

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
    bad[8].print.body_flags = 8;
    for (size_t i = 0; i < UNIT_COUNT(bad); i++)
        assert_not_encodable(*state, &bad[i], NULL);
    assert_not_encodable(*state, &good, &response);
    bad[0] = head_in(IDEM_RECORD);
    assert_not_encodable(*state, &bad[0], NULL);
}

static void assert_response_not_encodable(apr_pool_t *pool, const idem_response *response)
{
    idem_head head = head_in(IDEM_RECORD);

    assert_not_encodable(pool, &head, response);
}

static void impossible_responses_are_not_encoded(void **state)
{
    static const int statuses[] = {-1, 0, 100, 199, 600, 65536 + 200};
    static const char *const lines[] = {"a\rb", "a\nb", "\n", "a\r"};
    idem_response r;

    for (size_t i = 0; i < UNIT_COUNT(statuses); i++) {
        r = bare_response();
        r.status = statuses[i];
        assert_response_not_encodable(*state, &r);
    }
    for (size_t i = 0; i < UNIT_COUNT(lines); i++) {
        r = bare_response();
        r.reason = lines[i];
        assert_response_not_encodable(*state, &r);
        r = bare_response();
        r.content_type = lines[i];
        assert_response_not_encodable(*state, &r);
        r = bare_response();
        r.content_encoding = lines[i];
        assert_response_not_encodable(*state, &r);
        r = bare_response();
        r.languages = lines[i];
        assert_response_not_encodable(*state, &r);
    }
    r = bare_response();
    r.body.len = 1; /* of nothing */
    assert_response_not_encodable(*state, &r);
}

static void impossible_fields_are_not_encoded(void **state)
{
    static const idem_field bad[] = {{NULL, "v", 0},  {"", "v", 0},     {"n", NULL, 0},  {"n", "v", 2},
                                     {"n\r", "v", 0}, {"n\nx", "v", 0}, {"n", "v\r", 0}, {"n", "v\nSet-Cookie: x", 0}};

    for (size_t i = 0; i < UNIT_COUNT(bad); i++) {
        idem_response r = full_response(*state);
        if (bad[i].name && bad[i].value)
            APR_ARRAY_PUSH(r.fields, idem_field) = bad[i];
        else
            APR_ARRAY_IDX(r.fields, 0, idem_field) = bad[i];
        assert_response_not_encodable(*state, &r);
    }
}

/* ---- damage, as the checksum tells it ------------------------------------------------------------------------------ */

static void assert_refused(apr_pool_t *pool, idem_blob value, const unsigned char *slot, const char *reason)
{
    idem_head head;
    idem_response response;
    const char *why = NULL;

    assert_int_equal(idem_record_decode(value, slot, pool, &head, &response, &why), APR_EGENERAL);
    assert_non_null(why);
    if (reason && !strstr(why, reason))
        fail_msg("\"%s\" instead of \"%s\"", why, reason);
}

static void every_flipped_bit_is_refused(void **state)
{
    idem_blob value = full_record(*state);
    idem_head head = head_in(IDEM_RECORD);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    unit_area *area = unit_area_create(*state, value.len);

    for (apr_size_t i = 0; i < value.len * 8; i++) {
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
        assert_refused(*state, unit_place(area, bytes, value.len), head.slot, NULL);
        bytes[i / 8] = (unsigned char)(bytes[i / 8] ^ 1u << i % 8);
    }
}

static void every_other_length_is_refused(void **state)
{
    idem_blob value = full_record(*state);
    idem_head head = head_in(IDEM_RECORD);
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
    assert_refused(*state, full_record(*state), other, "another slot");
}

/* ---- damage with a right checksum ---------------------------------------------------------------------------------- */

static void make_sum_right(unsigned char *bytes, apr_size_t len)
{
    unsigned char sum[IDEM_DIGEST_LEN];

    assert_int_equal(idem_digest_of(NULL, idem_blob_of(bytes, len - IDEM_SUM_LEN), sum), APR_SUCCESS);
    memcpy(bytes + len - IDEM_SUM_LEN, sum, IDEM_SUM_LEN);
}

/* Refused, or the one encoding of what was decoded. */
static int assert_canonical(apr_pool_t *pool, idem_blob value)
{
    idem_head head;
    idem_response response;
    const char *why = NULL;
    idem_blob again;

    if (idem_record_decode(value, idem_value_slot(value), pool, &head, &response, &why) != APR_SUCCESS) {
        assert_non_null(why);
        return 0;
    }
    again = encoded(pool, &head, head.state == IDEM_RECORD ? &response : NULL);
    assert_int_equal(again.len, value.len);
    assert_memory_equal(again.data, value.data, value.len);
    return 1;
}

static void every_altered_byte_is_refused_or_means_something_else(void **state)
{
    static const unsigned char changes[] = {0x01, 0x80, 0xff, 0x0d};
    idem_blob value = full_record(*state);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    unit_area *area = unit_area_create(*state, value.len);
    int accepted = 0;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (apr_size_t i = 0; i < value.len - IDEM_SUM_LEN; i++)
        for (size_t c = 0; c < UNIT_COUNT(changes); c++, apr_pool_clear(pool)) {
            bytes[i] ^= changes[c];
            make_sum_right(bytes, value.len);
            accepted += assert_canonical(pool, unit_place(area, bytes, value.len));
            bytes[i] ^= changes[c];
        }
    assert_in_range(accepted, 3 * (IDEM_SLOT_LEN + IDEM_TOKEN_LEN), 4 * (value.len - IDEM_SUM_LEN) - 1);
}

static void every_cut_with_a_right_sum_is_refused(void **state)
{
    idem_blob value = full_record(*state);
    unsigned char *bytes = apr_palloc(*state, value.len);
    unit_area *area = unit_area_create(*state, value.len);

    for (apr_size_t len = IDEM_HEAD_MIN; len < value.len; len++) {
        memcpy(bytes, value.data, len);
        make_sum_right(bytes, len);
        assert_int_equal(assert_canonical(*state, unit_place(area, bytes, len)), 0);
    }
}

static void random_rests_never_crash(void **state)
{
    static const unsigned char likely[] = {0, 0, 0, 0, 1, 2, 4, 200, 255, 'a'};
    idem_blob value = full_record(*state);
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
        if (len > 1)
            idem_put(bytes + IDEM_HEAD_LEN, 200 + round % 400, 2);
        make_sum_right(bytes, IDEM_HEAD_LEN + len + IDEM_SUM_LEN);
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
    {5, 1, IDEM_LEASE, "no response"},
    {5, 1, IDEM_UNKNOWN, "no response"},
    {6, 2, IDEM_HEAD_SEALED, "encrypted"},
    {6, 2, 0x0002, "unknown flags"},
    {6, 2, 0x8000, "unknown flags"},
    {8, 8, APR_INT64_MAX / 1000 + 1, "life span"},
    {8, 8, APR_UINT64_MAX, "life span"},
    {296, 1, 8, "unknown flags"},
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
    {AT_FIELD, 1, 2, "header field has unknown flags"},
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
    idem_blob value = full_record(*state);
    idem_head head = head_in(IDEM_RECORD);
    unit_area *area = unit_area_create(*state, value.len);
    unsigned char *bytes = apr_palloc(*state, value.len);

    assert_int_equal(value.len, AT_SUM + IDEM_SUM_LEN);
    for (size_t i = 0; i < UNIT_COUNT(damages); i++) {
        memcpy(bytes, value.data, value.len);
        idem_put(bytes + damages[i].at, damages[i].number, damages[i].bytes);
        make_sum_right(bytes, value.len);
        assert_refused(*state, unit_place(area, bytes, value.len), head.slot, damages[i].why);
    }
}

static void a_head_alone_is_no_record_with_a_response(void **state)
{
    idem_head head = head_in(IDEM_LEASE);
    idem_blob value = encoded(*state, &head, NULL);
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);

    bytes[5] = IDEM_RECORD;
    make_sum_right(bytes, value.len);
    assert_refused(*state, unit_guarded(*state, bytes, value.len), head.slot, "status or type");
    assert_refused(*state, unit_guarded(*state, bytes, IDEM_HEAD_MIN), head.slot, "shorter than its head");
}

static void a_response_nobody_wants_is_checked_all_the_same(void **state)
{
    idem_blob value = full_record(*state);
    idem_head head = head_in(IDEM_RECORD), got;
    unsigned char *bytes = apr_pmemdup(*state, value.data, value.len);
    const char *why;

    assert_int_equal(idem_record_decode(value, head.slot, *state, &got, NULL, &why), APR_SUCCESS);
    assert_same_head(&head, &got);
    idem_put(bytes + AT_BODY, 4, 8);
    make_sum_right(bytes, value.len);
    value = unit_guarded(*state, bytes, value.len);
    assert_int_equal(idem_record_decode(value, head.slot, *state, &got, NULL, &why), APR_EGENERAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_state_comes_back),
        UNIT(absent_strings_stay_absent_and_empty_ones_empty),
        UNIT(the_greatest_numbers_fit),
        UNIT(random_responses_come_back),
        UNIT(records_stay_what_they_are),
        UNIT(the_head_is_where_drivers_look),
        UNIT(impossible_heads_are_not_encoded),
        UNIT(impossible_responses_are_not_encoded),
        UNIT(impossible_fields_are_not_encoded),
        UNIT(every_flipped_bit_is_refused),
        UNIT(every_other_length_is_refused),
        UNIT(a_record_of_another_slot_is_refused),
        UNIT(every_altered_byte_is_refused_or_means_something_else),
        UNIT(every_cut_with_a_right_sum_is_refused),
        UNIT(random_rests_never_crash),
        UNIT(each_damage_has_its_reason),
        UNIT(a_head_alone_is_no_record_with_a_response),
        UNIT(a_response_nobody_wants_is_checked_all_the_same),
    };

    return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
