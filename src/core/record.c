/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.c - encodes and decodes the bytes under a slot; record.h has their order.
 *
 * Called by the store's front and the command-line tool. Encoder and decoder share one list of what is acceptable, so
 * that the decoder accepts exactly what the encoder makes. A string is stored as a 4-byte length and its bytes, ABSENT
 * for NULL. So 4 GiB limit one string or field list, and only memory limits a body.
 *
 *   before the rest, versions 2 and 4: 1 count of places, each: 2 status · method · URI
 *   rest of a RECORD: 2 status · reason · content type · content encoding · languages ·
 *                     4 count of fields, each: 1 flags · name · value · 8 length of the body · body
 */
#include "record.h"

#include "seal.h"

#include <apr_strings.h>

#define SUM_AT(value) ((value).len - IDEM_SUM_LEN)
#define ABSENT 0xffffffffu /* the length of a string that is NULL */
#define BODY_FLAGS \
    (IDEM_BODY_USED | IDEM_BODY_KNOWN | IDEM_BODY_WHOLE | IDEM_BODY_MARKED | IDEM_BODY_PARTED | IDEM_PRINT_BRIEF)
#define OLDEST_VERSION 1
#define SHA_VERSIONS 2 /* up to this one checksums are SHA-256's */
#define FIELD_MIN 10   /* flags, two lengths, one byte of name: bounds what a field count may claim */

const char idem_record_not_looked_at[] = "there was no memory to look at the record";

static int has_places(int version)
{
    return version % 2 == 0;
}

/* A name or a value that ends a header line, or a string, early could forge what follows it. */
static int is_line(const void *data, apr_size_t len)
{
    const unsigned char *s = data;

    for (apr_size_t i = 0; i < len; i++)
        if (s[i] == '\0' || s[i] == '\r' || s[i] == '\n')
            return 0;
    return 1;
}

static unsigned flags_of_state(idem_state state)
{
    return state == IDEM_STATE_RECORD ? IDEM_HEAD_SEALED : state == IDEM_STATE_UNKNOWN ? IDEM_HEAD_RETRY : 0;
}

static const char *fault_of_head(const idem_head *head)
{
    if (head->state < IDEM_STATE_LEASE || head->state > IDEM_STATE_UNKNOWN)
        return "the record is in no known state";
    if (head->flags & ~flags_of_state(head->state))
        return "the record has unknown flags";
    if (head->ttl < 0 || head->lease < 0 || head->lease / 1000 > APR_UINT32_MAX)
        return "the record has an impossible life span";
    if (head->print.parts > IDEM_PARTS_MAX)
        return "the record's fingerprint has too many parts";
    if (head->print.body_flags & ~(unsigned)BODY_FLAGS)
        return "the record's fingerprint has unknown flags";
    return NULL;
}

static const char *fault_of_status(int status)
{
    return status < 200 || status > 599 ? "the recorded status is not between 200 and 599" : NULL;
}

static const char *fault_of_place(const idem_place *place)
{
    if (!place->uri || place->uri[0] != '/' || !place->method || !*place->method)
        return "a recorded place is torn, nameless, or more than one line";
    return place->status && (place->status < 200 || place->status > 999) ? "a recorded place has no known status"
                                                                         : NULL;
}

/* ---- encoding ---------------------------------------------------------------------------------------------------- */

static apr_size_t string_size(const char *s)
{
    return 4 + (s ? strlen(s) : 0);
}

static unsigned char *put_string(unsigned char *to, const char *s)
{
    apr_size_t len = s ? strlen(s) : 0;

    return idem_put_bytes(idem_put(to, s ? len : ABSENT, 4), s, len);
}

static int field_count(const idem_response *r)
{
    return r->fields ? r->fields->nelts : 0;
}

static const idem_field *field_at(const idem_response *r, int i)
{
    return &APR_ARRAY_IDX(r->fields, i, const idem_field);
}

