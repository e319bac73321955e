/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest.c - SHA-256 and HMAC-SHA-256 by OpenSSL 3's EVP, and its random numbers.
 *
 * Called by the rest of the core, for slots, fingerprints, bodies and checksums. Algorithms are fetched once per
 * process: a fetch by name costs more than the digest of a short piece. For the same reason short pieces are gathered
 * before libcrypto gets them, and a thread keeps a finished SHA-256 for its next one (spares.c). A failure inside
 * libcrypto is remembered and turns up at the final, so that callers check one place. What always holds: nothing that
 * was fed stays in memory behind the end of a digest. No deprecated interface; nothing of OpenSSL is visible outside
 * this file.
 */
#include "digest.h"

#include "processes.h"
#include "spares.h"

#include <limits.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#define GATHERED 256 /* bytes: what a slot or the parts of a fingerprint usually take */

struct idem_digest {
    idem_spare spare; /* first: spares.c knows nothing else of it */
    EVP_MD_CTX *md;   /* this one without a secret */
    EVP_MD_CTX *copy; /* for peeking; made at the first peek, then reused */
    EVP_MAC_CTX *mac; /* this one with a secret */
    int failed, finished;
    apr_size_t gathered; /* bytes that libcrypto has not got */
    unsigned char gather[GATHERED];
};

/*
 * Shared by all threads and never freed: at the process's end libcrypto's own cleanup may have run before ours could.
 */
static CRYPTO_ONCE fetched = CRYPTO_ONCE_STATIC_INIT;
static EVP_MD *sha256;
static EVP_MAC *hmac;
static idem_spares spares;

static void fetch_algorithms(void)
{
    idem_spares_open(&spares);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
}

static int algorithms_ready(void)
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
    if (!d->md)
        d->md = EVP_MD_CTX_new();
    return d->md && EVP_DigestInit_ex2(d->md, sha256, NULL) == 1;
}

static void destroy_digest(idem_spare *spare)
{
    idem_digest *d = (idem_digest *)spare;

    /* A child's own threads are not joined: one may end when the process does, with libcrypto. */
    if (OPENSSL_init_crypto(0, NULL) == 1) {
        EVP_MD_CTX_free(d->md);
        EVP_MD_CTX_free(d->copy);
        EVP_MAC_CTX_free(d->mac);
    }
    OPENSSL_cleanse(d->gather, d->gathered);
    free(d);
}

/* httpd unloads the library and loads it again at each restart. At a process's end libcrypto may be closed already. */
__attribute__((destructor)) static void forget_spares(void)
{
    if (OPENSSL_init_crypto(0, NULL) == 1)
        idem_spares_close(&spares);
}

/* libcrypto wipes a block when it finishes it: only a finished digest holds nothing of what was fed. */
static apr_status_t free_digest(void *data)
{
    idem_digest *d = data;

    d->spare.destroy = destroy_digest;
    if (d->mac || d->copy || !d->finished || !idem_spares_keep(&spares, &d->spare))
        destroy_digest(&d->spare);
    return APR_SUCCESS;
}

static idem_digest *new_digest(const idem_blob *secret)
{
    idem_digest *d = secret && secret->len ? NULL : (idem_digest *)idem_spares_take(&spares);

    if (!d)
        return calloc(1, sizeof *d);
    d->failed = d->finished = 0;
    return d;
}

apr_status_t idem_digest_start(idem_digest **digest, const idem_blob *secret)
{
    idem_digest *d = new_digest(secret);

    *digest = NULL;
    if (!d)
        return APR_ENOMEM;
    if (!algorithms_ready() || !(secret && secret->len ? start_hmac(d, secret) : start_sha256(d))) {
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

/* ---- feeding ----------------------------------------------------------------------------------------------------- */

static void pass_on(idem_digest *digest, const void *data, apr_size_t len)
{
    int ok = digest->mac ? EVP_MAC_update(digest->mac, data, len) : EVP_DigestUpdate(digest->md, data, len);

    if (ok != 1)
        digest->failed = 1;
}

static void pass_on_gathered(idem_digest *digest)
{
    if (!digest->gathered)
        return;
    pass_on(digest, digest->gather, digest->gathered);
    OPENSSL_cleanse(digest->gather, digest->gathered);
    digest->gathered = 0;
}

void idem_digest_feed(idem_digest *digest, const void *data, apr_size_t len)
{
    if (len > sizeof digest->gather - digest->gathered)
        pass_on_gathered(digest);
    if (len > sizeof digest->gather) {
        pass_on(digest, data, len);
        return;
    }
    idem_put_bytes(digest->gather + digest->gathered, data, len);
    digest->gathered += len;
}

void idem_digest_feed_part(idem_digest *digest, idem_blob part)
{
    apr_uint64_t len = part.data ? part.len : APR_UINT64_MAX;
    unsigned char length[8] = {(unsigned char)(len >> 56), (unsigned char)(len >> 48), (unsigned char)(len >> 40),
                               (unsigned char)(len >> 32), (unsigned char)(len >> 24), (unsigned char)(len >> 16),
                               (unsigned char)(len >> 8),  (unsigned char)len}; /* one instruction to compilers */

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
    pass_on_gathered(digest);
    if (digest->failed)
        return APR_EGENERAL;
    return (digest->mac ? peek_mac(digest, tail, out) : peek_md(digest, tail, out)) ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_digest_peek(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN])
{
    return idem_digest_peek_with(digest, idem_blob_of("", 0), out);
}

apr_status_t idem_digest_close(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN])
{
    pass_on_gathered(digest);
    digest->finished = !digest->failed && (digest->mac ? final_mac(digest->mac, out) : final_md(digest->md, out));
    return digest->finished ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_digest_finish(idem_digest *digest, unsigned char out[IDEM_DIGEST_LEN])
{
    apr_status_t status = idem_digest_close(digest, out);

    free_digest(digest);
    return status;
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

/* Asking for one token takes as long as hashing four blocks, asking for sixteen hardly longer. */
#define TOKENS_AHEAD 16

typedef struct token_stock {
    idem_spare spare;
    apr_uint32_t process; /* a forked process must not go on with the same ones */
    int left;
    unsigned char tokens[TOKENS_AHEAD][IDEM_TOKEN_LEN];
} token_stock;

static idem_spares stocks;

__attribute__((constructor)) static void open_stocks(void)
{
    idem_spares_open(&stocks);
}

__attribute__((destructor)) static void close_stocks(void)
{
    idem_spares_close(&stocks);
}

static apr_status_t fill_stock(token_stock *stock)
{
    apr_uint32_t process = idem_this_process();

    if (stock->process == process && stock->left > 0)
        return APR_SUCCESS;
    stock->left = 0;
    if (idem_random(stock->tokens[0], sizeof stock->tokens) != APR_SUCCESS)
        return APR_EGENERAL;
    stock->process = process;
    stock->left = TOKENS_AHEAD;
    return APR_SUCCESS;
}

apr_status_t idem_random_token(unsigned char token[IDEM_TOKEN_LEN])
{
    token_stock *stock = (token_stock *)idem_spares_take_or_make(&stocks, sizeof *stock);
    apr_status_t status;

    if (!stock)
        return idem_random(token, IDEM_TOKEN_LEN);
    status = fill_stock(stock);
    if (status == APR_SUCCESS) {
        stock->left--;
        memcpy(token, stock->tokens[stock->left], IDEM_TOKEN_LEN);
        OPENSSL_cleanse(stock->tokens[stock->left], IDEM_TOKEN_LEN);
    }
    idem_spares_keep_or_destroy(&stocks, &stock->spare);
    return status;
}
