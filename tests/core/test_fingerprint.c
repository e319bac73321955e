/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_fingerprint.c - two prints are the same exactly when the requests are, and say which part differs when they are
 * not.
 */
#include "unit.h"

#include <apr_strings.h>

#include "fingerprint.h"

static int brief = 1; /* the form of all prints; main() runs all tests with both */

static idem_part_value part(const char *name, const char *value)
{
    idem_part_value p = {name, idem_blob_str(value)};
    return p;
}

static idem_print print_of(const char *secret, const idem_part_value *parts, int count)
{
    idem_blob key = idem_blob_str(secret);
    idem_print print;

    assert_int_equal(idem_print_make(&key, parts, count, brief, &print), APR_SUCCESS);
    assert_int_equal(idem_print_tell_parts(&key, parts, &print), APR_SUCCESS);
    assert_int_equal(print.body_flags & IDEM_PRINT_BRIEF, brief ? IDEM_PRINT_BRIEF : 0);
    print.body_flags &= ~(unsigned)IDEM_PRINT_BRIEF; /* two of one form: it says nothing */
    return print;
}

/* method, query and a header of a request; NULL for one that is absent. */
static idem_print simple(const char *method, const char *query, const char *header)
{
    const idem_part_value parts[] = {part("method", method), part("query", query), part("header:x", header)};

    return print_of(NULL, parts, 3);
}

static void assert_rest(const idem_print *kept, const idem_print *mine, idem_likeness expected,
                        unsigned expected_differ)
{
    unsigned differ = 0xffff;

    assert_int_equal(idem_print_compare_rest(kept, mine, &differ), expected);
    assert_int_equal(differ, expected_differ);
}

static void equal_requests_are_the_same(void **state)
{
    idem_print one = simple("POST", NULL, "a"), two = simple("POST", NULL, "a");

    (void)state;
    assert_memory_equal(&one, &two, sizeof one);
    assert_rest(&one, &two, IDEM_LIKENESS_SAME, 0);
    assert_int_equal(one.parts, 3);
    assert_int_equal(one.body_flags, 0);
    assert_true(one.declared == IDEM_LENGTH_UNKNOWN);
}

static void the_differing_parts_are_named(void **state)
{
    idem_print kept = simple("POST", "q", "a"), mine;

    (void)state;
    mine = simple("PUT", "q", "a");
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 0);
    mine = simple("POST", "r", "b");
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 1 | 1u << 2);
    mine = simple("POST", "q", NULL);
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 2);
    mine = simple("POST", "q", "");
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 2);
    mine = simple("POST", "qa", "");
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 1 | 1u << 2);
    kept = simple("POST", "q", NULL);
    mine = simple("POST", "q", "");
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 1u << 2);
}

/* The verdict is the long digest's: short ones that meet by chance hide no difference. */
static void the_long_digest_decides(void **state)
{
    idem_print kept = simple("POST", "q", "a"), mine = simple("POST", "q", "b");

    (void)state;
    memcpy(mine.part, kept.part, sizeof mine.part);
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 0);
}

static void other_parts_cannot_be_compared(void **state)
{
    const idem_part_value parts[] = {part("method", "POST"), part("query", "q"), part("header:y", "a")};
    const idem_part_value swapped[] = {part("query", "q"), part("method", "POST"), part("header:x", "a")};
    idem_print kept = simple("POST", "q", "a"), mine;

    (void)state;
    mine = print_of(NULL, parts, 3);
    assert_rest(&kept, &mine, IDEM_LIKENESS_INCOMPARABLE, 0);
    mine = print_of(NULL, parts, 2);
    assert_rest(&kept, &mine, IDEM_LIKENESS_INCOMPARABLE, 0);
    mine = print_of(NULL, swapped, 3);
    assert_rest(&kept, &mine, IDEM_LIKENESS_INCOMPARABLE, 0);
    kept.parts = mine.parts = IDEM_PARTS_MAX + 1;
    assert_rest(&kept, &mine, IDEM_LIKENESS_INCOMPARABLE, 0);
}