static int place_count(const idem_response *r)
{
    return r && r->places ? r->places->nelts : 0;
}

static const idem_place *place_at(const idem_response *r, int i)
{
    return &APR_ARRAY_IDX(r->places, i, const idem_place);
}

static apr_size_t places_size(const idem_response *r)
{
    apr_size_t size = place_count(r) ? 1 : 0;

    for (int i = 0; i < place_count(r); i++)
        size += 2 + string_size(place_at(r, i)->method) + string_size(place_at(r, i)->uri);
    return size;
}

apr_size_t idem_record_size(const idem_keyring *ring, const idem_response *response)
{
    apr_size_t size = IDEM_HEAD_LEN + IDEM_SUM_LEN;

    if (!response)
        return size;
    size += places_size(response) + 2 + string_size(response->reason) + string_size(response->content_type) +
            string_size(response->content_encoding) + string_size(response->languages) + 4;
    for (int i = 0; i < field_count(response); i++)
        size += 1 + string_size(field_at(response, i)->name) + string_size(field_at(response, i)->value);
    return size + 8 + response->body.len + (idem_keyring_to_seal(ring) ? IDEM_SEAL_EXTRA : 0);
}

static unsigned char *put_print(unsigned char *to, const idem_print *print)
{
    to = idem_put_bytes(to, print->made_of, sizeof print->made_of);
    to = idem_put_bytes(to, print->rest, sizeof print->rest);
    to = idem_put_bytes(to, print->part, sizeof print->part);
    to = idem_put_bytes(to, print->body, sizeof print->body);
    to = idem_put(to, print->hashed, 8);
    to = idem_put(to, print->declared, 8);
    to = idem_put(to, print->body_flags, 1);
    return idem_put(to, print->parts, 1);
}

static unsigned char *put_head(unsigned char *start, const idem_head *head, int version)
{
    unsigned char *to = idem_put_bytes(start, "IDEM", 4);

    to = idem_put(to, (apr_uint64_t)version, 1);
    to = idem_put(to, (apr_uint64_t)head->state, 1);
    to = idem_put(to, head->flags, 2);
    to = idem_put(to, (apr_uint64_t)(head->ttl / 1000), 8);
    to = idem_put(to, (apr_uint64_t)(head->lease / 1000), 4);
    to = idem_put(to, head->attempt, 4);
    to = idem_put(to, head->owner, 8);
    to = idem_put_bytes(to, head->slot, IDEM_SLOT_LEN);
    to = idem_put_bytes(to, head->token, IDEM_TOKEN_LEN);
    to = put_print(to, &head->print);
    memset(to, 0, (apr_size_t)(start + IDEM_HEAD_LEN - to));
    return start + IDEM_HEAD_LEN;
}

static unsigned char *put_places(unsigned char *to, const idem_response *r)
{
    if (place_count(r))
        to = idem_put(to, (apr_uint64_t)place_count(r), 1);
    for (int i = 0; i < place_count(r); i++) {
        to = idem_put(to, (apr_uint64_t)place_at(r, i)->status, 2);
        to = put_string(to, place_at(r, i)->method);
        to = put_string(to, place_at(r, i)->uri);
    }
    return to;
}

static unsigned char *put_response(unsigned char *to, const idem_response *r)
{
    to = put_places(to, r);
    to = idem_put(to, (apr_uint64_t)r->status, 2);
    to = put_string(to, r->reason);
    to = put_string(to, r->content_type);
    to = put_string(to, r->content_encoding);
    to = put_string(to, r->languages);
    to = idem_put(to, (apr_uint64_t)field_count(r), 4);
    for (int i = 0; i < field_count(r); i++) {
        to = idem_put(to, field_at(r, i)->flags, 1);
        to = put_string(to, field_at(r, i)->name);
        to = put_string(to, field_at(r, i)->value);
    }
    to = idem_put(to, r->body.len, 8);
    return idem_put_bytes(to, r->body.data, r->body.len);
}

