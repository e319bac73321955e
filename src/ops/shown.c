/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown.c - views, counts and accounts as JSON, by jansson.
 *
 * Called by idemctl and by the admin API. Notes that a record keeps for the module itself (digests of credentials) are
 * not shown.
 */
#include "shown.h"

#include "text.h"

#include <apr_base64.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static const char *as_utf8(const char *text, apr_pool_t *pool)
{
    char *start = apr_palloc(pool, 2 * strlen(text) + 1), *to = start;

    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;

        if (c < 0x80) {
            *to++ = (char)c;
            continue;
        }
        *to++ = (char)(0xc0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3f));
    }
    *to = '\0';
    return start;
}

json_t *idem_shown_text(const char *text, apr_pool_t *pool)
{
    json_t *json;

    if (!text)
        return json_null();
    json = json_string(text);
    return json ? json : json_string(as_utf8(text, pool));
}

const char *idem_shown_moment(apr_time_t time, apr_pool_t *pool)
{
    return time ? idem_time_text(time, pool) : NULL;
}

json_t *idem_shown_time(apr_time_t time, apr_pool_t *pool)
{
    return idem_shown_text(idem_shown_moment(time, pool), pool);
}

static void set_number(json_t *object, const char *name, apr_uint64_t number)
{
    json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void set_text(json_t *object, const char *name, const char *text, apr_pool_t *pool)
{
    json_object_set_new(object, name, idem_shown_text(text, pool));
}

/* ---- an entry ---------------------------------------------------------------------------------------------------- */

static json_t *print_of(const idem_print *print)
{
    int known = (print->body_flags & IDEM_BODY_KNOWN) != 0;
    json_t *json = json_object(), *body = json_null();

    if (print->body_flags & IDEM_BODY_USED) {
        body = json_object();
        json_object_set_new(body, "known", json_boolean(known));
        json_object_set_new(body, "whole", json_boolean((print->body_flags & IDEM_BODY_WHOLE) != 0));
        json_object_set_new(body, "bytes", known ? json_integer((json_int_t)print->hashed) : json_null());
        json_object_set_new(body, "declared",
                            print->declared == IDEM_LENGTH_UNKNOWN ? json_null()
                                                                   : json_integer((json_int_t)print->declared));
    }
    set_number(json, "parts", print->parts);
    json_object_set_new(json, "names", json_null()); /* who has the configuration may know them */
    json_object_set_new(json, "note", json_null());
    json_object_set_new(json, "body", body);
    return json;
}

static json_t *owner_of(const idem_view *view)
{
    json_t *json;

    if (view->fault || view->head.state != IDEM_STATE_LEASE)
        return json_null();
    json = json_object();
    json_object_set_new(json, "alive", json_boolean(!view->owner_died));
    json_object_set_new(json, "host", view->is_local ? json_string("local") : json_null());
    json_object_set_new(json, "process", view->process ? json_integer((json_int_t)view->process) : json_null());
    return json;
}

static json_t *headers_of(const idem_response *response, apr_pool_t *pool)
{
    json_t *list = json_array();

    for (int i = 0; response->fields && i < response->fields->nelts; i++) {
        const idem_field *field = &APR_ARRAY_IDX(response->fields, i, const idem_field);
        json_t *one;

        if (field->flags & IDEM_FIELD_NOTE)
            continue;
        one = json_object();
        set_text(one, "name", field->name, pool);
        set_text(one, "value", field->value, pool);
        json_array_append_new(list, one);
    }
    return list;
}

/* As text where it is some, else in base64. */
static json_t *body_of(const idem_response *response, apr_pool_t *pool)
{
    const char *data = response->body.len ? (const char *)response->body.data : "";
    json_t *json = json_object(), *text = json_stringn(data, response->body.len);
    char *encoded;

    if (text) {
        json_object_set_new(json, "encoding", json_string("utf-8"));
        json_object_set_new(json, "data", text);
        return json;
    }
    encoded = apr_palloc(pool, (apr_size_t)apr_base64_encode_len((int)response->body.len));
    apr_base64_encode_binary(encoded, response->body.data, (int)response->body.len);
    json_object_set_new(json, "encoding", json_string("base64"));
    json_object_set_new(json, "data", json_string(encoded));
    return json;
}

static json_t *response_of(const idem_view *view, idem_shown_detail detail, apr_pool_t *pool)
{
    const idem_response *response = &view->response;
    json_t *json;

    if (!view->is_open)
        return json_null();
    json = json_object();
    set_number(json, "status", (apr_uint64_t)response->status);
    set_text(json, "content_type", response->content_type, pool);
    set_text(json, "content_encoding", response->content_encoding, pool);
    set_number(json, "body_bytes", response->body.len);
    if (detail >= IDEM_SHOWN_HEADERS) {
        set_text(json, "reason", response->reason, pool);
        json_object_set_new(json, "headers", headers_of(response, pool));
    }
    if (detail >= IDEM_SHOWN_BODY)
        json_object_set_new(json, "body", body_of(response, pool));
    return json;
}

static const char *cause_of(const idem_view *view)
{
    if (view->state != IDEM_SHOWN_UNKNOWN)
        return NULL;
    if (view->owner_died)
        return "owner-died";
    return view->head.flags & IDEM_HEAD_RETRY ? "resolved-retry" : "reported";
}

json_t *idem_shown_again(apr_uint64_t replayed, apr_uint64_t refused, apr_time_t last, apr_pool_t *pool)
{
    json_t *json = json_object();

    set_number(json, "replayed", replayed);
    set_number(json, "refused", refused);
    json_object_set_new(json, "last", idem_shown_time(last, pool));
    return json;
}

json_t *idem_shown_view(const idem_view *view, idem_shown_detail detail, apr_pool_t *pool)
{
    json_t *json = json_object();
    int readable = !view->fault;

    set_text(json, "slot", idem_view_slot(view, pool), pool);
    set_text(json, "state", idem_shown_word(view->state), pool);
    set_text(json, "cause", cause_of(view), pool);
    set_text(json, "fault", view->fault, pool);
    json_object_set_new(json, "written", idem_shown_time(view->written, pool));
    json_object_set_new(json, "expires", idem_shown_time(view->expires, pool));
    json_object_set_new(json, "ttl", readable ? json_integer((json_int_t)apr_time_sec(view->head.ttl)) : json_null());
    json_object_set_new(json, "attempt", readable ? json_integer((json_int_t)view->head.attempt) : json_null());
    set_number(json, "bytes", view->size);
    json_object_set_new(json, "sealed", json_boolean(view->is_sealed));
    json_object_set_new(json, "sent_again",
                        view->has_counts ? idem_shown_again(view->replayed, view->refused, view->last, pool)
                                         : json_null());
    json_object_set_new(json, "owner", owner_of(view));
    json_object_set_new(json, "fingerprint", readable ? print_of(&view->head.print) : json_null());
    json_object_set_new(json, "response", response_of(view, detail, pool));
    set_text(json, "version", idem_view_version(view, pool), pool);
    return json;
}

/* ---- the whole --------------------------------------------------------------------------------------------------- */

json_t *idem_shown_tally(const idem_tally *tally, apr_pool_t *pool)
{
    json_t *json = json_object(), *states = json_object();

    for (int i = 0; i < IDEM_SHOWN_STATES; i++) {
        json_t *one = json_object();

        set_number(one, "entries", tally->entries[i]);
        set_number(one, "bytes", tally->bytes[i]);
        json_object_set_new(states, idem_shown_word((idem_shown)i), one);
    }
    set_number(json, "entries", tally->all);
    set_number(json, "bytes", tally->all_bytes);
    json_object_set_new(json, "states", states);
    set_number(json, "sealed", tally->sealed);
    set_number(json, "unopened", tally->unopened);
    json_object_set_new(json, "oldest_unknown", idem_shown_time(tally->oldest_unknown, pool));
    return json;
}

static json_t *size_or_null(apr_uint64_t bytes)
{
    return bytes ? json_integer((json_int_t)bytes) : json_null();
}

json_t *idem_shown_store(const idem_front *front, const idem_store_status *status, const char *why, apr_pool_t *pool)
{
    json_t *json = json_object();

    set_text(json, "url", idem_front_url(front), pool);
    set_text(json, "text", status->text, pool);
    set_text(json, "trouble", why, pool);
    json_object_set_new(json, "entries",
                        status->entries_known ? json_integer((json_int_t)status->entries) : json_null());
    json_object_set_new(json, "bytes_used", size_or_null(status->bytes_used));
    json_object_set_new(json, "bytes_max", size_or_null(status->bytes_max));
    return json;
}

json_t *idem_shown_scope(const idem_scope *scope, apr_pool_t *pool)
{
    json_t *list = json_array();

    for (int i = 0; i < scope->count; i++) {
        json_t *one = json_object();
        const idem_blob *value = &scope->parts[i].value;

        set_text(one, "part", scope->parts[i].name, pool);
        set_text(one, "value", value->data ? apr_pstrmemdup(pool, (const char *)value->data, value->len) : NULL, pool);
        json_array_append_new(list, one);
    }
    return list;
}
