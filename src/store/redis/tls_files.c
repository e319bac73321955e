/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_files.c - reads whom a Redis store trusts and what it shows of itself: ca=, cert=, key=.
 *
 * Called when a configuration is read, in the parent, as root where there is one, so that the server's user need not be
 * able to read a key. What always holds: a key that others can read is refused, and its text is wiped once it has been
 * read; what was read lives until the configuration ends, and each process makes its context of it. A sentence names
 * the option, the file and its fault. Limits: PEM files only; a key with a passphrase is refused, since nobody could be
 * asked for it.
 */
#include "redis_private.h"
#include "secretfile.h"

#include <apr_strings.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#define PUBLIC_MOST ((apr_size_t)4 << 20) /* bytes; a system's whole list is a quarter of a megabyte */
#define KEY_MOST ((apr_size_t)65536)

/* ---- bytes of a file --------------------------------------------------------------------------------------------- */

/* Nobody's secret. Not blocking: opening a pipe would wait for somebody to write into it. */
static const char *read_public(const char *path, char *bytes, apr_size_t *len, apr_pool_t *pool)
{
    char reason[120];
    apr_finfo_t info;
    apr_file_t *file;
    const char *why = NULL;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_NONBLOCK, APR_FPROT_OS_DEFAULT, pool);

    if (rv != APR_SUCCESS)
        return apr_psprintf(pool, "cannot be read: %s", apr_strerror(rv, reason, sizeof(reason)));
    if (apr_file_info_get(&info, APR_FINFO_TYPE, file) != APR_SUCCESS || info.filetype != APR_REG)
        why = "must be a regular file";
    if (!why)
        why = idem_secretfile_read_all(file, bytes, PUBLIC_MOST, len, pool);
    apr_file_close(file);
    return why;
}

typedef struct pem_file {
    const char *option, *path;
    char *bytes;
    apr_size_t room, len;
    BIO *bio;
} pem_file;

static apr_status_t wrong_file(idem_redis_reading *r, const pem_file *file, const char *fault)
{
    return idem_wrong(r->pool, r->why, "option %s=%s: it %s", file->option, file->path, fault);
}

static apr_status_t open_pem(idem_redis_reading *r, pem_file *file, int secret)
{
    const char *fault;

    ERR_clear_error();
    file->room = secret ? KEY_MOST : PUBLIC_MOST;
    file->bytes = calloc(1, file->room);
    if (!file->bytes)
        return wrong_file(r, file, "finds no memory");
    fault = secret ? idem_secretfile_read(file->path, r->store->env->uid, file->bytes, file->room, &file->len, r->pool)
                   : read_public(file->path, file->bytes, &file->len, r->pool);
    if (fault)
        return wrong_file(r, file, fault);
    file->bio = BIO_new_mem_buf(file->bytes, (int)file->len);
    return file->bio ? APR_SUCCESS : wrong_file(r, file, "finds no memory");
}

static void close_pem(pem_file *file)
{
    BIO_free(file->bio);
    if (file->bytes)
        OPENSSL_cleanse(file->bytes, file->room);
    free(file->bytes);
    ERR_clear_error();
}

/* The file has no further certificate, rather than a damaged one. */
static int at_end_of_pem(void)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

/* ---- the three --------------------------------------------------------------------------------------------------- */

static apr_status_t read_trust(idem_redis_reading *r, idem_redis_tls *tls)
{
    pem_file file = {.option = "ca", .path = tls->ca};
    apr_status_t rv = open_pem(r, &file, 0);
    X509 *one = NULL;
    int count = 0;

    tls->trust = X509_STORE_new();
    while (rv == APR_SUCCESS && (one = PEM_read_bio_X509(file.bio, NULL, NULL, NULL)) != NULL) {
        if (!tls->trust || !X509_STORE_add_cert(tls->trust, one))
            rv = wrong_file(r, &file, "has a certificate that OpenSSL does not take");
        X509_free(one);
        count++;
    }
    if (rv == APR_SUCCESS && !at_end_of_pem())
        rv = wrong_file(r, &file, apr_psprintf(r->pool, "is damaged after %d certificates", count));
    else if (rv == APR_SUCCESS && count == 0)
        rv = wrong_file(r, &file, "contains no certificate (PEM, \"BEGIN CERTIFICATE\")");
    close_pem(&file);
    return rv;
}

