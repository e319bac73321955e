/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bodyhash.c - the digest of a request body as it streams by, multipart boundaries left out.
 *
 * Called by the intake filter with whatever pieces the network gives; the digest depends on the bytes alone, not on the
 * pieces. Memory is constant. While a boundary may be under way, only the count of matched bytes is kept: the bytes are
 * the pattern's.
 *
 * Two bodies have one digest only if they are equal but for their boundary in delimiters. So a reader could read the
 * digest's input back: a mark stands behind each CR LF "--", and behind "--" at the very beginning.
 *
 *     L              ordinary bytes follow, as sent
 *     P tail D       a delimiter: its boundary stood behind the mark; tail is the rest of its line, as sent
 *     P tail X n b   the boundary b of n bytes stood there, but its line is no delimiter's: ordinary bytes, all of it
 *
 * A delimiter's line is the boundary, perhaps "--", perhaps blanks, CR LF (RFC 2046 5.1.1). Any other text that begins
 * with a boundary keeps it in the digest. No reader, lenient or strict, sees a difference in the parts that the digest
 * leaves out. The body's end may stand anywhere in such a line, and has no mark.
 *
 * The pattern is CR LF "--" boundary. Its CR stands at its beginning and nowhere else: create refuses a boundary with
 * one. So a match that fails overlaps a later one by at most the byte at which it failed. The search goes on at that
 * byte with nothing matched, and needs no failure table. At the body's very beginning the CR LF counts as already
 * matched. The CR LF that ends a delimiter does not begin the next one.
 */
#include "bodyhash.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "quoted.h"

#define LINE_START 2 /* CR LF */
#define KEPT 4       /* CR LF "--": fed as it comes; only what follows in the pattern is ever held back */

#define MARK_LITERAL "L"
#define MARK_BOUNDARY "P"
#define MARK_DELIMITER "D"
#define MARK_NO_DELIMITER "X"

/* How much of a delimiter's line was seen behind its boundary. */
typedef enum tail {
    TAIL_NONE, /* no boundary is complete: the pattern is looked for */
    TAIL_BEGIN,
    TAIL_DASH,
    TAIL_BLANKS, /* behind "--" or behind blanks: no dash may follow */
    TAIL_CR
} tail;

