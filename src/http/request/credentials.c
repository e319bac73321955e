/*
 * credentials.c - cookies, and the part "credentials": with what a client identifies itself to the application.
 *
 * Called for guarded requests by values.c, and by the gate through idem_has_credentials(). What always holds: values are
 * taken as sent; each piece goes into the part with its kind and its length, so no two sets of credentials give the same octets; the
 * order in which a client sends its cookies does not matter, that of cookies of one name does.
 * Limits: a header field counts as present when it is not empty.
 */
#include "parts_private.h"
#include "wiped.h"

#include <string.h>

/* ---- cookies ------------------------------------------------------------------------------------------------------- */

/* All Cookie lines as one: HTTP/2 and mod_headers may have several (RFC 9113, 8.2.3). */
static const char *cookie_field(request_rec *r)
{
    const char *field = idem_header_joined(r, "Cookie", "; ");
    return field && *field ? field : NULL;
}

static idem_blob trimmed(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return idem_blob_of(at, (apr_size_t)(end - at));
}

/* Moves *at over the next cookie. Returns whether there was one called name, and its value as sent. */
static int next_cookie(const char **at, const char *name, idem_blob *value)
{
    while (**at) {
        const char *start = *at, *end = start + strcspn(start, ";"), *equals = start + strcspn(start, "=;");
        idem_blob called = trimmed(start, equals);

        *at = *end ? end + 1 : end;
        if (equals < end && called.len == strlen(name) && memcmp(called.data, name, called.len) == 0) {
            *value = trimmed(equals + 1, end);
            return 1;
        }
    }
    return 0;
}

idem_blob idem_cookie_value(request_rec *r, const char *name)
{
    const char *field = cookie_field(r);
    idem_blob value = {NULL, 0};

    if (field)
        (void)next_cookie(&field, name, &value);
    return value;
}

/* ---- credentials --------------------------------------------------------------------------------------------------- */

/* A piece's kind stands before its length: 'A'uthorization, a cookie's 'N'ame and 'V'alue, or the whole 'C'ookie field. */
#define PIECE_HEAD 9

typedef struct piece {
    char kind;
    idem_blob value;
} piece;

static void add(apr_array_header_t *pieces, char kind, idem_blob value)
{
    piece *p = apr_array_push(pieces);
    p->kind = kind;
    p->value = value;
}

static const char *authorization(request_rec *r)
{
    const char *field = idem_header_joined(r, "Authorization", ", ");
    return field && *field ? field : NULL;
}

static void add_session_cookies(apr_array_header_t *pieces, const apr_array_header_t *names, const char *field)
{
    for (int i = 0; names && field && i < names->nelts; i++) {
        const char *name = APR_ARRAY_IDX(names, i, const char *), *at = field;
        idem_blob value;
        while (next_cookie(&at, name, &value)) {
            add(pieces, 'N', idem_blob_str(name));
            add(pieces, 'V', value);
        }
    }
}

static idem_blob encoded(const apr_array_header_t *pieces, apr_pool_t *pool)
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
    request_rec *r = asked->r;
    apr_array_header_t *pieces = apr_array_make(r->pool, 4, sizeof(piece));
    const char *auth = authorization(r), *field = cookie_field(r);

    if (auth)
        add(pieces, 'A', idem_blob_str(auth));
    add_session_cookies(pieces, asked->session_cookies, field);

    /* Nothing that is known to identify anyone: then any cookie may. */
    if (!pieces->nelts && field)
        add(pieces, 'C', idem_blob_str(field));
    return pieces->nelts ? encoded(pieces, r->pool) : idem_blob_of(NULL, 0);
}

int idem_has_credentials(const idem_asked *asked)
{
    return authorization(asked->r) || cookie_field(asked->r);
}
