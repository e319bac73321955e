/*
 * fuzz_body.c - any Content-Type (the first line of an input) with any body (what is behind it).
 *
 * What must hold: the digest of a body does not depend on the pieces it comes in.
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
    MUST(idem_bodyhash_fed(hash) == size);
    MUST(idem_bodyhash_peek(hash, out, &bytes) == APR_SUCCESS);
    apr_pool_destroy(pool);
    return bytes;
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
    free(type);
    free(body);
    apr_pool_destroy(pool);
    return 0;
}
