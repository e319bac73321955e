/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.c - SHA-256 and HMAC-SHA-256 by OpenSSL 3's EVP, and its random numbers.
 *
 * Called by the rest of the core, for slots, fingerprints, bodies and checksums. Algorithms are fetched once per
 * process, since a fetch by name costs more than the digest of a short piece. A failure inside libcrypto is remembered
 * and turns up at the final, so that callers check one place. No deprecated interface; nothing of OpenSSL is visible
 * outside this file.
 */
#include "digest.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

struct idem_digest {
    EVP_MD_CTX *md;   /* this one without a secret */
    EVP_MD_CTX *copy; /* for peeking; made at the first peek, then reused */
    EVP_MAC_CTX *mac; /* this one with a secret */
    int failed;
};

/*
 * Shared by all threads and never freed: at the process's end libcrypto's own cleanup may have run before ours could.
 */
static CRYPTO_ONCE fetched = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *sha256;
static EVP_MAC *hmac;

static void fetch_algorithms(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static int algorithms(void)
{
    return CRYPTO_THREAD_run_once(&fetched, fetch_algorithms) && sha256 && hmac;
}

static int start_hmac(idem_digest *d, const idem_blob *secret)
{
    char name[] = "SHA256"; /* OSSL_PARAM wants it writable */
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};

    d->mac = EVP_MAC_CTX_new(hmac);
    return d->mac && EVP_MAC_init(d->mac, secret->data, secret->len, params) == 1;
}

static int start_sha256(idem_digest *d)
{
    d->md = EVP_MD_CTX_new();
    return d->md && EVP_DigestInit_ex2(d->md, sha256, NULL) == 1;
}

static apr_status_t free_digest(void *data)
{
    idem_digest *d = data;

    EVP_MD_CTX_free(d->md);
    EVP_MD_CTX_free(d->copy);
    EVP_MAC_CTX_free(d->mac);
    free(d);
    return APR_SUCCESS;
}

apr_status_t idem_digest_start(idem_digest **digest, const idem_blob *secret)
{
    idem_digest *d = calloc(1, sizeof *d);

    *digest = NULL;
    if (!d)
        return APR_ENOMEM;
    if (!algorithms() || !(secret && secret->len ? start_hmac(d, secret) : start_sha256(d))) {
        free_digest(d);
        return APR_EGENERAL;
    }
    *digest = d;
    return APR_SUCCESS;
}

apr_status_t idem_digest_create(idem_digest **digest, const idem_blob *secret, apr_pool_t *pool)
{
    apr_status_t status = idem_digest_start(digest, secret);

    if (status == APR_SUCCESS)
        apr_pool_cleanup_register(pool, *digest, free_digest, apr_pool_cleanup_null);
    return status;
}

void idem_digest_feed(idem_digest *digest, const void *data, apr_size_t len)
{
    int ok = digest->mac ? EVP_MAC_update(digest->mac, data, len) : EVP_DigestUpdate(digest->md, data, len);

    if (ok != 1)
        digest->failed = 1;
}

void idem_digest_feed_part(idem_digest *digest, idem_blob part)
{
    unsigned char length[8];

    idem_put(length, part.data ? part.len : APR_UINT64_MAX, sizeof length);
    idem_digest_feed(digest, length, sizeof length);
    if (part.data)
        idem_digest_feed(digest, part.data, part.len);
}

static int final_md(EVP_MD_CTX *md, unsigned char *out)
{
    unsigned int len = 0;

    return EVP_DigestFinal_ex(md, out, &len) == 1 && len == IDEM_DIGEST_LEN;
}

static int final_mac(EVP_MAC_CTX *mac, unsigned char *out)
{
    size_t len = 0;

    return EVP_MAC_final(mac, out, &len, IDEM_DIGEST_LEN) == 1 && len == IDEM_DIGEST_LEN;
}

static int peek_md(idem_digest *d, idem_blob tail, unsigned char *out)
{
    if (!d->copy)
        d->copy = EVP_MD_CTX_new();
    return d->copy && EVP_MD_CTX_copy_ex(d->copy, d->md) == 1 && EVP_DigestUpdate(d->copy, tail.data, tail.len) == 1 &&
           final_md(d->copy, out);
}

static int peek_mac(idem_digest *d, idem_blob tail, unsigned char *out)
{
    EVP_MAC_CTX *copy = EVP_MAC_CTX_dup(d->mac);
    int ok = copy && EVP_MAC_update(copy, tail.data, tail.len) == 1 && final_mac(copy, out);

    EVP_MAC_CTX_free(copy);
    return ok;
}

apr_status_t idem_digest_peek_with(idem_digest *digest, idem_blob tail, unsigned char out[IDEM_DIGEST_LEN])
{
    if (digest->failed)
        return APR_EGENERAL;
    return (digest->mac ? peek_mac(digest, tail, out) : peek_md(digest, tail, out)) ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_digest_peek(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN])
{
    return idem_digest_peek_with(digest, idem_blob_of("", 0), out);
}

apr_status_t idem_digest_finish(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN])
{
    int ok = !digest->failed && (digest->mac ? final_mac(digest->mac, out) : final_md(digest->md, out));

    free_digest(digest);
    return ok ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_digest_of(const idem_blob *secret, idem_blob data, unsigned char out[IDEM_DIGEST_LEN])
{
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    idem_digest_feed(d, data.data, data.len);
    return idem_digest_finish(d, out);
}

apr_status_t idem_random(unsigned char *out, apr_size_t len)
{
    if (len > INT_MAX)
        return APR_EINVAL;
    return RAND_bytes(out, (int)len) == 1 ? APR_SUCCESS : APR_EGENERAL;
}