static apr_status_t read_certificate(idem_redis_reading *r, idem_redis_tls *tls)
{
    pem_file file = {.option = "cert", .path = tls->cert};
    apr_status_t rv = open_pem(r, &file, 0);
    X509 *one;

    tls->chain = sk_X509_new_null();
    if (rv == APR_SUCCESS)
        tls->leaf = PEM_read_bio_X509(file.bio, NULL, NULL, NULL);
    if (rv == APR_SUCCESS && !tls->leaf)
        rv = wrong_file(r, &file, "contains no certificate (PEM, \"BEGIN CERTIFICATE\")");
    while (rv == APR_SUCCESS && (one = PEM_read_bio_X509(file.bio, NULL, NULL, NULL)) != NULL)
        if (!tls->chain || !sk_X509_push(tls->chain, one)) {
            X509_free(one);
            rv = wrong_file(r, &file, "finds no memory");
        }
    if (rv == APR_SUCCESS && !at_end_of_pem())
        rv = wrong_file(r, &file, "is damaged after its first certificate");
    close_pem(&file);
    return rv;
}

/* A passphrase is wanted: there is none. */
static int no_passphrase(char *to, int room, int writing, void *asked)
{
    (void)to, (void)room, (void)writing;
    *(int *)asked = 1;
    return -1;
}

static apr_status_t read_key(idem_redis_reading *r, idem_redis_tls *tls)
{
    pem_file file = {.option = "key", .path = tls->key};
    apr_status_t rv = open_pem(r, &file, 1);
    int asked = 0;

    if (rv == APR_SUCCESS) {
        tls->secret = PEM_read_bio_PrivateKey(file.bio, NULL, no_passphrase, &asked);
        if (!tls->secret)
            rv = wrong_file(r, &file,
                            asked ? "has a passphrase, and a server cannot ask for it: write the key without one"
                                  : "contains no private key (PEM, \"BEGIN PRIVATE KEY\")");
        else if (!X509_check_private_key(tls->leaf, tls->secret))
            rv = wrong_file(r, &file, apr_psprintf(r->pool, "is not the key of the certificate in %s", tls->cert));
    }
    close_pem(&file);
    return rv;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static apr_status_t forget_files(void *data)
{
    idem_redis_tls *tls = data;

    X509_STORE_free(tls->trust);
    X509_free(tls->leaf);
    sk_X509_pop_free(tls->chain, X509_free);
    EVP_PKEY_free(tls->secret);
    return APR_SUCCESS;
}

apr_status_t idem_redis_tls_read(idem_redis_reading *r)
{
    idem_redis_tls *tls = r->store->tls;
    apr_status_t rv = APR_SUCCESS;
    const char *why = NULL;

    if (!tls)
        return APR_SUCCESS;
    if (!tls->cert != !tls->key)
        return idem_wrong(r->pool, r->why, "options cert= and key= belong together: %s= is missing",
                          tls->cert ? "key" : "cert");
    apr_pool_cleanup_register(r->pool, tls, forget_files, apr_pool_cleanup_null);
    if (tls->ca)
        rv = read_trust(r, tls);
    if (rv == APR_SUCCESS && tls->cert)
        rv = read_certificate(r, tls);
    if (rv == APR_SUCCESS && tls->key)
        rv = read_key(r, tls);
    if (rv != APR_SUCCESS)
        return rv;
    /* OpenSSL has opinions of its own, on short keys for example. */
    rv = idem_redis_tls_start(tls, r->pool, &why);
    idem_redis_tls_stop(tls);
    return rv == APR_SUCCESS ? rv : idem_wrong(r->pool, r->why, "%s", why);
}

const char *idem_redis_tls_warning(const idem_redis_tls *tls, apr_pool_t *pool)
{
    if (!tls || !tls->leaf || X509_cmp_current_time(X509_get0_notAfter(tls->leaf)) > 0)
        return NULL;
    return apr_psprintf(pool, "the certificate cert=%s has expired", tls->cert);
}