static int string_encodable(const char *s)
{
    return !s || (strlen(s) < ABSENT && is_line(s, strlen(s)));
}

static int field_encodable(const idem_field *f)
{
    return f->name && *f->name && f->value && !(f->flags & ~(unsigned)IDEM_FIELD_FLAGS) && string_encodable(f->name) &&
           string_encodable(f->value);
}

static int places_encodable(const idem_response *r)
{
    if (place_count(r) > IDEM_PLACES_MAX)
        return 0;
    for (int i = 0; i < place_count(r); i++)
        if (fault_of_place(place_at(r, i)) || !string_encodable(place_at(r, i)->uri) ||
            !string_encodable(place_at(r, i)->method))
            return 0;
    return 1;
}

static int response_encodable(const idem_response *r)
{
    if (fault_of_status(r->status) || (r->body.len && !r->body.data))
        return 0;
    if (!string_encodable(r->reason) || !string_encodable(r->content_type) || !string_encodable(r->content_encoding) ||
        !string_encodable(r->languages))
        return 0;
    for (int i = 0; i < field_count(r); i++)
        if (!field_encodable(field_at(r, i)))
            return 0;
    return places_encodable(r);
}

/* The response behind the head at start, sealed if there is a ring. *end is where the checksum belongs. */
static apr_status_t put_rest(const idem_keyring *ring, const idem_response *response, unsigned char *start,
                             unsigned char **end)
{
    unsigned char *rest = start + IDEM_HEAD_LEN, *plain = ring ? rest + IDEM_SEAL_BEFORE : rest;

    *end = put_response(plain, response);
    if (!ring)
        return APR_SUCCESS;
    *end += IDEM_SEAL_TAG_LEN;
    return idem_seal(ring, idem_blob_of(start, IDEM_HEAD_LEN), rest, (apr_size_t)(*end - rest) - IDEM_SEAL_EXTRA);
}

apr_status_t idem_record_encode(const idem_keyring *ring, const idem_head *given, const idem_response *response,
                                apr_pool_t *pool, idem_blob *value)
{
    idem_head head = *given;
    apr_size_t size;
    unsigned char *start, *to;
    apr_status_t status = APR_SUCCESS;

    if ((head.flags & IDEM_HEAD_SEALED) || fault_of_head(&head) ||
        (head.state == IDEM_STATE_RECORD) != (response != NULL))
        return APR_EINVAL;
    if (response && !response_encodable(response))
        return APR_EINVAL;
    ring = idem_keyring_to_seal(ring);
    head.flags |= ring && response ? IDEM_HEAD_SEALED : 0;
    size = idem_record_size(ring, response);
    start = apr_palloc(pool, size);
    to = put_head(start, &head, IDEM_RECORD_VERSION - (place_count(response) ? 0 : 1));
    if (response)
        status = put_rest(ring, response, start, &to);
    if (status != APR_SUCCESS)
        return status;
    idem_checksum(idem_blob_of(start, (apr_size_t)(to - start)), to);
    *value = idem_blob_of(start, size);
    return APR_SUCCESS;
}

/* ---- decoding ---------------------------------------------------------------------------------------------------- */

static void take_into(idem_cursor *c, void *to, apr_size_t len)
{
    const unsigned char *from = idem_take_bytes(c, len);

    if (from)
        memcpy(to, from, len);
}

static void take_print(idem_cursor *c, idem_print *print)
{
    take_into(c, print->made_of, sizeof print->made_of);
    take_into(c, print->rest, sizeof print->rest);
    take_into(c, print->part, sizeof print->part);
    take_into(c, print->body, sizeof print->body);
    print->hashed = idem_take(c, 8);
    print->declared = idem_take(c, 8);
    print->body_flags = (unsigned)idem_take(c, 1);
    print->parts = (unsigned)idem_take(c, 1);
}

