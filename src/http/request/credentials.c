/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credentials.c - the part "credentials": by what a client is known, to httpd or to the application.
 *
 * Called for guarded requests by values.c, by the recorder through idem_is_identified(), and by volatile_auth.c. What
 * always holds: values are taken as sent. Each piece goes into the part with its kind and its length, so two different
 * sets of credentials give different octets. httpd's user is a piece like the others: a user that the scope leaves out
 * still counts here. Limits: a header field counts as present when it is not empty.
 */
#include "cookies.h"
#include "parts_private.h"
#include "sent.h"
#include "wiped.h"

#include <string.h>

#include <apr_cstr.h>

/* ---- who checks Authorization ------------------------------------------------------------------------------------ */

static const char *sent_auth(const idem_asked *asked)
{
    const char *field = idem_header_joined(asked, "Authorization", ", ");
    return field && *field ? field : NULL;
}

static int is_scheme(const char *field, const char *scheme)
{
    apr_size_t len = strlen(scheme);
    return !apr_cstr_casecmpn(field, scheme, len) && (field[len] == ' ' || !field[len]);
}

/*
 * ap_auth_type names the scheme by which httpd authenticated the user (mod_auth_openidc names it otherwise). httpd may
 * know a user by other means, a client certificate for example. That user says nothing about the credentials that the
 * client sent here, which are the application's.
 */
static int is_checked_by_httpd(const request_rec *r, const char *field)
{
    const char *type = r->ap_auth_type;

    if (!r->user || !*r->user || !type || !idem_sent_was_checked(r))
        return 0;
    return is_scheme(field, apr_cstr_casecmp(type, "oauth20") ? type : "Bearer");
}

const char *idem_application_auth(const idem_asked *asked)
{
    const char *field = sent_auth(asked);
    return field && !is_checked_by_httpd(asked->r, field) ? field : NULL;
}

/* An application empties the cookie of a session that has ended. An empty cookie identifies nobody. */
static int has_session(const idem_asked *asked)
{
    int named;
    const apr_array_header_t *cookies = idem_cookies_of_client(asked, &named);

    for (int i = 0; named && i < cookies->nelts; i++)
        if (APR_ARRAY_IDX(cookies, i, const idem_cookie).value.len)
            return 1;
    return 0;
}

int idem_is_identified(const idem_asked *asked)
{
    return has_session(asked) || sent_auth(asked) || (asked->r->user && *asked->r->user);
}

/* ---- the part ---------------------------------------------------------------------------------------------------- */

/* A piece's kind stands before its length: httpd's 'U'ser, 'A'uthorization, a cookie's 'N'ame and 'V'alue. */
#define PIECE_HEAD 9

typedef struct piece {
    char kind;
    idem_blob value;
} piece;

static void add_piece(apr_array_header_t *pieces, char kind, idem_blob value)
{
    piece *p = apr_array_push(pieces);
    p->kind = kind;
    p->value = value;
}

static idem_blob encode_pieces(const apr_array_header_t *pieces, apr_pool_t *pool)
{
    apr_size_t len = 0;
    unsigned char *data, *to;

    for (int i = 0; i < pieces->nelts; i++)
        len += PIECE_HEAD + APR_ARRAY_IDX(pieces, i, piece).value.len;
    data = to = idem_wiped_alloc(pool, len);
    for (int i = 0; i < pieces->nelts; i++) {
        const piece *p = &APR_ARRAY_IDX(pieces, i, piece);
        to = idem_put(to, (unsigned char)p->kind, 1);
        to = idem_put(to, p->value.len, PIECE_HEAD - 1);
        to = idem_put_bytes(to, p->value.data, p->value.len);
    }
    return idem_blob_of(data, len);
}

idem_blob idem_credentials(const idem_asked *asked)
{
    const request_rec *r = asked->r;
    apr_array_header_t *pieces = apr_array_make(r->pool, 8, sizeof(piece)), *cookies;
    const char *auth = idem_application_auth(asked);
    int named;

    if (r->user && *r->user)
        add_piece(pieces, 'U', idem_blob_str(r->user));
    if (auth)
        add_piece(pieces, 'A', idem_blob_str(auth));
    cookies = idem_cookies_of_client(asked, &named);
    for (int i = 0; i < cookies->nelts; i++) {
        const idem_cookie *cookie = &APR_ARRAY_IDX(cookies, i, idem_cookie);
        add_piece(pieces, 'N', cookie->name);
        add_piece(pieces, 'V', cookie->value);
    }
    return pieces->nelts ? encode_pieces(pieces, r->pool) : idem_blob_of(NULL, 0);
}