static void another_secret_cannot_be_compared(void **state)
{
    const idem_part_value parts[] = {part("method", "POST")};
    idem_print one = print_of("s", parts, 1), two = print_of("t", parts, 1), none = print_of(NULL, parts, 1);

    (void)state;
    assert_rest(&one, &two, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_rest(&none, &two, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_memory_not_equal(one.part[0], two.part[0], IDEM_PART_DIGEST_LEN);
}

static void the_body_is_a_part_without_value(void **state)
{
    static const unsigned char zeros[IDEM_DIGEST_LEN];
    const idem_part_value with[] = {part("method", "POST"), part("body", NULL), part("path", "/")};
    const idem_part_value same[] = {part("method", "POST"), part("body", "not looked at"), part("path", "/")};
    const idem_part_value without[] = {part("method", "POST"), part("path", "/")};
    idem_print one = print_of(NULL, with, 3), two = print_of(NULL, same, 3), three = print_of(NULL, without, 2);

    (void)state;
    assert_memory_equal(&one, &two, sizeof one);
    assert_int_equal(one.body_flags, IDEM_BODY_USED);
    assert_memory_equal(one.part[1], zeros, IDEM_PART_DIGEST_LEN);
    assert_memory_equal(one.part[3], zeros, IDEM_PART_DIGEST_LEN);
    assert_memory_equal(one.body, zeros, IDEM_DIGEST_LEN);
    assert_rest(&one, &three, IDEM_LIKENESS_INCOMPARABLE, 0);
}

static void all_parts_fit_and_no_more(void **state)
{
    idem_part_value parts[IDEM_PARTS_MAX + 1];
    idem_print print, other;

    for (int i = 0; i <= IDEM_PARTS_MAX; i++)
        parts[i] = part(apr_psprintf(*state, "env:%d", i), "v");
    assert_int_equal(idem_print_make(NULL, parts, IDEM_PARTS_MAX + 1, brief, &print), APR_EINVAL);
    assert_int_equal(idem_print_make(NULL, parts, -1, brief, &print), APR_EINVAL);
    print = print_of(NULL, parts, IDEM_PARTS_MAX);
    parts[IDEM_PARTS_MAX - 1] = part("env:15", "w");
    other = print_of(NULL, parts, IDEM_PARTS_MAX);
    assert_rest(&print, &other, IDEM_LIKENESS_DIFFERENT, 1u << (IDEM_PARTS_MAX - 1));
    print = print_of(NULL, parts, 0);
    assert_rest(&print, &print, IDEM_LIKENESS_SAME, 0);
}

/* A print that changes with an upgrade refuses every retry: these were computed apart, from the documented layout. */
static void prints_stay_what_they_are(void **state)
{
    idem_print print = simple("POST", NULL, "a");

    (void)state;
    unit_assert_hex(print.made_of, sizeof print.made_of, "ffe7ffb8a6af288c");
    unit_assert_hex(print.rest, sizeof print.rest,
                    brief ? "d7fbd155c0ddc79a98d8de1b917bd55e1bdbf6417f18548c8650a1ec36fd2ebc"
                          : "ac5acdfe339d40db68cd51871a563ca8394ded908893c3e52a41f0b2029f209b");
    unit_assert_hex(print.part[0], sizeof print.part[0], brief ? "9e451dad20189ae9" : "1fd449ba2f700acb");
    unit_assert_hex(print.part[1], sizeof print.part[1], brief ? "0000000000000000" : "c053a32f99dc2ff7");
}

static void prints_of_two_forms_cannot_be_compared(void **state)
{
    idem_print one = simple("POST", "q", "a"), other = one;

    (void)state;
    other.body_flags |= IDEM_PRINT_BRIEF;
    assert_rest(&one, &other, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_rest(&other, &one, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_rest(&other, &other, IDEM_LIKENESS_SAME, 0);
}

/* Names are remembered by the thread that hashed them last: other ones, and very long ones, are others. */
static void other_names_make_another_print(void **state)
{
    char *longer = apr_pcalloc(*state, 3000);
    idem_part_value parts[] = {part("method", "POST"), part("cookie:a", "1")};
    idem_print one = print_of(NULL, parts, 2), two, three, again;

    memset(longer, 'n', 2000);
    parts[1].name = longer;
    two = print_of(NULL, parts, 2);
    longer[1999] = 'm';
    three = print_of(NULL, parts, 2);
    parts[1].name = "cookie:a";
    again = print_of(NULL, parts, 2);
    assert_rest(&one, &two, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_rest(&two, &three, IDEM_LIKENESS_INCOMPARABLE, 0);
    assert_rest(&one, &again, IDEM_LIKENESS_SAME, 0);
}

/* ---- bodies ------------------------------------------------------------------------------------------------------ */

#define UKW (IDEM_BODY_USED | IDEM_BODY_KNOWN | IDEM_BODY_WHOLE)
#define UK (IDEM_BODY_USED | IDEM_BODY_KNOWN)
#define U IDEM_BODY_USED
#define MP (IDEM_BODY_MARKED | IDEM_BODY_PARTED)
#define NO_LENGTH IDEM_LENGTH_UNKNOWN

typedef struct body {
    unsigned flags;
    apr_uint64_t hashed, declared;
    char digest;
} body;

static const struct {
    body kept, mine;
    idem_likeness expected;
} bodies[] = {
    /* not used, or on one side only, or not known */
    {{0, 0, 0, 0}, {0, 0, 9, 0}, IDEM_LIKENESS_SAME},
    {{U, 5, 5, 'a'}, {0, 5, 5, 'a'}, IDEM_LIKENESS_INCOMPARABLE},
    {{0, 5, 5, 'a'}, {UKW, 5, 5, 'a'}, IDEM_LIKENESS_INCOMPARABLE},
    {{U, 5, 5, 'a'}, {UKW, 5, 5, 'a'}, IDEM_LIKENESS_INCOMPARABLE},
    {{UKW, 5, 5, 'a'}, {U, 5, 5, 'a'}, IDEM_LIKENESS_INCOMPARABLE},
    /* kept whole: the declared length may be another where a boundary is left out */
    {{UKW, 5, 5, 'a'}, {UKW, 5, 5, 'a'}, IDEM_LIKENESS_SAME},
    {{UKW, 5, 5, 'a'}, {UKW, 5, 9, 'a'}, IDEM_LIKENESS_SAME},
    {{UKW, 5, 5, 'a'}, {UKW, 5, NO_LENGTH, 'a'}, IDEM_LIKENESS_SAME},
    {{UKW, 0, 0, 'a'}, {UKW, 0, 0, 'a'}, IDEM_LIKENESS_SAME},
    {{UKW, 5, 5, 'a'}, {UKW, 5, 5, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UKW, 6, 6, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UKW, 4, 4, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UK, 5, 9, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UK, 6, 9, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UK, 4, 5, 'b'}, IDEM_LIKENESS_INCOMPARABLE},
    /* kept in part */
    {{UK, 5, 9, 'a'}, {UK, 5, 9, 'a'}, IDEM_LIKENESS_SAME},
    {{UK, 5, 5, 'a'}, {UKW, 5, 5, 'a'}, IDEM_LIKENESS_SAME},
    {{UK, 5, NO_LENGTH, 'a'}, {UK, 5, NO_LENGTH, 'a'}, IDEM_LIKENESS_SAME},
    {{UK, 5, 9, 'a'}, {UK, 5, 9, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, 9, 'a'}, {UK, 5, 8, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, 9, 'a'}, {UK, 5, NO_LENGTH, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, 9, 'a'}, {UK, 6, 8, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, NO_LENGTH, 'a'}, {UKW, 4, NO_LENGTH, 'b'}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, 9, 'a'}, {UK, 4, 9, 'b'}, IDEM_LIKENESS_INCOMPARABLE},
    {{UK, 5, 9, 'a'}, {UK, 6, 9, 'b'}, IDEM_LIKENESS_INCOMPARABLE},
    {{UK, 5, NO_LENGTH, 'a'}, {UKW, 6, NO_LENGTH, 'b'}, IDEM_LIKENESS_INCOMPARABLE},
    /* nothing of mine was read: its declared length may be enough */
    {{UKW, 5, 5, 'a'}, {U, 0, 9, 0}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, NO_LENGTH, 'a'}, {U, 0, 9, 0}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {U, 0, NO_LENGTH, 0}, IDEM_LIKENESS_INCOMPARABLE},
    {{UK, 5, 9, 'a'}, {U, 0, 8, 0}, IDEM_LIKENESS_DIFFERENT},
    {{UK, 5, 9, 'a'}, {U, 0, 9, 0}, IDEM_LIKENESS_INCOMPARABLE},
    {{U, 5, 9, 'a'}, {U, 0, 8, 0}, IDEM_LIKENESS_INCOMPARABLE},
    /* a multipart body and one that is not are two, whatever their digests */
    {{UKW | MP, 5, 5, 'a'}, {UKW | MP, 5, 5, 'a'}, IDEM_LIKENESS_SAME},
    {{UKW | MP, 5, 5, 'a'}, {UKW, 5, 5, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UKW | MP, 5, 5, 'a'}, IDEM_LIKENESS_DIFFERENT},
    {{UKW, 5, 5, 'a'}, {UKW | IDEM_BODY_MARKED, 5, 5, 'a'}, IDEM_LIKENESS_SAME},
};

static idem_print print_with(const body *b)
{
    idem_print print = simple("POST", NULL, NULL);

    print.body_flags = b->flags;
    print.hashed = b->hashed;
    print.declared = b->declared;
    memset(print.body, b->digest, sizeof print.body);
    return print;
}

static void bodies_are_compared_over_what_is_known(void **state)
{
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(bodies); i++) {
        idem_print kept = print_with(&bodies[i].kept), mine = print_with(&bodies[i].mine);
        idem_likeness got = idem_print_compare_body(&kept, &mine);

        if (got != bodies[i].expected)
            fail_msg("row %d: %d, expected %d", (int)i, got, bodies[i].expected);
    }
}

/* Until delimiters were marked, other bodies than now had one digest, and types kept their boundary. */
static void a_multipart_body_of_the_version_before_cannot_be_compared(void **state)
{
    idem_print kept = simple("POST", "q", "a"), mine = simple("POST", "other", "a");

    (void)state;
    mine.body_flags = UKW | MP;
    kept.body_flags = UKW;
    assert_rest(&kept, &mine, IDEM_LIKENESS_INCOMPARABLE, 0);
    kept.body_flags |= IDEM_BODY_MARKED;
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 2);
    mine.body_flags = UKW | IDEM_BODY_MARKED;
    kept.body_flags = UKW;
    assert_rest(&kept, &mine, IDEM_LIKENESS_DIFFERENT, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(equal_requests_are_the_same),
        UNIT(the_differing_parts_are_named),
        UNIT(the_long_digest_decides),
        UNIT(other_parts_cannot_be_compared),
        UNIT(another_secret_cannot_be_compared),
        UNIT(the_body_is_a_part_without_value),
        UNIT(all_parts_fit_and_no_more),
        UNIT(prints_stay_what_they_are),
        UNIT(prints_of_two_forms_cannot_be_compared),
        UNIT(other_names_make_another_print),
        UNIT(bodies_are_compared_over_what_is_known),
        UNIT(a_multipart_body_of_the_version_before_cannot_be_compared),
    };

    int failed = cmocka_run_group_tests_name("fingerprint", tests, NULL, NULL);

    brief = 0;
    return failed + cmocka_run_group_tests_name("fingerprint of earlier versions", tests, NULL, NULL);
}
