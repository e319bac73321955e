/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_bodyhash.c - the streaming hash against a simple one over the whole buffer, for every way to cut a body into
 * pieces; and the boundary of all manner of Content-Types.
 */
#include "unit.h"

#include <stdio.h>

#include <apr_strings.h>

#include "bodyhash.h"

/* ---- the reference: sees the whole body at once ------------------------------------------------------------------ */

static int starts_with(const unsigned char *at, const unsigned char *end, const char *text)
{
    size_t len = strlen(text);

    return (size_t)(end - at) >= len && !memcmp(at, text, len);
}

/* How many bytes behind a boundary belong to a delimiter's line as far as it goes; *whole: it goes to the CR LF. */
static size_t tail_of(const unsigned char *at, const unsigned char *end, int *whole)
{
    const unsigned char *start = at;

    *whole = 0;
    if (starts_with(at, end, "--"))
        at += 2;
    else if (starts_with(at, end, "-"))
        return 1;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    *whole = starts_with(at, end, "\r\n");
    if (*whole)
        return (size_t)(at + 2 - start);
    return (size_t)(at - start) + (at < end && *at == '\r');
}

/* The marks as bodyhash.c's first lines describe them. */
static size_t normalise(const unsigned char *body, size_t len, const char *boundary, unsigned char *out)
{
    const unsigned char *at = body, *end = body + len;
    unsigned char *to = out;

    while (at < end) {
        size_t dashes = starts_with(at, end, "\r\n--") ? 4 : at == body && starts_with(at, end, "--") ? 2 : 0, tail;
        int whole;

        if (!boundary || !*boundary || !dashes) {
            *to++ = *at++;
            continue;
        }
        memcpy(to, at, dashes);
        to += dashes;
        at += dashes;
        if (!starts_with(at, end, boundary)) {
            if (at < end)
                *to++ = 'L';
            continue;
        }
        at += strlen(boundary);
        tail = tail_of(at, end, &whole);
        *to++ = 'P';
        memcpy(to, at, tail);
        to += tail;
        at += tail;
        if (whole)
            *to++ = 'D';
        else if (at < end)
            to += sprintf((char *)to, "X%c%s", (int)strlen(boundary), boundary);
    }
    return (size_t)(to - out);
}

static void assert_like_reference(idem_bodyhash *hash, const unsigned char *body, size_t len, const char *boundary)
{
    unsigned char normal[1024], expected[IDEM_DIGEST_LEN], got[IDEM_DIGEST_LEN];
    apr_size_t normal_len = normalise(body, len, boundary, normal);
    apr_uint64_t bytes;

    assert_int_equal(idem_digest_of(NULL, idem_blob_of(normal, normal_len), expected), APR_SUCCESS);
    assert_int_equal(idem_bodyhash_peek(hash, got, &bytes), APR_SUCCESS);
    assert_int_equal(bytes, normal_len);
    assert_memory_equal(got, expected, sizeof got);
}

static idem_bodyhash *hash_of(apr_pool_t *pool, const char *boundary)
{
    idem_bodyhash *hash;

    assert_int_equal(idem_bodyhash_create(&hash, NULL, boundary, pool), APR_SUCCESS);
    return hash;
}

/* At once; then byte by byte, looked at after each. */
static void assert_body(apr_pool_t *pool, const void *body, size_t len, const char *boundary)
{
    unit_area *area = unit_area_create(pool, len);
    idem_bodyhash *hash = hash_of(pool, boundary);

    idem_bodyhash_feed(hash, unit_place(area, body, len).data, len);
    assert_like_reference(hash, body, len, boundary);
    hash = hash_of(pool, boundary);
    assert_like_reference(hash, body, 0, boundary);
    for (size_t i = 0; i < len; i++) {
        idem_bodyhash_feed(hash, unit_place(area, (const char *)body + i, 1).data, 1);
        assert_like_reference(hash, body, i + 1, boundary);
    }
}

/* ---- hashing ----------------------------------------------------------------------------------------------------- */