/* Milliseconds to microseconds; negative where that does not fit. */
static apr_interval_time_t take_duration(idem_cursor *c, int bytes)
{
    apr_uint64_t ms = idem_take(c, bytes);

    return ms > APR_INT64_MAX / 1000 ? -1 : (apr_interval_time_t)ms * 1000;
}

static const char *decode_head(idem_cursor *c, idem_head *head)
{
    const unsigned char *start = c->at, *zeros;

    idem_take_bytes(c, 5); /* magic and version, looked at before */
    head->state = (idem_state)idem_take(c, 1);
    head->flags = (unsigned)idem_take(c, 2);
    head->ttl = take_duration(c, 8);
    head->lease = take_duration(c, 4);
    head->attempt = (apr_uint32_t)idem_take(c, 4);
    head->owner = idem_take(c, 8);
    take_into(c, head->slot, IDEM_SLOT_LEN);
    take_into(c, head->token, IDEM_TOKEN_LEN);
    take_print(c, &head->print);
    for (zeros = c->at; zeros < start + IDEM_HEAD_LEN; zeros++)
        if (*zeros)
            return "the record's head has something in its unused part";
    idem_take_bytes(c, (apr_size_t)(zeros - c->at));
    return fault_of_head(head);
}

/* NULL where an absent string was stored, and with c->bad set where there is none or it holds more than one line. */
static const char *take_string(idem_cursor *c, apr_pool_t *pool)
{
    apr_size_t len = (apr_size_t)idem_take(c, 4);
    const unsigned char *s;

    if (len == ABSENT)
        return NULL;
    s = idem_take_bytes(c, len);
    if (!s || !is_line(s, len)) {
        c->bad = 1;
        return NULL;
    }
    return apr_pstrmemdup(pool, (const char *)s, len);
}

static const char *decode_places(idem_cursor *c, apr_pool_t *pool, apr_array_header_t **places)
{
    int count = (int)idem_take(c, 1);

    if (count < 1 || count > IDEM_PLACES_MAX)
        return "the record has no places, or too many";
    *places = apr_array_make(pool, count, sizeof(idem_place));
    while (count--) {
        idem_place *place = apr_array_push(*places);
        const char *fault;

        place->status = (int)idem_take(c, 2);
        place->method = take_string(c, pool);
        place->uri = take_string(c, pool);
        fault = fault_of_place(place);
        if (fault)
            return fault;
    }
    return NULL;
}

static const char *decode_fields(idem_cursor *c, apr_pool_t *pool, apr_array_header_t **fields)
{
    apr_uint64_t count = idem_take(c, 4);

    *fields = NULL;
    if (c->bad || count > (apr_size_t)(c->end - c->at) / FIELD_MIN || count > APR_INT32_MAX)
        return "the record has more header fields than bytes for them";
    if (!count)
        return NULL;
    *fields = apr_array_make(pool, (int)count, sizeof(idem_field));
    while (count--) {
        idem_field *f = apr_array_push(*fields);
        f->flags = (unsigned)idem_take(c, 1);
        f->name = take_string(c, pool);
        f->value = take_string(c, pool);
        if (!f->name || !*f->name || !f->value)
            return "a recorded header field is torn, nameless, or more than one line";
        if (f->flags & ~(unsigned)IDEM_FIELD_FLAGS)
            return "a recorded header field has unknown flags";
    }
    return NULL;
}

static const char *decode_response(idem_cursor *c, int version, apr_pool_t *pool, idem_response *r)
{
    const char *fault = has_places(version) ? decode_places(c, pool, &r->places) : NULL;
    apr_uint64_t len;

    if (fault)
        return fault;
    r->status = (int)idem_take(c, 2);
    r->reason = take_string(c, pool);
    r->content_type = take_string(c, pool);
    r->content_encoding = take_string(c, pool);
    r->languages = take_string(c, pool);
    if (c->bad)
        return "the recorded status or type is torn, or more than one line";
    fault = fault_of_status(r->status);
    if (!fault)
        fault = decode_fields(c, pool, &r->fields);
    if (fault)
        return fault;
    len = idem_take(c, 8);
    if (c->bad || len != (apr_size_t)(c->end - c->at))
        return "the recorded body is not as long as it says";
    r->body = idem_blob_of(c->at, (apr_size_t)len);
    return NULL;
}