struct idem_bodyhash {
    idem_digest *digest;
    apr_uint64_t normalised; /* in the digest */
    apr_size_t pattern_len;  /* 0 for a raw body */
    apr_size_t matched;      /* how much of the pattern came last; what lies behind KEPT is not in the digest */
    tail tail;
    int closed;
    unsigned char value[IDEM_DIGEST_LEN]; /* once it is closed */
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

static void feed_digest(idem_bodyhash *h, const void *data, apr_size_t len)
{
    if (!len)
        return;
    idem_digest_feed(h->digest, data, len);
    h->normalised += len;
}

static void feed_mark(idem_bodyhash *h, const char *mark)
{
    feed_digest(h, mark, 1);
}

/* The part of a boundary that came and was not fed: ordinary bytes, should the rest of it not come. */
static idem_blob held_back(const idem_bodyhash *h)
{
    return idem_blob_of(h->pattern + KEPT, h->matched > KEPT ? h->matched - KEPT : 0);
}

/* ---- behind a boundary ------------------------------------------------------------------------------------------- */

static tail tail_after(tail seen, unsigned char byte)
{
    switch (byte) {
    case '-': return seen == TAIL_BEGIN ? TAIL_DASH : seen == TAIL_DASH ? TAIL_BLANKS : TAIL_NONE;
    case ' ':
    case '\t': return seen == TAIL_BEGIN || seen == TAIL_BLANKS ? TAIL_BLANKS : TAIL_NONE;
    case '\r': return seen == TAIL_BEGIN || seen == TAIL_BLANKS ? TAIL_CR : TAIL_NONE;
    default: return TAIL_NONE;
    }
}

/*
 * It was not a delimiter. The boundary goes into the digest after all, with its length, so no later text can pass for a
 * part of it.
 */
static void say_boundary(idem_bodyhash *h)
{
    unsigned char len = (unsigned char)(h->pattern_len - KEPT);

    feed_mark(h, MARK_NO_DELIMITER);
    feed_digest(h, &len, 1);
    feed_digest(h, h->pattern + KEPT, len);
}

/* Returns what is still to be looked at: byte itself, where it does not belong to a delimiter's line. */
static const unsigned char *feed_tail(idem_bodyhash *h, const unsigned char *byte)
{
    int ends = h->tail == TAIL_CR && *byte == '\n';

    h->tail = ends ? TAIL_NONE : tail_after(h->tail, *byte);
    if (ends || h->tail != TAIL_NONE)
        feed_digest(h, byte, 1);
    if (ends)
        feed_mark(h, MARK_DELIMITER);
    else if (h->tail == TAIL_NONE)
        say_boundary(h);
    return ends || h->tail != TAIL_NONE ? byte + 1 : byte;
}

/* ---- looking for one --------------------------------------------------------------------------------------------- */

/* One byte that goes on with a match. */
static void match_byte(idem_bodyhash *h, const unsigned char *byte)
{
    if (++h->matched <= KEPT)
        feed_digest(h, byte, 1);
    if (h->matched < h->pattern_len)
        return;
    feed_mark(h, MARK_BOUNDARY);
    h->matched = 0;
    h->tail = TAIL_BEGIN;
}

static void mismatch_restart(idem_bodyhash *h)
{
    idem_blob held = held_back(h);

    if (h->matched >= KEPT)
        feed_mark(h, MARK_LITERAL);
    feed_digest(h, held.data, held.len);
    h->matched = 0;
}

/* Feeds what cannot begin a delimiter. Returns where one may begin, or end. */
static const unsigned char *feed_plain(idem_bodyhash *h, const unsigned char *at, const unsigned char *end)
{
    const unsigned char *cr = memchr(at, '\r', (apr_size_t)(end - at));

    if (!cr)
        cr = end;
    feed_digest(h, at, (apr_size_t)(cr - at));
    return cr;
}

static void feed_multipart(idem_bodyhash *h, const unsigned char *at, const unsigned char *end)
{
    while (at < end) {
        if (h->tail != TAIL_NONE)
            at = feed_tail(h, at);
        else if (!h->matched && *at != '\r')
            at = feed_plain(h, at, end);
        else if (*at == h->pattern[h->matched])
            match_byte(h, at++);
        else
            mismatch_restart(h);
    }
}

void idem_bodyhash_feed(idem_bodyhash *hash, const void *data, apr_size_t len)
{
    const unsigned char *bytes = data;

    if (!len)
        return;
    if (hash->pattern_len)
        feed_multipart(hash, bytes, bytes + len);
    else
        feed_digest(hash, bytes, len);
}

/* The part of a boundary that stands at the end so far, as ordinary bytes. */
static idem_blob as_ordinary(const idem_bodyhash *hash, unsigned char ordinary[1 + IDEM_BOUNDARY_MAX])
{
    idem_blob held = held_back(hash);

    ordinary[0] = (unsigned char)MARK_LITERAL[0];
    idem_put_bytes(ordinary + 1, held.data, held.len);
    return idem_blob_of(ordinary, held.len ? 1 + held.len : 0);
}

static apr_status_t peek_bodyhash(idem_bodyhash *hash, idem_blob rest, unsigned char *out, apr_uint64_t *bytes)
{
    *bytes = hash->normalised + rest.len;
    if (!hash->closed)
        return idem_digest_peek_with(hash->digest, rest, out);
    idem_put_bytes(out, hash->value, IDEM_DIGEST_LEN);
    return APR_SUCCESS;
}

apr_status_t idem_bodyhash_peek(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes)
{
    unsigned char ordinary[1 + IDEM_BOUNDARY_MAX];

    return peek_bodyhash(hash, as_ordinary(hash, ordinary), out, bytes);
}

apr_status_t idem_bodyhash_peek_cut(idem_bodyhash *hash, unsigned char out[IDEM_DIGEST_LEN], apr_uint64_t *bytes)
{
    return peek_bodyhash(hash, idem_blob_of(NULL, 0), out, bytes);
}

apr_status_t idem_bodyhash_close(idem_bodyhash *hash)
{
    unsigned char ordinary[1 + IDEM_BOUNDARY_MAX];
    idem_blob rest = as_ordinary(hash, ordinary);
    apr_status_t status;

    if (hash->closed)
        return APR_SUCCESS;
    feed_digest(hash, rest.data, rest.len);
    hash->matched = 0;
    status = idem_digest_close(hash->digest, hash->value);
    hash->closed = status == APR_SUCCESS;
    return status;
}

/* ---- the boundary in the Content-Type ---------------------------------------------------------------------------- */

#define TYPE "multipart/"
#define NAME "boundary="

static const char *skip_space(const char *s)
{
    while (*s == ' ' || *s == '\t')
        s++;
    return s;
}

/* The value between from and to, without its quotes and escapes. */
static const char *unquoted_value(const char *from, const char *to, apr_pool_t *pool)
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

static int boundary_usable(const char *boundary)
{
    apr_size_t len = strlen(boundary);

    for (const char *s = boundary; *s; s++)
        if (!apr_isprint(*s))
            return 0;
    return len >= 1 && len <= IDEM_BOUNDARY_MAX;
}

/* The ';' in front of the boundary parameter of any multipart type, or NULL. */
static const char *find_boundary(const char *content_type)
{
    const char *at = skip_space(content_type), *subtype;

    if (strncasecmp(at, TYPE, strlen(TYPE)) != 0)
        return NULL;
    subtype = at + strlen(TYPE);
    at = skip_space(subtype + strcspn(subtype, "; \t,"));
    if (at == subtype)
        return NULL;
    while (*at == ';') {
        if (strncasecmp(skip_space(at + 1), NAME, strlen(NAME)) == 0)
            return at;
        at = idem_quoted_find(at + 1, ';');
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
    to = idem_quoted_find(from, ';');
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    boundary = unquoted_value(from, to, pool);
    if (!boundary_usable(boundary))
        return NULL;
    *stripped = apr_pstrcat(pool, apr_pstrmemdup(pool, content_type, (apr_size_t)(parameter - content_type)), to, NULL);
    return boundary;
}