static void a_raw_body_is_hashed_as_it_is(void **state)
{
    assert_body(*state, "", 0, NULL);
    assert_body(*state, "\r\n--x\0y", 8, NULL);
    assert_body(*state, "\r\n--x\0y", 8, "");
}

static void delimiters_lose_their_boundary(void **state)
{
    static const char *const bodies[] = {
        "--AB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--AB\r\n\r\n2\r\n--AB--\r\n",
        "preamble\r\n--AB\r\n\r\nx\r\n--AB--\r\nepilogue",
        "--AB",
        "\r\n--AB",
        "\r\n--AB--AB\r\n--AB\r\n--AB",
        "--AB--AB",
        "-AB",
        "x--AB",
        "\n--AB",
        "\r--AB",
        "\r\n--A",
        "\r\n--AA\r\n--AB",
        "\r\r\n--AB",
        "\r\n\r\n--AB",
        "\r\n-\r\n--AB",
        "\r\n--\r\n--AB",
        "\r\n--A\r\r\n--AB",
        "-\r\n--AB",
        "--A\r\n--AB",
        "--\r\n--AB",
        "--ABC\r\n--ABAB",
        "\r\n---AB\r\n--AB",
        "--AB\r\n\r\n1\r\n--\r\n\r\n2\r\n--AB--",
        "--AB \t\r\nx\r\n--AB-- \r\ny",
        "--AB \r\r\n--AB-\r\n--AB\r--AB---\r\n--AB -- \r\n",
        "--ABC\r\n--AB C\r\n--AB\rC\r\n--AB--C\r\n--AB-- C\r\n--AB--\rC",
        "--AB\n--AB\r\n",
    };

    for (size_t i = 0; i < UNIT_COUNT(bodies); i++)
        assert_body(*state, bodies[i], strlen(bodies[i]), "AB");
}

/* Small alphabets make near misses the rule. */
static void random_bodies_hash_like_the_reference(void **state)
{
    static const char letters[] = "\r\n--AB", boundary_letters[] = "AB-\n";
    uint32_t seed = 4711;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (int round = 0; round < 1500; round++, apr_pool_clear(pool)) {
        char boundary[5] = "";
        unsigned char body[400];
        size_t len = 0, wanted = unit_random(&seed) % 60;

        for (size_t i = 0, n = 1 + unit_random(&seed) % 4; i < n; i++)
            boundary[i] = boundary_letters[unit_random(&seed) % 4];
        while (len < wanted) {
            const char *piece = apr_psprintf(pool, "%c", letters[unit_random(&seed) % 6]);
            if (unit_random(&seed) % 4 == 0)
                piece = apr_psprintf(pool, "\r\n--%.*s", (int)(unit_random(&seed) % 6), boundary);
            memcpy(body + len, piece, strlen(piece));
            len += strlen(piece);
        }
        assert_body(pool, body, len, boundary);
    }
}

static void any_splits_give_the_same(void **state)
{
    static const char body[] =
        "--AB\r\n\r\none\r\n--A\r\n--AB\r\n\r\n\r\n--AA\r\n--AB--\r\n\r\n--ABAB\r\n-\r\n--\r\r\n--AB";
    unit_area *area = unit_area_create(*state, sizeof body);
    uint32_t seed = 99;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (int round = 0; round < 3000; round++, apr_pool_clear(pool)) {
        idem_bodyhash *hash = hash_of(pool, "AB");
        size_t len = sizeof body - 1, most = 1 + unit_random(&seed) % len;

        for (size_t at = 0, piece; at < len; at += piece) {
            piece = unit_random(&seed) % (most + 1);
            piece = piece > len - at ? len - at : piece;
            idem_bodyhash_feed(hash, unit_place(area, body + at, piece).data, piece);
        }
        assert_like_reference(hash, (const unsigned char *)body, len, "AB");
    }
}

static void body_digest(apr_pool_t *pool, const char *body, const char *boundary, unsigned char *out)
{
    idem_bodyhash *hash = hash_of(pool, boundary);
    apr_uint64_t bytes;

    idem_bodyhash_feed(hash, body, strlen(body));
    assert_int_equal(idem_bodyhash_peek(hash, out, &bytes), APR_SUCCESS);
}