/* Of the version that value says it is of. */
static apr_status_t make_sum(idem_blob value, unsigned char sum[IDEM_SUM_LEN])
{
    idem_blob summed = idem_blob_of(value.data, SUM_AT(value));
    unsigned char full[IDEM_DIGEST_LEN];
    apr_status_t status;

    if (value.data[4] > SHA_VERSIONS) {
        idem_checksum(summed, sum);
        return APR_SUCCESS;
    }
    status = idem_digest_of(NULL, summed, full);
    memcpy(sum, full, IDEM_SUM_LEN);
    return status;
}

/* What must hold before any field is worth reading. */
static const char *fault_of_value(idem_blob value, const unsigned char *slot)
{
    unsigned char sum[IDEM_SUM_LEN];

    if (!idem_value_plausible(value))
        return "what stands there is no record";
    if (value.data[4] > IDEM_RECORD_VERSION)
        return "the record was written by a newer version of this module";
    if (value.data[4] < OLDEST_VERSION)
        return "the record is of an unknown version";
    if (value.len < IDEM_HEAD_LEN + IDEM_SUM_LEN)
        return "the record is shorter than its head";
    if (make_sum(value, sum) != APR_SUCCESS)
        return idem_record_not_looked_at;
    if (!idem_equal_ct(sum, value.data + SUM_AT(value), IDEM_SUM_LEN))
        return "the record's checksum is wrong: it is torn or was altered";
    if (!idem_equal_ct(slot, idem_value_slot(value), IDEM_SLOT_LEN))
        return "the record belongs to another slot";
    return NULL;
}

/* The response behind the head, opened if it is sealed. */
static const char *take_rest(const idem_keyring *ring, idem_cursor *c, const idem_head *head, apr_pool_t *pool,
                             idem_response *response)
{
    idem_blob sealed = idem_blob_of(c->at, (apr_size_t)(c->end - c->at)), plain;
    int version = (c->at - IDEM_HEAD_LEN)[4];
    const char *why;
    apr_status_t rv;

    if (!(head->flags & IDEM_HEAD_SEALED))
        return !idem_keyring_takes_open(ring) ? "the record is not sealed, and IdempotencySecret asks for seals"
                                              : decode_response(c, version, pool, response);
    if (!ring)
        return "the record is sealed, and no IdempotencySecret is configured";
    rv = idem_unseal(ring, idem_blob_of(c->at - IDEM_HEAD_LEN, IDEM_HEAD_LEN), sealed, pool, &plain, &why);
    if (rv != APR_SUCCESS)
        return rv == APR_ENOMEM ? idem_record_not_looked_at : why;
    *c = idem_cursor_of(plain);
    return decode_response(c, version, pool, response);
}

const char *idem_record_decode(const idem_keyring *ring, idem_blob value, const unsigned char slot[IDEM_SLOT_LEN],
                               apr_pool_t *pool, idem_head *head, idem_response *response)
{
    const char *fault = fault_of_value(value, slot);
    idem_response unwanted;
    idem_cursor c;

    memset(head, 0, sizeof *head);
    if (!response)
        response = &unwanted;
    memset(response, 0, sizeof *response);
    if (fault)
        return fault;
    c = idem_cursor_of(idem_blob_of(value.data, SUM_AT(value)));
    fault = decode_head(&c, head);
    if (!fault && head->state == IDEM_STATE_RECORD)
        return take_rest(ring, &c, head, pool, response);
    if (!fault && has_places(value.data[4]))
        return "an entry that has no response is of a version that has places";
    if (!fault && c.at != c.end)
        return "something follows the head of an entry that has no response";
    return fault;
}
