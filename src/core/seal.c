/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seal.c - seals and opens; the only file that knows a cipher.
 *
 * Called by record.c. One OpenSSL context per call, freed and thereby wiped at its end. Lengths are bounded by what
 * EVP's int can say; a longer record cannot be sealed and is refused.
 */
#include "seal.h"

#include <limits.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

static CRYPTO_ONCE fetched = CRYPTO_ONCE_STATIC_INIT;
static EVP_CIPHER *cipher; /* shared, never freed: see digest.c */

static void fetch_cipher(void)
{
    cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
}

static EVP_CIPHER_CTX *new_context(void)
{
    return CRYPTO_THREAD_run_once(&fetched, fetch_cipher) && cipher ? EVP_CIPHER_CTX_new() : NULL;
}

static int encrypt_sealed(EVP_CIPHER_CTX *ctx, const unsigned char *key, idem_blob head, unsigned char *at,
                          apr_size_t len)
{
    unsigned char *nonce = at + IDEM_SEAL_ID_LEN, *text = at + IDEM_SEAL_BEFORE;
    int n;

    return EVP_EncryptInit_ex2(ctx, cipher, key, nonce, NULL) == 1 &&
           EVP_EncryptUpdate(ctx, NULL, &n, head.data, (int)head.len) == 1 &&
           EVP_EncryptUpdate(ctx, text, &n, text, (int)len) == 1 && EVP_EncryptFinal_ex(ctx, text + n, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, IDEM_SEAL_TAG_LEN, text + len) == 1;
}

apr_status_t idem_seal(const idem_keyring *ring, idem_blob head, unsigned char *at, apr_size_t len)
{
    const unsigned char *id, *key = idem_keyring_seal_key(ring, &id);
    EVP_CIPHER_CTX *ctx;
    int good;

    if (len > INT_MAX)
        return APR_EINVAL;
    idem_put_bytes(at, id, IDEM_SEAL_ID_LEN);
    if (idem_random(at + IDEM_SEAL_ID_LEN, IDEM_SEAL_NONCE_LEN) != APR_SUCCESS)
        return APR_EGENERAL;
    ctx = new_context();
    good = ctx && encrypt_sealed(ctx, key, head, at, len);
    EVP_CIPHER_CTX_free(ctx);
    return good ? APR_SUCCESS : APR_EGENERAL;
}

/* All before the seal itself is looked at fails for want of memory only. */
static apr_status_t decrypt_sealed(EVP_CIPHER_CTX *ctx, const unsigned char *key, idem_blob head, idem_blob sealed,
                                   unsigned char *out)
{
    const unsigned char *nonce = sealed.data + IDEM_SEAL_ID_LEN, *text = sealed.data + IDEM_SEAL_BEFORE;
    apr_size_t len = sealed.len - IDEM_SEAL_EXTRA;
    void *tag = (void *)(apr_uintptr_t)(text + len); /* only read, whatever EVP's type says */
    int n;

    if (EVP_DecryptInit_ex2(ctx, cipher, key, nonce, NULL) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &n, head.data, (int)head.len) != 1 ||
        EVP_DecryptUpdate(ctx, out, &n, text, (int)len) != 1 ||
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, IDEM_SEAL_TAG_LEN, tag) != 1)
        return APR_ENOMEM;
    return EVP_DecryptFinal_ex(ctx, out + n, &n) == 1 ? APR_SUCCESS : APR_EGENERAL;
}

apr_status_t idem_unseal(const idem_keyring *ring, idem_blob head, idem_blob sealed, apr_pool_t *pool, idem_blob *plain,
                         const char **why)
{
    const unsigned char *key;
    EVP_CIPHER_CTX *ctx;
    unsigned char *out;
    apr_status_t status;

    *why = "the record is sealed and shorter than a seal";
    if (sealed.len < IDEM_SEAL_EXTRA || sealed.len > INT_MAX)
        return APR_EGENERAL;
    key = idem_keyring_find(ring, sealed.data);
    *why = "the record was sealed with a secret that is not among the seal: lines";
    if (!key)
        return APR_EGENERAL;
    out = apr_palloc(pool, sealed.len - IDEM_SEAL_EXTRA + 1); /* EVP wants a place also for nothing */
    ctx = new_context();
    status = ctx ? decrypt_sealed(ctx, key, head, sealed, out) : APR_ENOMEM;
    EVP_CIPHER_CTX_free(ctx);
    *why = status == APR_SUCCESS ? NULL : "the record's seal is broken: it was altered, or moved from another slot";
    *plain = idem_blob_of(out, sealed.len - IDEM_SEAL_EXTRA);
    return status;
}