static void another_boundary_is_the_same_body(void **state)
{
    unsigned char one[IDEM_DIGEST_LEN], two[IDEM_DIGEST_LEN], three[IDEM_DIGEST_LEN];

    body_digest(*state, "--X1\r\n\r\nv\r\n--X1--\r\n", "X1", one);
    body_digest(*state, "--other\r\n\r\nv\r\n--other--\r\n", "other", two);
    body_digest(*state, "--other\r\n\r\nw\r\n--other--\r\n", "other", three);
    assert_memory_equal(one, two, sizeof one);
    assert_memory_not_equal(one, three, sizeof one);
}

/* Not in one of these pairs is the text of a field another's delimiter, a boundary a longer one's beginning, or a mark
 * its like. */
static void bodies_that_differ_in_more_than_the_boundary_have_other_digests(void **state)
{
    static const struct {
        const char *one, *boundary, *two, *other;
    } pairs[] = {
        {"--AB\r\n\r\n1\r\n--\r\n\r\n2\r\n--AB--\r\n", "AB", "--AB\r\n\r\n1\r\n--AB\r\n\r\n2\r\n--AB--\r\n", "AB"},
        {"--AB\r\n\r\n1\r\n--\r\n\r\n2\r\n--AB--\r\n", "AB", "--CD\r\n\r\n1\r\n--CD\r\n\r\n2\r\n--CD--\r\n", "CD"},
        {"--AB\r\n\r\n1\r\n----\r\n", "AB", "--AB\r\n\r\n1\r\n--AB--\r\n", "AB"},
        {"--\r\n\r\n1\r\n--AB--\r\n", "AB", "--AB\r\n\r\n1\r\n--AB--\r\n", "AB"},
        {"--AB\r\n\r\n1\r\n--ABx\r\n--AB--\r\n", "AB", "--CD\r\n\r\n1\r\n--CDx\r\n--CD--\r\n", "CD"},
        {"--AB\r\n\r\n1\r\n--AB x\r\n--AB--\r\n", "AB", "--ABC\r\n\r\n1\r\n--ABC x\r\n--ABC--\r\n", "ABC"},
        {"--AB\r\n\r\n1\r\n--AB C\r\n", "AB", "--ABC\r\n\r\n1\r\n--ABC \r\n", "ABC"},
        {"--AB\r\n\r\n1\r\n--PD\r\n--AB--\r\n", "AB", "--AB\r\n\r\n1\r\n--AB\r\n\r\n--AB--\r\n", "AB"},
        {"--AB\r\n\r\n1\r\n--L\r\n--AB--\r\n", "AB", "--AB\r\n\r\n1\r\n--\r\n--AB--\r\n", "AB"},
        {"--AB\r\n\r\n1\n--AB\n\r\n--AB--\r\n", "AB", "--CD\r\n\r\n1\n--CD\n\r\n--CD--\r\n", "CD"},
        {"--AB \r\n\r\n1\r\n--AB--\r\n", "AB", "--AB\r\n\r\n1\r\n--AB--\r\n", "AB"},
    };

    for (size_t i = 0; i < UNIT_COUNT(pairs); i++) {
        unsigned char one[IDEM_DIGEST_LEN], two[IDEM_DIGEST_LEN];

        body_digest(*state, pairs[i].one, pairs[i].boundary, one);
        body_digest(*state, pairs[i].two, pairs[i].other, two);
        assert_memory_not_equal(one, two, sizeof one);
    }
}

static int passes_by(idem_bodyhash *hash, const char *body, const unsigned char *digest, apr_uint64_t bytes)
{
    for (;; body++) {
        unsigned char got[IDEM_DIGEST_LEN];
        apr_uint64_t now;

        assert_int_equal(idem_bodyhash_peek(hash, got, &now), APR_SUCCESS);
        if (now == bytes && !memcmp(got, digest, sizeof got))
            return 1;
        if (!*body)
            return 0;
        idem_bodyhash_feed(hash, body, 1);
    }
}

