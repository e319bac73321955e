/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_problem.c - the table says what the manual promises, and every document is JSON whatever was put into it.
 */
#include "unit.h"

#include <apr_strings.h>

#include "problem.h"

static const struct {
    idem_problem problem;
    const char *name;
    int status, retry_after;
} promised[] = {
    {IDEM_PROBLEM_KEY_MISSING, "key-missing", 400, 0},
    {IDEM_PROBLEM_KEY_INVALID, "key-invalid", 400, 0},
    {IDEM_PROBLEM_IN_PROGRESS, "in-progress", 409, 1},
    {IDEM_PROBLEM_OUTCOME_UNKNOWN, "outcome-unknown", 409, 0},
    {IDEM_PROBLEM_RESPONSE_NOT_KEPT, "response-not-kept", 409, 0},
    {IDEM_PROBLEM_KEY_REUSED, "key-reused", 422, 0},
    {IDEM_PROBLEM_STORE_UNAVAILABLE, "store-unavailable", 503, 5},
    {IDEM_PROBLEM_TOO_MANY_KEYS, "too-many-keys", 429, 0},
    {IDEM_PROBLEM_BODY_TOO_LARGE, "body-too-large", 413, 0},
    {IDEM_PROBLEM_KEY_EXPIRED, "key-expired", 409, 0},
    {IDEM_PROBLEM_KEY_UNKNOWN, "key-unknown", 404, 0},
    {IDEM_PROBLEM_LOOKUP_UNAVAILABLE, "lookup-unavailable", 501, 0},
};

static void the_table_is_as_promised(void **state)
{
    (void)state;
    assert_int_equal(UNIT_COUNT(promised), IDEM_PROBLEMS - 1);
    for (size_t i = 0; i < UNIT_COUNT(promised); i++) {
        const idem_problem_info *info = idem_problem_info_of(promised[i].problem);
        assert_string_equal(info->name, promised[i].name);
        assert_int_equal(info->status, promised[i].status);
        assert_int_equal(info->retry_after, promised[i].retry_after);
        assert_true(strlen(info->title) > 0 && info->title[strlen(info->title) - 1] != '.');
        assert_true(strlen(info->detail) > 0 && info->detail[strlen(info->detail) - 1] == '.');
    }
}

static void what_is_no_problem_has_no_row(void **state)
{
    (void)state;
    assert_null(idem_problem_info_of(IDEM_PROBLEM_NONE));
    assert_null(idem_problem_info_of(IDEM_PROBLEMS));
    assert_null(idem_problem_info_of((idem_problem)-1));
}

static void a_row_is_found_by_its_whole_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(promised); i++)
        assert_int_equal(idem_problem_named(promised[i].name, strlen(promised[i].name)), promised[i].problem);
    assert_int_equal(idem_problem_named("key-reused=1", 10), IDEM_PROBLEM_KEY_REUSED);
    assert_int_equal(idem_problem_named("key-reuse", 9), IDEM_PROBLEM_NONE);
    assert_int_equal(idem_problem_named("key-reused2", 11), IDEM_PROBLEM_NONE);
    assert_int_equal(idem_problem_named("", 0), IDEM_PROBLEM_NONE);
}

static void the_type_points_to_the_help_where_there_is_one(void **state)
{
    const idem_problem_info *info = idem_problem_info_of(IDEM_PROBLEM_KEY_REUSED);

    assert_string_equal(idem_problem_type(info, NULL, *state), "urn:problem-type:idempotency:key-reused");
    assert_string_equal(idem_problem_type(info, "https://example.org/help", *state),
                        "https://example.org/help#key-reused");
}

static void the_document_holds_the_members(void **state)
{
    const idem_problem_info info = {"in-progress", 409, 1, "A title", "The table's."};

    assert_string_equal(idem_problem_json(&info, 409, NULL, NULL, *state),
                        "{\"type\":\"urn:problem-type:idempotency:in-progress\",\"title\":\"A title\",\"status\":409,"
                        "\"detail\":\"The table's.\"}\n");
    assert_string_equal(idem_problem_json(&info, 400, "https://x/?a=\"b\"", "Mine.\n", *state),
                        "{\"type\":\"https://x/?a=\\u0022b\\u0022#in-progress\",\"title\":\"A title\",\"status\":400,"
                        "\"detail\":\"Mine.\\u000a\"}\n");
}

