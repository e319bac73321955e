/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body_parts.c - evaluates the parts that stand in a request's body.
 *
 * Called by keysource.c for keys, by values.c for scope and fingerprint. What always holds: no part of scope or
 * fingerprint is left out because a body could not be read. Its value is then the whole body's digest, behind another
 * mark than that of a value that was read. Memory is constant but for JSON, whose tree is bounded (canonical.h) and
 * given back before the handler runs.
 */
#include "body_parts.h"

#include "bodyhash.h"
#include "form.h"
#include "wiped.h"

#include <stdlib.h>

#include <apr_cstr.h>
#include <apr_strings.h>

#define PIECE 16384

/* Before a digest. */
#define MARK_READ 'V'
#define MARK_RAW 'R'  /* the whole body's: it cannot be read */
#define MARK_LONG 'L' /* no digest follows: the body is longer than the spool and compared as it is read */

/* ---- what the request says of its body --------------------------------------------------------------------------- */

typedef enum said { SAID_OTHER, SAID_NOTHING, SAID_URLENCODED, SAID_MULTIPART, SAID_JSON } said;

static int type_ends(const char *text, apr_size_t len, const char *end)
{
    apr_size_t tail = strlen(end);

    return len >= tail && !apr_cstr_casecmpn(text + len - tail, end, tail);
}

static int is_type(const char *text, apr_size_t len, const char *type)
{
    return len == strlen(type) && type_ends(text, len, type);
}

/* SAID_NOTHING: no type, or one that clients also put before JSON without a thought. */
static said said_of(const idem_asked *asked)
{
    const char *type = idem_header_joined(asked, "Content-Type", ", ");
    apr_size_t len;

    if (!type)
        return SAID_NOTHING;
    type += strspn(type, " \t");
    len = strcspn(type, "; \t,");
    if (is_type(type, len, "application/x-www-form-urlencoded"))
        return SAID_URLENCODED;
    if (is_type(type, len, "multipart/form-data"))
        return SAID_MULTIPART;
    if (is_type(type, len, "application/json") || is_type(type, len, "text/json") || type_ends(type, len, "+json") ||
        type_ends(type, len, "/x-amz-json-1.0") || type_ends(type, len, "/x-amz-json-1.1"))
        return SAID_JSON;
    return !len || is_type(type, len, "text/plain") ? SAID_NOTHING : SAID_OTHER;
}

/* Each reader fails on one coding or another, and nobody knows here which text the handler will see. */
static int is_coded(const idem_asked *asked)
{
    const char *coding = idem_header_joined(asked, "Content-Encoding", ", ");

    return coding && *coding && apr_cstr_casecmp(coding, "identity");
}

int idem_body_may_have(const idem_asked *asked, const idem_part *part)
{
    said type = said_of(asked);

    switch (part->kind) {
    case IDEM_PART_FORM:
    case IDEM_PART_BODY_FORM: return type == SAID_URLENCODED || type == SAID_MULTIPART;
    case IDEM_PART_JSON: return type == SAID_JSON || type == SAID_NOTHING || type == SAID_URLENCODED;
    case IDEM_PART_BODY_JSON: return type == SAID_JSON;
    default: return 1;
    }
}

/* ---- its bytes --------------------------------------------------------------------------------------------------- */

typedef void piece_taker(void *baton, const void *data, apr_size_t len);