static void a_body_cut_anywhere_is_the_beginning_of_one_with_another_boundary(void **state)
{
    static const char body[] = "--AB\r\n\r\nv\r\n--AB \r\nA\r\n--A\r\n--AB--\r\n";

    for (size_t cut = 0; cut < sizeof body; cut++) {
        idem_bodyhash *hash = hash_of(*state, "AB");
        unsigned char digest[IDEM_DIGEST_LEN];
        apr_uint64_t bytes;

        idem_bodyhash_feed(hash, body, cut);
        assert_int_equal(idem_bodyhash_peek_cut(hash, digest, &bytes), APR_SUCCESS);
        assert_true(passes_by(hash_of(*state, "AB"), body, digest, bytes));
        assert_true(passes_by(hash_of(*state, "x"), "--x\r\n\r\nv\r\n--x \r\nA\r\n--A\r\n--x--\r\n", digest, bytes));
    }
}

static void the_longest_boundary_fits_and_no_longer_one(void **state)
{
    char boundary[IDEM_BOUNDARY_MAX + 2];
    idem_bodyhash *hash;
    const char *body;

    memset(boundary, 'b', sizeof boundary);
    boundary[IDEM_BOUNDARY_MAX] = '\0';
    body = apr_psprintf(*state, "--%s\r\n--%.69s\r\n--%s", boundary, boundary, boundary);
    assert_body(*state, body, strlen(body), boundary);
    boundary[IDEM_BOUNDARY_MAX] = 'b';
    boundary[IDEM_BOUNDARY_MAX + 1] = '\0';
    assert_int_equal(idem_bodyhash_create(&hash, NULL, boundary, *state), APR_EINVAL);
    assert_int_equal(idem_bodyhash_create(&hash, NULL, "a\rb", *state), APR_EINVAL);
}

static void a_secret_changes_the_digest(void **state)
{
    unsigned char plain[IDEM_DIGEST_LEN], keyed[IDEM_DIGEST_LEN], expected[IDEM_DIGEST_LEN];
    idem_blob secret = idem_blob_str("Jefe");
    idem_bodyhash *hash;
    apr_uint64_t bytes;

    body_digest(*state, "--x", "x", plain);
    assert_int_equal(idem_bodyhash_create(&hash, &secret, "x", *state), APR_SUCCESS);
    idem_bodyhash_feed(hash, "--x", 3);
    assert_int_equal(idem_bodyhash_peek(hash, keyed, &bytes), APR_SUCCESS);
    assert_int_equal(idem_digest_of(&secret, idem_blob_str("--P"), expected), APR_SUCCESS);
    assert_memory_equal(keyed, expected, sizeof keyed);
    assert_memory_not_equal(keyed, plain, sizeof keyed);
}

/* ---- the Content-Type -------------------------------------------------------------------------------------------- */

