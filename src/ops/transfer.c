/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.c - exports and imports single entries.
 *
 * Called by idemctl for each line. What always holds: a value travels byte for byte, and is checked before it is put.
 * Where it can be written anew, only its time to live changes: it is shorter by the time that has passed. An entry
 * never replaces another one. Limits: a sealed record is written anew only with the secret.
 */
#include "transfer.h"

#include "digest.h"

#include <apr_base64.h>
#include <apr_escape.h>
#include <apr_strings.h>

static const unsigned char no_mark[IDEM_DIGEST_LEN];

/* ---- the first line ---------------------------------------------------------------------------------------------- */

json_t *idem_export_head(const char *url, const unsigned char *mark, apr_pool_t *pool)
{
    json_t *json = json_object();

    json_object_set_new(json, "format", json_string(IDEM_EXPORT_FORMAT));
    json_object_set_new(json, "version", json_integer(IDEM_EXPORT_VERSION));
    json_object_set_new(json, "store", idem_shown_text(url, pool));
    json_object_set_new(json, "made", idem_shown_time(apr_time_now(), pool));
    json_object_set_new(json, "mark",
                        mark && memcmp(mark, no_mark, sizeof(no_mark))
                            ? json_string(apr_pescape_hex(pool, mark, IDEM_DIGEST_LEN, 0))
                            : json_null());
    return json;
}

const char *idem_import_head(const json_t *line, unsigned char *mark)
{
    const char *format = json_string_value(json_object_get(line, "format"));
    const json_t *digits = json_object_get(line, "mark");

    memset(mark, 0, IDEM_DIGEST_LEN);
    if (!format || strcmp(format, IDEM_EXPORT_FORMAT))
        return "this is no export of idemctl";
    if (json_integer_value(json_object_get(line, "version")) != IDEM_EXPORT_VERSION)
        return "this export was made by another version of idemctl";
    if (json_is_null(digits))
        return NULL;
    if (!json_is_string(digits) || json_string_length(digits) != 2 * (size_t)IDEM_DIGEST_LEN ||
        apr_unescape_hex(mark, json_string_value(digits), APR_ESCAPE_STRING, 0, NULL) != APR_SUCCESS)
        return "the export's mark cannot be read";
    return NULL;
}

/* ---- out --------------------------------------------------------------------------------------------------------- */

/* What its owner would have written, had it lived. */
static int as_reported(const idem_view *view, apr_pool_t *pool, idem_blob *value)
{
    idem_head head = view->head;

    head.state = IDEM_STATE_UNKNOWN;
    head.owner = 0;
    return idem_record_encode(NULL, &head, NULL, pool, value) == APR_SUCCESS;
}

json_t *idem_export_entry(const idem_view *view, apr_pool_t *pool)
{
    idem_blob value = view->value;
    json_t *json;
    char *text;

    if (view->state == IDEM_SHOWN_RUNNING || view->state == IDEM_SHOWN_DAMAGED)
        return NULL;
    if (view->owner_died && !as_reported(view, pool, &value))
        return NULL;
    text = apr_palloc(pool, (apr_size_t)apr_base64_encode_len((int)value.len));
    apr_base64_encode_binary(text, value.data, (int)value.len);
    json = json_object();
    json_object_set_new(json, "slot", json_string(idem_view_slot(view, pool)));
    json_object_set_new(json, "state", json_string(idem_shown_word(view->state)));
    json_object_set_new(json, "expires_ms",
                        view->expires ? json_integer((json_int_t)apr_time_as_msec(view->expires)) : json_null());
    json_object_set_new(json, "value", json_string(text));
    return json;
}

/* ---- in ---------------------------------------------------------------------------------------------------------- */

typedef struct arrival {
    idem_front *front;
    apr_pool_t *pool;
    unsigned char slot[IDEM_SLOT_LEN];
    idem_blob value;
    idem_head head;
    idem_response response;
    int is_closed;            /* a sealed record that nobody here can open */
    apr_interval_time_t left; /* of its life; 0 if the export does not know */
} arrival;

static const char *const words[IDEM_IMPORTED_RESULTS] = {
    [IDEM_IMPORTED_PUT] = "put",
    [IDEM_IMPORTED_ANEW] = "put_with_a_new_life",
    [IDEM_IMPORTED_TOMBSTONE] = "put_as_tombstone",
    [IDEM_IMPORTED_OTHER] = "another_stays",
    [IDEM_IMPORTED_EXPIRED] = "expired",
    [IDEM_IMPORTED_WRONG] = "wrong",
    [IDEM_IMPORTED_FAILED] = "failed",
};

