/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_digest.c - SHA-256 and HMAC against published vectors, peeking, parts that cannot run together, and a libcrypto
 * that fails at each of its calls in turn.
 *
 * The EVP functions defined here stand in front of libcrypto's for the core linked into this program, and pass on to
 * them.
 */
#include "unit.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "digest.h"

/* ---- libcrypto, failing on demand -------------------------------------------------------------------------------- */

static int calls_until_failure = -1; /* negative: never */

static int fails_now(void)
{
    return calls_until_failure >= 0 && calls_until_failure-- == 0;
}

static int failed(void)
{
    return calls_until_failure < 0;
}

/*
 * Declares `real`, the function behind the one we stand in front of. ISO C has no cast from an object pointer, memcpy
 * does.
 */
#define REAL(name, type, ...)              \
    type (*real)(__VA_ARGS__);             \
    void *symbol = dlsym(RTLD_NEXT, name); \
    memcpy(&real, &symbol, sizeof real)

EVP_MD *EVP_MD_fetch(OSSL_LIB_CTX *ctx, const char *algorithm, const char *properties)
{
    REAL("EVP_MD_fetch", EVP_MD *, OSSL_LIB_CTX *, const char *, const char *);
    return fails_now() ? NULL : real(ctx, algorithm, properties);
}

EVP_MD_CTX *EVP_MD_CTX_new(void)
{
    REAL("EVP_MD_CTX_new", EVP_MD_CTX *, void);
    return fails_now() ? NULL : real();
}

int EVP_DigestInit_ex2(EVP_MD_CTX *ctx, const EVP_MD *type, const OSSL_PARAM params[])
{
    REAL("EVP_DigestInit_ex2", int, EVP_MD_CTX *, const EVP_MD *, const OSSL_PARAM *);
    return fails_now() ? 0 : real(ctx, type, params);
}

int EVP_DigestUpdate(EVP_MD_CTX *ctx, const void *data, size_t len)
{
    REAL("EVP_DigestUpdate", int, EVP_MD_CTX *, const void *, size_t);
    return fails_now() ? 0 : real(ctx, data, len);
}

int EVP_DigestFinal_ex(EVP_MD_CTX *ctx, unsigned char *out, unsigned int *len)
{
    REAL("EVP_DigestFinal_ex", int, EVP_MD_CTX *, unsigned char *, unsigned int *);
    return fails_now() ? 0 : real(ctx, out, len);
}

int EVP_MD_CTX_copy_ex(EVP_MD_CTX *to, const EVP_MD_CTX *from)
{
    REAL("EVP_MD_CTX_copy_ex", int, EVP_MD_CTX *, const EVP_MD_CTX *);
    return fails_now() ? 0 : real(to, from);
}

EVP_MAC_CTX *EVP_MAC_CTX_new(EVP_MAC *mac)
{
    REAL("EVP_MAC_CTX_new", EVP_MAC_CTX *, EVP_MAC *);
    return fails_now() ? NULL : real(mac);
}

EVP_MAC_CTX *EVP_MAC_CTX_dup(const EVP_MAC_CTX *from)
{
    REAL("EVP_MAC_CTX_dup", EVP_MAC_CTX *, const EVP_MAC_CTX *);
    return fails_now() ? NULL : real(from);
}

int EVP_MAC_init(EVP_MAC_CTX *ctx, const unsigned char *key, size_t len, const OSSL_PARAM params[])
{
    REAL("EVP_MAC_init", int, EVP_MAC_CTX *, const unsigned char *, size_t, const OSSL_PARAM *);
    return fails_now() ? 0 : real(ctx, key, len, params);
}

int EVP_MAC_update(EVP_MAC_CTX *ctx, const unsigned char *data, size_t len)
{
    REAL("EVP_MAC_update", int, EVP_MAC_CTX *, const unsigned char *, size_t);
    return fails_now() ? 0 : real(ctx, data, len);
}

int EVP_MAC_final(EVP_MAC_CTX *ctx, unsigned char *out, size_t *len, size_t room)
{
    REAL("EVP_MAC_final", int, EVP_MAC_CTX *, unsigned char *, size_t *, size_t);
    return fails_now() ? 0 : real(ctx, out, len, room);
}

