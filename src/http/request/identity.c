/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.c - the marks of a client, as a note in its record; and which of them differ from another client's.
 *
 * Called by the recorder, and by compare.c for a request that is refused for its credentials. What always holds: no
 * value gets into the note or the log. A cookie's name does only if it is a token of reasonable length. Equality is
 * decided elsewhere. The note is a list of " NAME=DIGEST" in the order of the part "credentials". A name that is no
 * cookie's begins with '@', which no token has. Limits: the first MOST things that a client is known by.
 */
#include "identity.h"

#include "cookies.h"
#include "digest.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_strings.h>

#define NOTE "identity"
#define MOST 32
#define NAME_MOST 64
#define DIGEST_BYTES 4

/* Logged in place of a name that must not be kept, and for an item that is not a cookie. */
static const struct odd {
    const char *name, *shown;
} odd[] = {{"@user", "user"}, {"@Authorization", "Authorization"}, {"@cookie", "a cookie without a proper name"}};

static const char *name_shown(apr_pool_t *pool, const char *name)
{
    for (int i = 0; i < (int)(sizeof(odd) / sizeof(*odd)); i++)
        if (!strcmp(name, odd[i].name))
            return odd[i].shown;
    return apr_pstrcat(pool, "cookie ", name, NULL);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static int is_proper(idem_blob name)
{
    const char *at = (const char *)name.data;
    return name.len && name.len <= NAME_MOST && (apr_size_t)(ap_scan_http_token(at) - at) >= name.len;
}

static apr_status_t digest_of_item(const idem_blob *secret, idem_blob name, idem_blob value, unsigned char *out)
{
    idem_digest *d;
    apr_status_t rv = idem_digest_start(&d, secret);

    if (rv != APR_SUCCESS)
        return rv;
    idem_digest_feed_part(d, idem_blob_str(NOTE));
    idem_digest_feed_part(d, name);
    idem_digest_feed_part(d, value);
    return idem_digest_finish(d, out);
}

static void add_item(apr_array_header_t *items, const idem_blob *secret, const char *name, idem_blob value)
{
    unsigned char digest[IDEM_DIGEST_LEN];

    if (items->nelts < MOST && digest_of_item(secret, idem_blob_str(name), value, digest) == APR_SUCCESS)
        APR_ARRAY_PUSH(items, const char *) =
            apr_pstrcat(items->pool, name, "=", apr_pescape_hex(items->pool, digest, DIGEST_BYTES, 0), NULL);
}

static apr_array_header_t *items_of(const idem_asked *asked, const idem_blob *secret)
{
    apr_pool_t *pool = asked->r->pool;
    apr_array_header_t *items = apr_array_make(pool, 8, sizeof(const char *)), *cookies;
    const char *auth = idem_application_auth(asked);
    int named;

    if (asked->r->user && *asked->r->user)
        add_item(items, secret, "@user", idem_blob_str(asked->r->user));
    if (auth)
        add_item(items, secret, "@Authorization", idem_blob_str(auth));
    cookies = idem_cookies_of_client(asked, &named);
    for (int i = 0; i < cookies->nelts; i++) {
        const idem_cookie *cookie = &APR_ARRAY_IDX(cookies, i, idem_cookie);
        const char *name = is_proper(cookie->name)
                               ? apr_pstrmemdup(pool, (const char *)cookie->name.data, cookie->name.len)
                               : "@cookie";
        add_item(items, secret, name, cookie->value);
    }
    return items;
}

void idem_identity_note(const idem_asked *asked, const idem_blob *secret, idem_response *response)
{
    apr_array_header_t *items = items_of(asked, secret);
    idem_field *note;

    if (!items->nelts)
        return;
    note = apr_array_push(response->fields);
    note->name = NOTE;
    note->value = apr_array_pstrcat(asked->r->pool, items, ' ');
    note->flags = IDEM_FIELD_NOTE;
}

/* ---- the difference ---------------------------------------------------------------------------------------------- */

static const char *note_of(const idem_response *record)
{
    for (int i = 0; record->fields && i < record->fields->nelts; i++) {
        const idem_field *field = &APR_ARRAY_IDX(record->fields, i, const idem_field);

        if ((field->flags & IDEM_FIELD_NOTE) && !strcmp(field->name, NOTE))
            return field->value;
    }
    return NULL;
}

static int is_in_list(const apr_array_header_t *list, const char *text)
{
    for (int i = 0; i < list->nelts; i++)
        if (!strcmp(APR_ARRAY_IDX(list, i, const char *), text))
            return 1;
    return 0;
}

/* The items that are in one and not in other, by name; each name once. */
static void add_names(apr_array_header_t *names, const apr_array_header_t *one, const apr_array_header_t *other)
{
    for (int i = 0; i < one->nelts; i++) {
        const char *item = APR_ARRAY_IDX(one, i, const char *), *name;

        if (is_in_list(other, item))
            continue;
        name = name_shown(names->pool, apr_pstrmemdup(names->pool, item, strcspn(item, "=")));
        if (!is_in_list(names, name))
            APR_ARRAY_PUSH(names, const char *) = name;
    }
}

static apr_array_header_t *split_note(apr_pool_t *pool, const char *note)
{
    apr_array_header_t *items = apr_array_make(pool, 8, sizeof(const char *));
    char *state = NULL;

    for (char *item = apr_strtok(apr_pstrdup(pool, note), " ", &state); item; item = apr_strtok(NULL, " ", &state))
        APR_ARRAY_PUSH(items, const char *) = item;
    return items;
}

const char *idem_identity_differs(const idem_asked *asked, const idem_blob *secret, const idem_response *record)
{
    apr_pool_t *pool = asked->r->pool;
    const char *note = note_of(record);
    apr_array_header_t *names = apr_array_make(pool, 4, sizeof(const char *)), *mine = items_of(asked, secret);
    apr_array_header_t *kept = note ? split_note(pool, note) : apr_array_make(pool, 1, sizeof(const char *));

    add_names(names, mine, kept);
    add_names(names, kept, mine);
    if (!names->nelts)
        return NULL;
    return apr_array_pstrcat(pool, names, ',');
}