/* ---- escaping ---------------------------------------------------------------------------------------------------- */

/* What became of text inside the document. */
static const char *escaped(apr_pool_t *pool, const char *text)
{
    const idem_problem_info info = {"n", 400, 0, "t", "d"};
    const char *json = idem_problem_json(&info, 400, NULL, unit_guarded_text(pool, text), pool);
    const char *start = strstr(json, "\"detail\":\"") + strlen("\"detail\":\"");
    size_t len = strlen(start);

    assert_true(len >= 3);
    assert_string_equal(start + len - 3, "\"}\n");
    return apr_pstrmemdup(pool, start, len - 3);
}

/* The code point at s, or -1: decoded the long way round, by value instead of by range of bytes. */
static long code_point(const unsigned char *s, size_t *len)
{
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    long point;

    *len = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (*len == 0)
        return -1;
    point = *len == 1 ? s[0] : s[0] & (0x7f >> *len);
    for (size_t i = 1; i < *len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return -1;
        point = point << 6 | (s[i] & 0x3f);
    }
    return point < least[*len] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff) ? -1 : point;
}

static int is_plain(long point)
{
    return point >= 0x20 && point != '"' && point != '\\' && point != 0x7f;
}

/* Reads the escaped text back next to the original. */
static void assert_escaped(apr_pool_t *pool, const char *text)
{
    const unsigned char *in = (const unsigned char *)text, *out = (const unsigned char *)escaped(pool, text);

    while (*in) {
        size_t len;
        long point = code_point(in, &len);

        if (point < 0) {
            assert_memory_equal(out, "\xef\xbf\xbd", 3);
            in++;
            out += 3;
        }
        else if (is_plain(point)) {
            assert_memory_equal(out, in, len);
            in += len;
            out += len;
        }
        else {
            assert_string_equal(apr_pstrmemdup(pool, (const char *)out, 6),
                                apr_psprintf(pool, "\\u%04lx", (unsigned long)point));
            in++;
            out += 6;
        }
    }
    assert_int_equal(*out, '\0');
}

static void every_pair_of_bytes_gives_valid_json(void **state)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (unsigned one = 1; one < 256; one++)
        for (unsigned two = 0; two < 256; two += one < 0x80 ? 5 : 1, apr_pool_clear(pool)) {
            char text[3] = {(char)one, (char)two, '\0'};
            assert_escaped(pool, text);
        }
}

static void the_edges_of_utf8_are_known(void **state)
{
    /* clang-format off */
    static const char *const texts[] = {
        "",                 "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", /* two, three and four bytes */
        "\xc2\x80",         "\xdf\xbf",         "\xe0\xa0\x80",     "\xef\xbf\xbf",
        "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",     "\xee\x80\x80",
        "\xc0\x80",         "\xc1\xbf",         "\xe0\x9f\xbf",     "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     "\xed\xbf\xbf",     "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", /* surrogates, too great */
        "\xe2\x82",         "\xf0\x9f\x98",     "\xc3",             "\x80",             "\xff\xfe",
        "\xe2\x82\x41",     "\xf0\x9f\x41\x41", "a\x7f\x1f\"\\/b",
    };
    /* clang-format on */

    for (size_t i = 0; i < UNIT_COUNT(texts); i++)
        assert_escaped(*state, texts[i]);
}

static void random_texts_give_valid_json(void **state)
{
    static const unsigned char likely[] = {0x41, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf,
                                           0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x22};
    uint32_t seed = 5;
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    for (int round = 0; round < 10000; round++, apr_pool_clear(pool)) {
        char text[9] = "";
        for (size_t i = 0; i < sizeof text - 1; i++)
            text[i] = (char)likely[unit_random(&seed) % sizeof likely];
        assert_escaped(pool, text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_table_is_as_promised),         UNIT(what_is_no_problem_has_no_row),
        UNIT(a_row_is_found_by_its_whole_name), UNIT(the_type_points_to_the_help_where_there_is_one),
        UNIT(the_document_holds_the_members),   UNIT(every_pair_of_bytes_gives_valid_json),
        UNIT(the_edges_of_utf8_are_known),      UNIT(random_texts_give_valid_json),
    };

    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
