/*
 * bodyhash.c - the digest of a request body as it streams by, multipart boundaries left out.
 *
 * Called by the intake filter with whatever pieces the network gives; the digest depends on the bytes alone, not on the
 * pieces. Memory is constant: of a delimiter that may be under way only the count of matched bytes is kept, because the
 * bytes themselves are the pattern's.
 *
 * The pattern is CR LF "--" boundary. Its CR stands at its beginning and nowhere else (create refuses a boundary with
 * one), so a match that fails cannot overlap a later one except by the very byte it failed at: the search goes on at
 * that byte with nothing matched, and needs no failure table. At the body's very beginning the CR LF counts as already
 * matched.
 */
#include "bodyhash.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define LINE_START 2 /* CR LF */
#define KEPT 4       /* CR LF "--": fed as it comes; only what follows in the pattern is ever held back */

struct idem_bodyhash {
    idem_digest *digest;
    apr_uint64_t fed;        /* as given */
    apr_uint64_t normalised; /* in the digest */
    apr_size_t pattern_len;  /* 0 for a raw body */
    apr_size_t matched;      /* how much of the pattern came last; what lies behind KEPT is not in the digest */
    unsigned char pattern[KEPT + IDEM_BOUNDARY_MAX];
};

apr_status_t idem_bodyhash_create(idem_bodyhash **hash, const idem_blob *secret, const char *boundary, apr_pool_t *pool)
{
    idem_bodyhash *h = apr_pcalloc(pool, sizeof *h);
    apr_size_t len = boundary ? strlen(boundary) : 0;

    *hash = h;
    if (len > IDEM_BOUNDARY_MAX || (len && strchr(boundary, '\r')))
        return APR_EINVAL;
    if (len) {
        memcpy(h->pattern, "\r\n--", KEPT);
        memcpy(h->pattern + KEPT, boundary, len);
        h->pattern_len = KEPT + len;
        h->matched = LINE_START;
    }
    return idem_digest_create(&h->digest, secret, pool);
}

static void feed_digest(idem_bodyhash *h, const unsigned char *from, const unsigned char *to)
{
    apr_size_t len = (apr_size_t)(to - from);

    if (!len)
        return;
    idem_digest_feed(h->digest, from, len);
    h->normalised += len;
}

/* The part of a boundary that came and was not fed: ordinary bytes, should the rest of it not come. */
static idem_blob held_back(const idem_bodyhash *h)
{
    return idem_blob_of(h->pattern + KEPT, h->matched > KEPT ? h->matched - KEPT : 0);
}

/*
 * One byte that may go on with a match. Returns where the bytes begin that are neither fed nor held: unfed, or behind
 * at.
 */
static const unsigned char *match(idem_bodyhash *h, const unsigned char *at, const unsigned char *unfed)
{
    if (++h->matched < KEPT)
        return unfed;
    if (h->matched == KEPT)
        feed_digest(h, unfed, at + 1);
    if (h->matched == h->pattern_len)
        h->matched = 0;
    return at + 1;
}

static const unsigned char *mismatch(idem_bodyhash *h, const unsigned char *at, const unsigned char *unfed)
{
    idem_blob held = held_back(h);
    int behind_kept = h->matched >= KEPT;

    feed_digest(h, held.data, held.data + held.len);
    h->matched = 0;
    return behind_kept ? at : unfed;
}

static void feed_multipart(idem_bodyhash *h, const unsigned char *at, const unsigned char *end)
{
    const unsigned char *unfed = at;

    while (at < end) {
        if (!h->matched) {
            at = memchr(at, '\r', (apr_size_t)(end - at));
            if (!at)
                break;
        }
        if (*at == h->pattern[h->matched]) {
            unfed = match(h, at, unfed);
            at++;
        }
        else {
            unfed = mismatch(h, at, unfed);
        }
    }
    if (h->matched < KEPT)
        feed_digest(h, unfed, end);
}

void idem_bodyhash_feed(idem_bodyhash *hash, const void *data, apr_size_t len)
{
    const unsigned char *bytes = data;

    if (!len)
        return;
    hash->fed += len;
    if (hash->pattern_len)
        feed_multipart(hash, bytes, bytes + len);
    else
        feed_digest(hash, bytes, bytes + len);
}

apr_uint64_t idem_bodyhash_fed(const idem_bodyhash *hash)
{
    return hash->fed;
}

apr_status_t idem_bodyhash_peek(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes)
{
    idem_blob held = held_back(hash);

    *bytes = hash->normalised + held.len;
    return idem_digest_peek_with(hash->digest, held, out);
}

apr_status_t idem_bodyhash_peek_cut(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes)
{
    *bytes = hash->normalised;
    return idem_digest_peek_with(hash->digest, idem_blob_of(NULL, 0), out);
}

/* ---- the boundary in the Content-Type ---------------------------------------------------------------------------- */

#define TYPE "multipart/form-data"
#define NAME "boundary="

static const char *skip_space(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* The ';' at or behind s that begins the next parameter, quoted ones skipped; or the end of the string. */
static const char *parameter_end(const char *s)
{
    int quoted = 0;

    for (; *s && (quoted || *s != ';'); s++) {
        if (*s == '"')
            quoted = !quoted;
        else if (quoted && *s == '\\' && s[1])
            s++;
    }
    return s;
}

/* The value between from and to, without its quotes and escapes. */
static const char *unquoted(const char *from, const char *to, apr_pool_t *pool)
{
    char *value, *put;

    if (*from != '"')
        return apr_pstrmemdup(pool, from, (apr_size_t)(to - from));
    put = value = apr_palloc(pool, (apr_size_t)(to - from));
    for (from++; from < to && *from != '"'; from++) {
        if (*from == '\\' && from + 1 < to)
            from++;
        *put++ = *from;
    }
    *put = '\0';
    return value;
}

static int usable(const char *boundary)
{
    apr_size_t len = strlen(boundary);

    for (const char *s = boundary; *s; s++)
        if (!apr_isprint(*s))
            return 0;
    return len >= 1 && len <= IDEM_BOUNDARY_MAX;
}

/* The ';' in front of the boundary parameter of a multipart/form-data, or NULL. */
static const char *find_boundary(const char *content_type)
{
    const char *at = skip_space(content_type);

    if (strncasecmp(at, TYPE, strlen(TYPE)) != 0)
        return NULL;
    at = skip_space(at + strlen(TYPE));
    while (*at == ';') {
        if (strncasecmp(skip_space(at + 1), NAME, strlen(NAME)) == 0)
            return at;
        at = parameter_end(at + 1);
    }
    return NULL;
}

const char *idem_multipart_boundary(const char *content_type, apr_pool_t *pool, const char **stripped)
{
    const char *parameter = content_type ? find_boundary(content_type) : NULL;
    const char *from, *to, *boundary;

    *stripped = content_type;
    if (!parameter)
        return NULL;
    from = skip_space(parameter + 1) + strlen(NAME);
    to = parameter_end(from);
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    boundary = unquoted(from, to, pool);
    if (!usable(boundary))
        return NULL;
    *stripped = apr_pstrcat(pool, apr_pstrmemdup(pool, content_type, (apr_size_t)(parameter - content_type)), to, NULL);
    return boundary;
}