#define SEVENTY "0123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
    const char *type, *boundary, *stripped; /* stripped NULL: the whole value */
} types[] = {
    {"multipart/form-data; boundary=AB", "AB", "multipart/form-data"},
    {"multipart/form-data;boundary=AB", "AB", "multipart/form-data"},
    {"Multipart/Form-DATA; BoundarY=AB", "AB", "Multipart/Form-DATA"},
    {" multipart/form-data ;\t boundary=AB ", "AB", " multipart/form-data  "},
    {"multipart/form-data; boundary=AB; charset=utf-8", "AB", "multipart/form-data; charset=utf-8"},
    {"multipart/form-data; boundary=AB ; charset=utf-8", "AB", "multipart/form-data ; charset=utf-8"},
    {"multipart/form-data; charset=utf-8; boundary=AB", "AB", "multipart/form-data; charset=utf-8"},
    {"multipart/form-data; x=\"a;boundary=no\"; boundary=AB", "AB", "multipart/form-data; x=\"a;boundary=no\""},
    {"multipart/form-data; x=\"\\\";boundary=no\"; boundary=AB", "AB", "multipart/form-data; x=\"\\\";boundary=no\""},
    {"multipart/form-data; boundary=\"A B\"", "A B", "multipart/form-data"},
    {"multipart/form-data; boundary=\"A;B\"; x=y", "A;B", "multipart/form-data; x=y"},
    {"multipart/form-data; boundary=\"A\\\"\\\\B\"", "A\"\\B", "multipart/form-data"},
    {"multipart/form-data; boundary=\"AB", "AB", "multipart/form-data"},
    {"multipart/form-data; boundary=\"AB\\", "AB\\", "multipart/form-data"},
    {"multipart/form-data; boundary=----=_'()+,./:?", "----=_'()+,./:?", "multipart/form-data"},
    {"multipart/form-data; boundary=A; boundary=B", "A", "multipart/form-data; boundary=B"},
    {"multipart/form-data; xboundary=no; boundary=AB", "AB", "multipart/form-data; xboundary=no"},
    {"multipart/form-data;; boundary=AB", "AB", "multipart/form-data;"},
    {"multipart/form-data; boundary=" SEVENTY, SEVENTY, "multipart/form-data"},
    {"multipart/form-data; boundary=" SEVENTY "x", NULL, NULL},
    {"multipart/form-data; boundary=", NULL, NULL},
    {"multipart/form-data; boundary=\"\"", NULL, NULL},
    {"multipart/form-data; boundary=\"", NULL, NULL},
    {"multipart/form-data; boundary=; x=y", NULL, NULL},
    {"multipart/form-data; boundary=A\x01", NULL, NULL},
    {"multipart/form-data; boundary=A\xc3\xa4", NULL, NULL},
    {"multipart/form-data; boundary", NULL, NULL},
    {"multipart/form-data; bound", NULL, NULL},
    {"multipart/form-data;", NULL, NULL},
    {"multipart/form-data", NULL, NULL},
    {"multipart/mixed; boundary=AB", "AB", "multipart/mixed"},
    {"multipart/related; type=\"a/b\"; boundary=\"A B\"; start=c", "A B", "multipart/related; type=\"a/b\"; start=c"},
    {"MULTIPART/x-mixed-replace ;boundary=AB", "AB", "MULTIPART/x-mixed-replace "},
    {"multipart/; boundary=AB", NULL, NULL},
    {"multipart/ mixed; boundary=AB", NULL, NULL},
    {"xmultipart/mixed; boundary=AB", NULL, NULL},
    {"multipart/form-data, x; boundary=AB", NULL, NULL},
    {"multipart", NULL, NULL},
    {"application/json", NULL, NULL},
    {"", NULL, NULL},
};

static void the_boundary_is_found_and_taken_out(void **state)
{
    for (size_t i = 0; i < UNIT_COUNT(types); i++) {
        const char *type = unit_guarded_text(*state, types[i].type), *stripped;
        const char *boundary = idem_multipart_boundary(type, *state, &stripped);

        if (!types[i].boundary)
            assert_null(boundary);
        else if (!boundary)
            fail_msg("no boundary found in %s", type);
        else
            assert_string_equal(boundary, types[i].boundary);
        assert_string_equal(stripped, types[i].stripped ? types[i].stripped : type);
    }
}

static void no_content_type_has_no_boundary(void **state)
{
    const char *stripped = "";

    assert_null(idem_multipart_boundary(NULL, *state, &stripped));
    assert_null(stripped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_raw_body_is_hashed_as_it_is),
        UNIT(delimiters_lose_their_boundary),
        UNIT(random_bodies_hash_like_the_reference),
        UNIT(any_splits_give_the_same),
        UNIT(another_boundary_is_the_same_body),
        UNIT(bodies_that_differ_in_more_than_the_boundary_have_other_digests),
        UNIT(the_longest_boundary_fits_and_no_longer_one),
        UNIT(a_body_cut_anywhere_is_the_beginning_of_one_with_another_boundary),
        UNIT(a_secret_changes_the_digest),
        UNIT(the_boundary_is_found_and_taken_out),
        UNIT(no_content_type_has_no_boundary),
    };

    return cmocka_run_group_tests_name("bodyhash", tests, NULL, NULL);
}
