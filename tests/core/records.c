/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records.c - the records of records.h. test_record_damage.c knows their bytes by offset.
 */
#include "records.h"

#include <apr_strings.h>

static const idem_field fields[] = {
    {"Set-Cookie", "a=1", 0}, {"Set-Cookie", "b=2", IDEM_FIELD_ERR}, {"X-Empty", "", 0}, {"Location", "/orders/1", 0}};

idem_head unit_head(idem_state state)
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

idem_response unit_response(apr_pool_t *pool)
{
    idem_response r = {.status = 201,
                       .reason = "201 Made",
                       .content_type = "text/plain;charset=utf-8",
                       .content_encoding = "gzip",
                       .languages = "de, en",
                       .body = idem_blob_of("\0b\r\n\xff", 5)};

    r.fields = apr_array_make(pool, 4, sizeof(idem_field));
    for (size_t i = 0; i < UNIT_COUNT(fields); i++)
        APR_ARRAY_PUSH(r.fields, idem_field) = fields[i];
    return r;
}

idem_response unit_response_with_places(apr_pool_t *pool)
{
    static const idem_place places[] = {
        {"/index.php", "GET", 0}, {"/front/a%20b?c=d", "POST", 200}, {"/sorry", "GET", 404}};
    idem_response r = unit_response(pool);

    r.places = apr_array_make(pool, 3, sizeof(idem_place));
    for (size_t i = 0; i < UNIT_COUNT(places); i++)
        APR_ARRAY_PUSH(r.places, idem_place) = places[i];
    return r;
}

idem_response unit_bare_response(void)
{
    idem_response r = {.status = 204};
    return r;
}

idem_blob unit_encoded(apr_pool_t *pool, const idem_head *head, const idem_response *response)
{
    idem_blob value;

    assert_int_equal(idem_record_encode(NULL, head, response, pool, &value), APR_SUCCESS);
    assert_int_equal(value.len, idem_record_size(NULL, response));
    return unit_guarded(pool, value.data, value.len);
}

idem_blob unit_record(apr_pool_t *pool)
{
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_response(pool);

    return unit_encoded(pool, &head, &response);
}

void unit_make_sum_right(unsigned char *value, apr_size_t len)
{
    idem_blob summed = idem_blob_of(value, len - IDEM_SUM_LEN);
    unsigned char sum[IDEM_DIGEST_LEN];

    if (value[4] == 1 || value[4] == 2)
        assert_int_equal(idem_digest_of(NULL, summed, sum), APR_SUCCESS);
    else
        idem_checksum(summed, sum);
    memcpy(value + len - IDEM_SUM_LEN, sum, IDEM_SUM_LEN);
}

idem_blob unit_older(apr_pool_t *pool, idem_blob value)
{
    unsigned char *older = apr_pmemdup(pool, value.data, value.len);

    older[4] -= 2;
    unit_make_sum_right(older, value.len);
    return unit_guarded(pool, older, value.len);
}

static void assert_same_text(const char *one, const char *two)
{
    if (!one || !two)
        assert_ptr_equal(one, two);
    else
        assert_string_equal(one, two);
}

void unit_assert_same_response(const idem_response *one, const idem_response *two)
{
    int count = one->fields ? one->fields->nelts : 0;

    assert_int_equal(one->status, two->status);
    assert_same_text(one->reason, two->reason);
    assert_same_text(one->content_type, two->content_type);
    assert_same_text(one->content_encoding, two->content_encoding);
    assert_same_text(one->languages, two->languages);
    assert_int_equal(count, two->fields ? two->fields->nelts : 0);
    for (int i = 0; i < count; i++) {
        const idem_field *a = &APR_ARRAY_IDX(one->fields, i, idem_field);
        const idem_field *b = &APR_ARRAY_IDX(two->fields, i, idem_field);
        assert_string_equal(a->name, b->name);
        assert_string_equal(a->value, b->value);
        assert_int_equal(a->flags, b->flags);
    }
    assert_int_equal(one->places ? one->places->nelts : 0, two->places ? two->places->nelts : 0);
    for (int i = 0; one->places && i < one->places->nelts; i++) {
        const idem_place *a = &APR_ARRAY_IDX(one->places, i, idem_place);
        const idem_place *b = &APR_ARRAY_IDX(two->places, i, idem_place);
        assert_string_equal(a->uri, b->uri);
        assert_string_equal(a->method, b->method);
        assert_int_equal(a->status, b->status);
    }
    assert_int_equal(one->body.len, two->body.len);
    assert_true(!one->body.len || !memcmp(one->body.data, two->body.data, one->body.len));
}

void unit_assert_same_head(const idem_head *one, const idem_head *two)
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