const char *idem_imported_word(idem_imported imported)
{
    return words[imported];
}

static const char *read_imported(arrival *a, const json_t *line)
{
    const char *digits = json_string_value(json_object_get(line, "slot"));
    const char *text = json_string_value(json_object_get(line, "value"));
    unsigned char *bytes;

    if (!digits || !text || !idem_slot_parse(digits, a->slot))
        return "a line is no entry";
    bytes = apr_palloc(a->pool, (apr_size_t)apr_base64_decode_len(text) + 1);
    a->value = idem_blob_of(bytes, (apr_size_t)apr_base64_decode_binary(bytes, text));
    return NULL;
}

static const char *judge_value(arrival *a)
{
    const idem_keyring *ring = idem_front_ring(a->front);
    const char *fault = idem_record_decode(ring, a->value, a->slot, a->pool, &a->head, &a->response);

    a->is_closed = fault && !ring && (a->head.flags & IDEM_HEAD_SEALED);
    if (fault && !a->is_closed)
        return fault;
    return a->head.state == IDEM_STATE_LEASE ? "a lease cannot be imported" : NULL;
}

/* Encoded with what is left of its life. */
static apr_status_t encode_for_the_rest(arrival *a)
{
    idem_head head = a->head;

    head.flags &= ~(unsigned)IDEM_HEAD_SEALED;
    head.ttl = a->left;
    return idem_front_encode(a->front, &head, head.state == IDEM_STATE_RECORD ? &a->response : NULL, a->pool,
                             &a->value);
}

static apr_status_t make_tombstone(arrival *a)
{
    idem_head head = a->head;

    head.flags = 0;
    head.state = IDEM_STATE_TOMBSTONE;
    if (a->left)
        head.ttl = a->left;
    return idem_front_encode(a->front, &head, NULL, a->pool, &a->value);
}

static idem_imported put_entry(arrival *a, idem_imported good, const char **why)
{
    apr_size_t most = idem_front_store(a->front)->max_value;
    apr_status_t rv = most && a->value.len > most ? IDEM_ETOOBIG : idem_front_settle(a->front, a->value, a->pool, why);

    if (rv == IDEM_ETOOBIG && a->head.state == IDEM_STATE_RECORD) {
        good = IDEM_IMPORTED_TOMBSTONE;
        rv = make_tombstone(a);
        if (rv == APR_SUCCESS)
            rv = idem_front_settle(a->front, a->value, a->pool, why);
    }
    if (rv == IDEM_ELOST)
        return IDEM_IMPORTED_OTHER;
    return rv == APR_SUCCESS ? good : IDEM_IMPORTED_FAILED;
}

static idem_imported wrong_line(const char **why, const char *sentence)
{
    *why = sentence;
    return IDEM_IMPORTED_WRONG;
}

idem_imported idem_import_entry(idem_front *front, const json_t *line, int dry_run, apr_pool_t *pool, const char **why)
{
    arrival a = {.front = front, .pool = pool};
    const json_t *expires = json_object_get(line, "expires_ms");
    const char *fault = read_imported(&a, line);
    apr_status_t rv;

    if (!fault)
        fault = judge_value(&a);
    if (fault)
        return wrong_line(why, fault);
    if (json_is_integer(expires)) {
        a.left = apr_time_from_msec(json_integer_value(expires)) - apr_time_now();
        if (a.left <= 0)
            return IDEM_IMPORTED_EXPIRED;
    }
    if (a.left > a.head.ttl)
        a.left = a.head.ttl;
    if (dry_run)
        return a.is_closed ? IDEM_IMPORTED_ANEW : IDEM_IMPORTED_PUT;
    if (a.is_closed || !a.left)
        return put_entry(&a, a.is_closed ? IDEM_IMPORTED_ANEW : IDEM_IMPORTED_PUT, why);
    rv = encode_for_the_rest(&a);
    if (rv == IDEM_ETOOBIG)
        rv = APR_SUCCESS; /* the value as it came is as long, and put_entry() finds out */
    return rv == APR_SUCCESS ? put_entry(&a, IDEM_IMPORTED_PUT, why)
                             : wrong_line(why, "an entry cannot be written anew");
}
