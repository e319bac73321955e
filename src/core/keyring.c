/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyring.c - reads the secrets' lines and derives the keys.
 *
 * Called when the configuration is read. The ring is one anonymous mapping: excluded from core dumps and, where limits
 * allow, locked into memory; children inherit it by fork. Nothing here logs or copies a secret elsewhere.
 */
#include "keyring.h"

#include <sys/mman.h>

#include <apr_lib.h>
#include <apr_strings.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

typedef struct seal_key {
    unsigned char id[IDEM_SEAL_ID_LEN], key[IDEM_SEAL_KEY_LEN];
} seal_key;

struct idem_keyring {
    unsigned char slot[IDEM_DIGEST_LEN], print[IDEM_DIGEST_LEN], mark[IDEM_DIGEST_LEN];
    idem_blob slot_key, print_key; /* of the above */
    seal_key seal[IDEM_SEAL_KEYS_MAX];
    int seals;
    int has_slot;
    int open_slot, open_seal; /* "none" */
};

static apr_status_t wipe_ring(void *data)
{
    OPENSSL_cleanse(data, sizeof(idem_keyring));
    munmap(data, sizeof(idem_keyring));
    return APR_SUCCESS;
}

static idem_keyring *make_ring(apr_pool_t *pool)
{
    void *place = mmap(NULL, sizeof(idem_keyring), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (place == MAP_FAILED)
        return NULL;
    mlock(place, sizeof(idem_keyring)); /* a limit on locked memory only means that it may be swapped */
#ifdef MADV_DONTDUMP
    madvise(place, sizeof(idem_keyring), MADV_DONTDUMP);
#endif
    apr_pool_cleanup_register(pool, place, wipe_ring, apr_pool_cleanup_null);
    return place;
}

/* HKDF-SHA256 without salt; label keeps keys of one secret for different purposes apart. */
static int derive_key(idem_blob secret, const char *label, unsigned char *out, apr_size_t len)
{
    char digest[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(apr_uintptr_t)secret.data, secret.len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)(apr_uintptr_t)label, strlen(label)),
        OSSL_PARAM_construct_end()};
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int good = ctx && EVP_KDF_derive(ctx, out, len, params) == 1;

    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    return good;
}

static const char *add_slot(idem_keyring *ring, idem_blob secret)
{
    if (ring->has_slot)
        return "has more than one slot: line";
    ring->has_slot = 1;
    return derive_key(secret, "mod_idempotency slot 1", ring->slot, sizeof ring->slot) &&
                   derive_key(secret, "mod_idempotency fingerprint 1", ring->print, sizeof ring->print) &&
                   derive_key(secret, "mod_idempotency mark 1", ring->mark, sizeof ring->mark)
               ? NULL
               : "could not be used: libcrypto has no HKDF-SHA256";
}

static const char *add_seal(idem_keyring *ring, idem_blob secret)
{
    seal_key *seal = &ring->seal[ring->seals];

    if (ring->seals == IDEM_SEAL_KEYS_MAX)
        return "has more than " APR_STRINGIFY(IDEM_SEAL_KEYS_MAX) " seal: lines";
    if (!derive_key(secret, "mod_idempotency seal id 1", seal->id, sizeof seal->id) ||
        !derive_key(secret, "mod_idempotency seal 1", seal->key, sizeof seal->key))
        return "could not be used: libcrypto has no HKDF-SHA256";
    if (idem_keyring_find(ring, seal->id))
        return "has the same seal: line twice";
    ring->seals++;
    return NULL;
}

static idem_blob line_trimmed(const char *from, const char *end)
{
    while (from < end && apr_isspace(*from))
        from++;
    while (end > from && apr_isspace(end[-1]))
        end--;
    return idem_blob_of(from, (apr_size_t)(end - from));
}

static int line_begins(idem_blob line, const char *word)
{
    return line.len >= strlen(word) && !memcmp(line.data, word, strlen(word));
}

static int is_none(idem_blob secret)
{
    return secret.len == 4 && !memcmp(secret.data, "none", 4);
}

/* Of a store that was made without a secret, and gets one or loses it. */
static const char *add_none(idem_keyring *ring, int slot)
{
    if (slot && ring->has_slot)
        return "has more than one slot: line";
    if (!slot && (ring->seals || ring->open_seal))
        return "has seal: none after another seal: line: it must be the first";
    if (slot)
        ring->has_slot = ring->open_slot = 1;
    else
        ring->open_seal = 1;
    return NULL;
}

static const char *read_line(idem_keyring *ring, idem_blob line)
{
    int slot = line_begins(line, "slot:");
    idem_blob secret;

    if (!line.len || line.data[0] == '#')
        return NULL;
    if (!slot && !line_begins(line, "seal:"))
        return "has a line that does not begin with slot: or seal:";
    secret = line_trimmed((const char *)line.data + 5, (const char *)line.data + line.len);
    if (is_none(secret))
        return add_none(ring, slot);
    if (secret.len < IDEM_SECRET_MIN)
        return "has a secret shorter than " APR_STRINGIFY(IDEM_SECRET_MIN) " bytes";
    return slot ? add_slot(ring, secret) : add_seal(ring, secret);
}

apr_status_t idem_keyring_parse(idem_keyring **out, const char *text, apr_size_t len, apr_pool_t *pool,
                                const char **why)
{
    idem_keyring *ring = make_ring(pool);
    const char *end = text + len;

    *why = ring ? NULL : "finds no memory";
    for (const char *line = text; line < end && !*why;) {
        const char *stop = memchr(line, '\n', (apr_size_t)(end - line));

        if (!stop)
            stop = end;
        *why = read_line(ring, line_trimmed(line, stop));
        line = stop + 1;
    }
    if (!*why && (!ring->has_slot || !ring->seals))
        *why = "needs one line \"slot: SECRET\" and at least one \"seal: SECRET\"";
    if (!*why && ring->open_seal && !ring->open_slot)
        *why = "has seal: none without slot: none: a store that was made with a secret is sealed";
    if (*why)
        return APR_EINVAL;
    ring->slot_key = idem_blob_of(ring->slot, sizeof ring->slot);
    ring->print_key = idem_blob_of(ring->print, sizeof ring->print);
    *out = ring;
    return APR_SUCCESS;
}

const idem_blob *idem_keyring_slot_key(const idem_keyring *ring)
{
    return ring && !ring->open_slot ? &ring->slot_key : NULL;
}

const idem_blob *idem_keyring_print_key(const idem_keyring *ring)
{
    return ring && !ring->open_slot ? &ring->print_key : NULL;
}

const unsigned char *idem_keyring_seal_key(const idem_keyring *ring, const unsigned char **id)
{
    *id = ring->seal[0].id;
    return ring->seal[0].key;
}

const unsigned char *idem_keyring_find(const idem_keyring *ring, const unsigned char id[IDEM_SEAL_ID_LEN])
{
    for (int i = 0; i < ring->seals; i++)
        if (!memcmp(ring->seal[i].id, id, IDEM_SEAL_ID_LEN))
            return ring->seal[i].key;
    return NULL;
}

const idem_keyring *idem_keyring_to_seal(const idem_keyring *ring)
{
    return ring && ring->open_seal ? NULL : ring;
}

int idem_keyring_takes_open(const idem_keyring *ring)
{
    return !ring || ring->open_slot;
}

/* Without a slot secret nothing but zeros, as of a store without one. */
const unsigned char *idem_keyring_mark(const idem_keyring *ring)
{
    return ring->mark;
}
