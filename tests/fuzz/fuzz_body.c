/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_body.c - any Content-Type (the first line of an input) with any body (what is behind it).
 *
 * What must hold: the digest of a body does not depend on its pieces. Beside it, a simple encoder sees a whole
 * multipart body at once. Both give the same digest, and the body can be read back from the encoder's words.
 */
#include "bodyhash.h"
#include "fuzz.h"

static apr_uint64_t digest(const char *boundary, const uint8_t *data, size_t size, size_t step, unsigned char *out)
{
    apr_pool_t *pool = fuzz_pool();
    idem_bodyhash *hash;
    apr_uint64_t bytes;

    MUST(idem_bodyhash_create(&hash, NULL, boundary, pool) == APR_SUCCESS);
    for (size_t at = 0; at < size; at += step)
        idem_bodyhash_feed(hash, data + at, size - at < step ? size - at : step);
    MUST(idem_bodyhash_peek(hash, out, &bytes) == APR_SUCCESS);
    apr_pool_destroy(pool);
    return bytes;
}

/* ---- what goes into the digest, told from the whole body (bodyhash.c describes it), and read back ---------------- */

typedef struct text {
    uint8_t *data;
    size_t len;
} text;

static void put(text *to, const void *from, size_t len)
{
    memcpy(to->data + to->len, from, len);
    to->len += len;
}

/* "--" at the beginning of a line: how many bytes of it stand at at. */
static size_t dashes_at(const uint8_t *body, size_t size, size_t at)
{
    if (size - at >= 4 && !memcmp(body + at, "\r\n--", 4))
        return 4;
    return at == 0 && size >= 2 && !memcmp(body, "--", 2) ? 2 : 0;
}

/* How far a delimiter's line goes behind its boundary; *whole: to its CR LF. */
static size_t tail_at(const uint8_t *body, size_t size, size_t from, int *whole)
{
    size_t at = from, dashes = 0;

    while (at < size && dashes < 2 && body[at] == '-')
        at++, dashes++;
    while (dashes != 1 && at < size && (body[at] == ' ' || body[at] == '\t'))
        at++;
    if (dashes != 1 && at < size && body[at] == '\r')
        at++;
    *whole = at > from && at < size && body[at - 1] == '\r' && body[at] == '\n';
    return at - from + (size_t)*whole;
}

static text encode(const char *boundary, const uint8_t *body, size_t size)
{
    uint8_t n = (uint8_t)strlen(boundary);
    text out = {malloc(2 * size + 4), 0};

    for (size_t at = 0; at < size;) {
        size_t dashes = dashes_at(body, size, at), tail;
        int whole;

        put(&out, body + at, dashes ? dashes : 1);
        at += dashes ? dashes : 1;
        if (!dashes || at == size)
            continue;
        if (size - at < n || memcmp(body + at, boundary, n) != 0) {
            put(&out, "L", 1);
            continue;
        }
        at += n;
        put(&out, "P", 1);
        tail = tail_at(body, size, at, &whole);
        put(&out, body + at, tail);
        at += tail;
        if (whole) {
            put(&out, "D", 1);
        }
        else if (at < size) {
            put(&out, "X", 1);
            put(&out, &n, 1);
            put(&out, boundary, n);
        }
    }
    return out;
}

/* Reads a body back, with nothing but the boundary known. What stands behind X says it again. */
static text decode(const char *boundary, const uint8_t *said, size_t size)
{
    size_t n = strlen(boundary);
    text out = {malloc(size * (n + 1) + 1), 0};

    for (size_t at = 0; at < size;) {
        size_t dashes = dashes_at(said, size, at), tail;
        int whole;

        put(&out, said + at, dashes ? dashes : 1);
        at += dashes ? dashes : 1;
        if (!dashes || at == size)
            continue;
        if (said[at++] == 'L')
            continue;
        put(&out, boundary, n);
        tail = tail_at(said, size, at, &whole);
        put(&out, said + at, tail);
        at += tail;
        if (at < size)
            at += said[at] == 'X' ? 2 + n : 1;
    }
    return out;
}

static void check_multipart(const char *boundary, const uint8_t *body, size_t size, const unsigned char *digest)
{
    unsigned char expected[IDEM_DIGEST_LEN];
    text said = encode(boundary, body, size), back = decode(boundary, said.data, said.len);

    MUST(idem_digest_of(NULL, idem_blob_of(said.data, said.len), expected) == APR_SUCCESS);
    MUST(!memcmp(digest, expected, sizeof expected));
    MUST(back.len == size && !memcmp(back.data, body, size));
    free(said.data);
    free(back.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    size_t line = newline ? (size_t)(newline - data) : size, rest = newline ? size - line - 1 : 0;
    char *type = fuzz_string(data, line), *body = fuzz_string(newline ? newline + 1 : data, rest);
    unsigned char whole[IDEM_DIGEST_LEN], pieces[IDEM_DIGEST_LEN];
    const char *stripped, *boundary = idem_multipart_boundary(type, pool, &stripped);

    MUST(stripped && strlen(stripped) <= strlen(type));
    MUST(digest(boundary, (const uint8_t *)body, rest, rest ? rest : 1, whole) ==
         digest(boundary, (const uint8_t *)body, rest, 1 + line % 7, pieces));
    MUST(!memcmp(whole, pieces, sizeof whole));
    if (boundary)
        check_multipart(boundary, (const uint8_t *)body, rest, whole);
    free(type);
    free(body);
    apr_pool_destroy(pool);
    return 0;
}