int RAND_bytes(unsigned char *out, int len)
{
    REAL("RAND_bytes", int, unsigned char *, int);
    return fails_now() ? 0 : real(out, len);
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

#define SHA_EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SHA_ABC "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define HMAC_JEFE "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" /* RFC 4231, test case 2 */

static void sha256_of_known_pieces(void **state)
{
    unsigned char out[IDEM_DIGEST_LEN];
    idem_blob no_secret = idem_blob_of("", 0);

    assert_int_equal(idem_digest_of(NULL, unit_guarded(*state, "", 0), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, SHA_EMPTY);
    assert_int_equal(idem_digest_of(NULL, unit_guarded(*state, "abc", 3), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, SHA_ABC);
    assert_int_equal(idem_digest_of(&no_secret, unit_guarded(*state, "abc", 3), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, SHA_ABC);
}

static void hmac_with_a_secret(void **state)
{
    unsigned char out[IDEM_DIGEST_LEN];
    idem_blob secret = unit_guarded(*state, "Jefe", 4);

    assert_int_equal(idem_digest_of(&secret, idem_blob_str("what do ya want for nothing?"), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, HMAC_JEFE);
}

static void peeking_leaves_the_digest_open(void **state)
{
    unsigned char out[IDEM_DIGEST_LEN];
    idem_digest *d;

    assert_int_equal(idem_digest_create(&d, NULL, *state), APR_SUCCESS);
    assert_int_equal(idem_digest_peek(d, out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, SHA_EMPTY);
    idem_digest_feed(d, "ab", 2);
    assert_int_equal(idem_digest_peek_with(d, idem_blob_of("c", 1), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, SHA_ABC);
    idem_digest_feed(d, "c", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(idem_digest_peek(d, out), APR_SUCCESS);
        unit_assert_hex(out, sizeof out, SHA_ABC);
    }
}

static void peeking_into_an_hmac_leaves_it_open(void **state)
{
    unsigned char out[IDEM_DIGEST_LEN];
    idem_blob secret = idem_blob_str("Jefe");
    idem_digest *d;

    assert_int_equal(idem_digest_create(&d, &secret, *state), APR_SUCCESS);
    idem_digest_feed(d, "what do ya want ", 16);
    assert_int_equal(idem_digest_peek_with(d, idem_blob_str("for nothing?"), out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, HMAC_JEFE);
    idem_digest_feed(d, "for nothing?", 12);
    assert_int_equal(idem_digest_peek(d, out), APR_SUCCESS);
    unit_assert_hex(out, sizeof out, HMAC_JEFE);
}

static void digest_of_parts(idem_blob first, idem_blob second, unsigned char *out)
{
    idem_digest *d;

    assert_int_equal(idem_digest_start(&d, NULL), APR_SUCCESS);
    idem_digest_feed_part(d, first);
    idem_digest_feed_part(d, second);
    assert_int_equal(idem_digest_finish(d, out), APR_SUCCESS);
}

static void parts_never_run_together(void **state)
{
    static const struct {
        const char *first, *second;
    } pairs[] = {{"ab", "c"},   {"a", "bc"},   {"abc", ""}, {"", "abc"},
                 {"abc", NULL}, {NULL, "abc"}, {NULL, ""},  {"", NULL}};
    unsigned char out[UNIT_COUNT(pairs)][IDEM_DIGEST_LEN];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        digest_of_parts(idem_blob_str(pairs[i].first), idem_blob_str(pairs[i].second), out[i]);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(out[i], out[j], IDEM_DIGEST_LEN);
    }
}

static void random_bytes_differ(void **state)
{
    unsigned char one[32] = {0}, two[32] = {0};

    (void)state;
    assert_int_equal(idem_random(one, sizeof one), APR_SUCCESS);
    assert_int_equal(idem_random(two, sizeof two), APR_SUCCESS);
    assert_memory_not_equal(one, two, sizeof one);
    assert_int_equal(idem_random(one, (apr_size_t)INT_MAX + 1), APR_EINVAL);
}

/* Many more than are made ahead; and a forked process does not go on with those of the one it comes from. */
static void no_token_comes_twice(void **state)
{
    unsigned char tokens[100][IDEM_TOKEN_LEN], other[IDEM_TOKEN_LEN];
    int pipe_ends[2], status = 1;

    (void)state;
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(idem_random_token(tokens[0]), APR_SUCCESS);
    if (fork() == 0) {
        status = idem_random_token(other) == APR_SUCCESS && write(pipe_ends[1], other, sizeof other) == sizeof other;
        _exit(status ? 0 : 1);
    }
    assert_true(wait(&status) > 0 && status == 0);
    assert_int_equal(read(pipe_ends[0], other, sizeof other), sizeof other);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    for (size_t i = 1; i < UNIT_COUNT(tokens); i++) {
        assert_int_equal(idem_random_token(tokens[i]), APR_SUCCESS);
        assert_memory_not_equal(tokens[i], other, sizeof other);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(tokens[i], tokens[j], sizeof other);
    }
}

static void a_token_that_cannot_be_made_is_told(void **state)
{
    unsigned char token[IDEM_TOKEN_LEN];
    int refused = 0;

    (void)state;
    for (int i = 0; i < 40; i++) {
        calls_until_failure = 0;
        refused += idem_random_token(token) != APR_SUCCESS;
        calls_until_failure = -1;
        assert_int_equal(idem_random_token(token), APR_SUCCESS);
    }
    assert_in_range(refused, 1, 40);
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static apr_status_t one_piece(const idem_blob *secret)
{
    unsigned char out[IDEM_DIGEST_LEN];

    return idem_digest_of(secret, idem_blob_str("abc"), out);
}

static apr_status_t create_feed_peek(const idem_blob *secret)
{
    unsigned char out[IDEM_DIGEST_LEN];
    apr_pool_t *pool;
    idem_digest *d;
    apr_status_t status;

    apr_pool_create(&pool, NULL);
    status = idem_digest_create(&d, secret, pool);
    if (status == APR_SUCCESS) {
        idem_digest_feed(d, "abc", 3);
        status = idem_digest_peek(d, out);
    }
    apr_pool_destroy(pool);
    return status;
}

static apr_status_t some_random(const idem_blob *secret)
{
    unsigned char out[4];

    (void)secret;
    return idem_random(out, sizeof out);
}

/* Lets each call into libcrypto fail once, until an attempt gets by without reaching the failing one. */
static int times_failed(apr_status_t (*operation)(const idem_blob *), const idem_blob *secret)
{
    for (int n = 0;; n++) {
        apr_status_t status;

        calls_until_failure = n;
        status = operation(secret);
        if (!failed()) {
            calls_until_failure = -1;
            assert_int_equal(status, APR_SUCCESS);
            return n;
        }
        assert_int_equal(status, APR_EGENERAL);
    }
}

static void each_failure_of_libcrypto_is_told(void **state)
{
    idem_blob secret = idem_blob_str("secret");

    (void)state;
    assert_int_equal(one_piece(NULL), APR_SUCCESS); /* algorithms are fetched */
    assert_true(times_failed(one_piece, NULL) >= 4);
    assert_true(times_failed(one_piece, &secret) >= 4);
    assert_true(times_failed(create_feed_peek, NULL) >= 6);
    assert_true(times_failed(create_feed_peek, &secret) >= 5);
    assert_true(times_failed(some_random, NULL) >= 1);
}

static int missing_algorithm_status = -1;

/* Fetching happens once in a process, so the process in which it fails must be another one. */
static void lose_the_algorithms_in_a_child(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        calls_until_failure = 0;
        exit(one_piece(NULL) == APR_EGENERAL && one_piece(NULL) == APR_EGENERAL ? 0 : 1);
    }
    if (child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status))
        missing_algorithm_status = WEXITSTATUS(status);
}

static void without_the_algorithms_nothing_starts(void **state)
{
    (void)state;
    assert_int_equal(missing_algorithm_status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(sha256_of_known_pieces),
        UNIT(hmac_with_a_secret),
        UNIT(peeking_leaves_the_digest_open),
        UNIT(peeking_into_an_hmac_leaves_it_open),
        UNIT(parts_never_run_together),
        UNIT(random_bytes_differ),
        UNIT(no_token_comes_twice),
        UNIT(a_token_that_cannot_be_made_is_told),
        UNIT(each_failure_of_libcrypto_is_told),
        UNIT(without_the_algorithms_nothing_starts),
    };

    lose_the_algorithms_in_a_child();
    return cmocka_run_group_tests_name("digest", tests, NULL, NULL);
}