static apr_status_t each_piece(const idem_body *body, piece_taker *take, void *baton)
{
    apr_off_t left = body->in_file, start = 0;
    apr_status_t rv = APR_SUCCESS;
    char room[PIECE];

    for (apr_bucket *b = APR_BRIGADE_FIRST(body->kept); b != APR_BRIGADE_SENTINEL(body->kept); b = APR_BUCKET_NEXT(b)) {
        const char *data;
        apr_size_t len;

        if (APR_BUCKET_IS_METADATA(b) || APR_BUCKET_IS_FILE(b))
            continue;
        rv = apr_bucket_read(b, &data, &len, APR_BLOCK_READ);
        if (rv != APR_SUCCESS)
            return rv;
        take(baton, data, len);
    }
    if (left)
        rv = apr_file_seek(body->file, APR_SET, &start);
    while (left && rv == APR_SUCCESS) {
        apr_size_t len = left < PIECE ? (apr_size_t)left : PIECE;

        rv = apr_file_read_full(body->file, room, len, NULL);
        if (rv == APR_SUCCESS)
            take(baton, room, len);
        left -= (apr_off_t)len;
    }
    return rv;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static idem_blob marked_digest(char mark, const unsigned char *digest, apr_pool_t *pool)
{
    unsigned char *value = apr_palloc(pool, 1 + IDEM_DIGEST_LEN);

    value[0] = (unsigned char)mark;
    if (digest)
        idem_put_bytes(value + 1, digest, IDEM_DIGEST_LEN);
    return idem_blob_of(value, digest ? 1 + IDEM_DIGEST_LEN : 1);
}

static void feed_hash(void *hash, const void *data, apr_size_t len)
{
    idem_bodyhash_feed(hash, data, len);
}

apr_status_t idem_body_raw(const idem_asked *asked, idem_blob *value)
{
    unsigned char digest[IDEM_DIGEST_LEN];
    idem_bodyhash *hash;
    apr_uint64_t bytes;
    apr_status_t rv = idem_bodyhash_create(&hash, NULL, asked->boundary, asked->r->pool);

    if (rv == APR_SUCCESS)
        rv = each_piece(asked->body, feed_hash, hash);
    if (rv == APR_SUCCESS)
        rv = idem_bodyhash_peek(hash, digest, &bytes);
    *value = marked_digest(MARK_RAW, digest, asked->r->pool);
    return rv;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static void feed_form(void *form, const void *data, apr_size_t len)
{
    idem_form_feed(form, data, len);
}

/* *why: half a sentence where it cannot be read. */
static apr_status_t read_form(const idem_asked *asked, const idem_form_listener *listener, const char **why)
{
    int is_multipart = said_of(asked) == SAID_MULTIPART;
    idem_form *form;
    apr_status_t rv;

    *why = is_coded(asked)                    ? "it has a Content-Encoding"
           : is_multipart && !asked->boundary ? "its Content-Type has no boundary, or an unusual one"
                                              : NULL;
    if (*why)
        return APR_SUCCESS;
    form = idem_form_create(is_multipart ? asked->boundary : NULL, listener, asked->r->pool);
    rv = each_piece(asked->body, feed_form, form);
    *why = idem_form_finish(form);
    return rv;
}

static int is_field(idem_blob name, const char *text)
{
    return name.len == strlen(text) && !memcmp(name.data, text, name.len);
}

/* The one field that a key is taken from. */
typedef struct key_field {
    const char *name;
    char *value; /* IDEM_BODY_KEY_MOST */
    apr_size_t len;
    int found, is_file, inside;
} key_field;

static void key_begins(void *baton, const idem_form_field *field)
{
    key_field *key = baton;

    key->inside = is_field(field->name, key->name);
    key->found += key->inside;
    key->is_file |= key->inside && field->filename.data;
}

static void key_has(void *baton, const void *bytes, apr_size_t len)
{
    key_field *key = baton;

    if (!key->inside)
        return;
    if (len > IDEM_BODY_KEY_MOST - key->len)
        len = IDEM_BODY_KEY_MOST - key->len;
    idem_put_bytes((unsigned char *)key->value + key->len, bytes, len);
    key->len += len;
}

static void key_ends(void *baton)
{
    ((key_field *)baton)->inside = 0;
}

static idem_body_found form_key(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    key_field key = {.name = part->name, .value = idem_wiped_alloc(asked->r->pool, IDEM_BODY_KEY_MOST)};
    const idem_form_listener listener = {key_begins, key_has, key_ends, &key};
    const char *wrong;

    if (read_form(asked, &listener, &wrong) != APR_SUCCESS)
        wrong = "the server cannot read it again";
    if (wrong)
        *why = apr_pstrcat(asked->r->pool,
                           "The key is expected in a form, and the server cannot read the form: ", wrong, ".", NULL);
    else if (key.is_file)
        *why = "The field of the form that holds the key is a file.";
    else if (key.found > 1)
        *why = "The form has more than one field that holds the key.";
    else
        *why = NULL;
    if (*why)
        return IDEM_BODY_UNFIT;
    *value = idem_blob_of(key.value, key.len);
    return key.len ? IDEM_BODY_VALUE : IDEM_BODY_ABSENT;
}

/* Fields that are compared. Each goes into the digest as it comes; behind it stand the lengths, from which it can be
 * told apart again. */
typedef struct compared {
    const idem_part *part;
    idem_digest *digest;
    int found, inside;
    apr_uint64_t lengths[4];
    unsigned char present;
} compared;

static int is_compared(const idem_part *part, idem_blob name)
{
    if (part->kind == IDEM_PART_FORM)
        return is_field(name, part->name);
    for (int i = 0; part->without && i < part->without->nelts; i++)
        if (is_field(name, APR_ARRAY_IDX(part->without, i, const char *)))
            return 0;
    return 1;
}

static void compare_blob(compared *c, int which, idem_blob blob)
{
    c->lengths[which] = blob.len;
    c->present |= (unsigned char)((blob.data != NULL) << which);
    idem_digest_feed(c->digest, blob.data, blob.len);
}

static void compared_begins(void *baton, const idem_form_field *field)
{
    compared *c = baton;

    c->inside = is_compared(c->part, field->name);
    if (!c->inside)
        return;
    c->found = 1;
    c->present = 0;
    compare_blob(c, 0, field->name);
    compare_blob(c, 1, field->filename);
    compare_blob(c, 2, field->type);
    c->lengths[3] = 0;
}

static void compared_has(void *baton, const void *bytes, apr_size_t len)
{
    compared *c = baton;

    if (!c->inside)
        return;
    idem_digest_feed(c->digest, bytes, len);
    c->lengths[3] += len;
}

static void compared_ends(void *baton)
{
    compared *c = baton;
    unsigned char trailer[4 * 8 + 1], *to = trailer;

    if (!c->inside)
        return;
    for (int i = 0; i < 4; i++)
        to = idem_put(to, c->lengths[i], 8);
    *to = c->present;
    idem_digest_feed(c->digest, trailer, sizeof trailer);
    c->inside = 0;
}

/* *why: it cannot be read. */
static apr_status_t form_value(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    compared c = {.part = part};
    const idem_form_listener listener = {compared_begins, compared_has, compared_ends, &c};
    unsigned char digest[IDEM_DIGEST_LEN];
    apr_status_t rv = idem_digest_create(&c.digest, NULL, asked->r->pool);

    if (rv == APR_SUCCESS)
        rv = read_form(asked, &listener, why);
    if (rv == APR_SUCCESS)
        rv = idem_digest_peek(c.digest, digest);
    if (rv == APR_SUCCESS && !*why && (c.found || part->kind == IDEM_PART_BODY_FORM))
        *value = marked_digest(MARK_READ, digest, asked->r->pool);
    return rv;
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static void take_text(void *baton, const void *data, apr_size_t len)
{
    unsigned char **to = baton;

    *to = idem_put_bytes(*to, data, len);
}

static apr_status_t free_json(void *body)
{
    idem_body_forget(body);
    return APR_SUCCESS;
}

void idem_body_forget(idem_body *body)
{
    idem_json_free(body->json);
    body->json = NULL;
    body->looked = 0;
}

static apr_status_t parse_asked_body(const idem_asked *asked)
{
    idem_body *body = asked->body;
    unsigned char *text, *to;
    apr_status_t rv;

    body->why = is_coded(asked) ? "it has a Content-Encoding" : NULL;
    if (!body->why && body->length > IDEM_JSON_MEMORY / 2)
        body->why = "it is too long";
    body->looked = 1;
    if (body->why)
        return APR_SUCCESS;
    text = to = malloc((apr_size_t)body->length + 1);
    if (!text)
        return APR_ENOMEM;
    rv = each_piece(body, take_text, &to);
    if (rv == APR_SUCCESS)
        rv = idem_json_read(&body->json, idem_blob_of(text, (apr_size_t)(to - text)), &body->why);
    free(text);
    apr_pool_cleanup_register(asked->r->pool, body, free_json, apr_pool_cleanup_null);
    return rv == APR_EGENERAL && body->why ? APR_SUCCESS : rv;
}

typedef struct first_byte {
    int byte;
} first_byte;

static void see_first_byte(void *baton, const void *data, apr_size_t len)
{
    first_byte *first = baton;
    const unsigned char *at = data;

    for (; !first->byte && len; at++, len--)
        if (!strchr(" \t\r\n", *at) || !*at)
            first->byte = *at ? *at : ' ';
}

/* A type that says JSON is believed, unless there is nothing at all; of other types only a container counts. */
static apr_status_t is_meant_as_json(const idem_asked *asked, int *is)
{
    first_byte first = {0};
    apr_status_t rv = APR_SUCCESS;

    *is = said_of(asked) == SAID_JSON ? asked->body->length > 0 : is_coded(asked);
    if (*is || !asked->body->length)
        return rv;
    rv = each_piece(asked->body, see_first_byte, &first);
    *is = first.byte == '{' || first.byte == '[';
    return rv;
}

static idem_body_found json_key(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    int is;
    apr_status_t rv = is_meant_as_json(asked, &is);

    if (rv == APR_SUCCESS && !is)
        return IDEM_BODY_ABSENT;
    if (rv == APR_SUCCESS && !asked->body->looked)
        rv = parse_asked_body(asked);
    if (rv != APR_SUCCESS)
        asked->body->why = "the server cannot read it again";
    if (asked->body->why) {
        *why = apr_pstrcat(asked->r->pool,
                           "The key is expected in JSON, and the server cannot read the JSON: ", asked->body->why, ".",
                           NULL);
        return IDEM_BODY_UNFIT;
    }
    switch (idem_json_text(asked->body->json, part->pointer, asked->r->pool, value)) {
    case IDEM_JSON_TEXT: return value->len ? IDEM_BODY_VALUE : IDEM_BODY_ABSENT;
    case IDEM_JSON_ABSENT: return IDEM_BODY_ABSENT;
    default: *why = "The value in the key's place is neither a string nor a number."; return IDEM_BODY_UNFIT;
    }
}

static void digest_json(void *digest, const void *data, apr_size_t len)
{
    idem_digest_feed(digest, data, len);
}

/* *why: it cannot be read, or a number of it would be taken for another one. */
static apr_status_t json_value(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    unsigned char digest[IDEM_DIGEST_LEN];
    idem_digest *d;
    int is;
    apr_status_t rv = is_meant_as_json(asked, &is);

    if (rv == APR_SUCCESS && !is && part->kind == IDEM_PART_JSON)
        return APR_SUCCESS;
    if (rv == APR_SUCCESS && !asked->body->looked)
        rv = parse_asked_body(asked);
    *why = asked->body->why;
    if (rv != APR_SUCCESS || *why)
        return rv;
    rv = idem_digest_create(&d, NULL, asked->r->pool);
    if (rv != APR_SUCCESS)
        return rv;
    rv = idem_json_write(asked->body->json, part->pointer, part->without, digest_json, d);
    if (rv == APR_EGENERAL)
        *why = "a number in it has no exact form";
    if (rv == APR_EGENERAL || rv == APR_NOTFOUND)
        return APR_SUCCESS;
    if (rv == APR_SUCCESS)
        rv = idem_digest_peek(d, digest);
    *value = marked_digest(MARK_READ, digest, asked->r->pool);
    return rv;
}

/* ---- what is asked for ------------------------------------------------------------------------------------------- */

idem_body_found idem_body_key(const idem_asked *asked, const idem_part *part, idem_blob *key, const char **why)
{
    return part->kind == IDEM_PART_FORM ? form_key(asked, part, key, why) : json_key(asked, part, key, why);
}

/* Is there another part for bodies of this type? Then this one need not stand for them. */
static int is_anothers(const idem_asked *asked, const idem_part *part)
{
    idem_part_kind other = part->kind == IDEM_PART_BODY_JSON ? IDEM_PART_BODY_FORM : IDEM_PART_BODY_JSON;
    const idem_part its = {.kind = other};

    return asked->fingerprint && idem_parts_have(asked->fingerprint, other) && idem_body_may_have(asked, &its);
}

apr_status_t idem_body_value(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why)
{
    int is_whole_body = part->kind == IDEM_PART_BODY_JSON || part->kind == IDEM_PART_BODY_FORM;
    const char *wrong = NULL;
    apr_status_t rv = APR_SUCCESS;

    *value = idem_blob_of(NULL, 0);
    if (!asked->body) {
        *why = "the body was not read";
        return APR_EGENERAL;
    }
    if (!idem_body_may_have(asked, part)) {
        if (!is_whole_body || is_anothers(asked, part))
            return APR_SUCCESS;
        wrong = "it is of another type";
    }
    if (!asked->body->whole) {
        *value = marked_digest(MARK_LONG, NULL, asked->r->pool);
        return APR_SUCCESS;
    }
    if (!wrong)
        rv = part->kind == IDEM_PART_FORM || part->kind == IDEM_PART_BODY_FORM ? form_value(asked, part, value, &wrong)
                                                                               : json_value(asked, part, value, &wrong);
    if (rv == APR_SUCCESS && wrong)
        rv = idem_body_raw(asked, value);
    if (rv != APR_SUCCESS)
        *why = "the body cannot be read again, or there is no memory for it";
    return rv;
}
