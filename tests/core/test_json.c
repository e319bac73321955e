/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_json.c - what stands at a pointer, and the canonical form; each text ends where memory cannot be read.
 */
#include "unit.h"

#include <apr_strings.h>

#include "canonical.h"
#include "grown.h"

static idem_pointer pointer_of(apr_pool_t *pool, const char *text)
{
    idem_pointer pointer;

    assert_null(idem_pointer_parse(text, pool, &pointer));
    return pointer;
}

static void pointers_are_read_or_refused(void **state)
{
    idem_pointer pointer = pointer_of(*state, "/a~1b/~0/~01//0");

    assert_int_equal(pointer.count, 5);
    assert_string_equal(pointer.tokens[0], "a/b");
    assert_string_equal(pointer.tokens[1], "~");
    assert_string_equal(pointer.tokens[2], "~1");
    assert_string_equal(pointer.tokens[3], "");
    assert_non_null(idem_pointer_parse("", *state, &pointer));
    assert_non_null(idem_pointer_parse("a", *state, &pointer));
    assert_non_null(idem_pointer_parse("/a~2", *state, &pointer));
    assert_non_null(idem_pointer_parse("/a~", *state, &pointer));
}

#ifdef IDEM_WITH_JANSSON

static idem_json *json_of(apr_pool_t *pool, const char *text)
{
    idem_json *json = NULL;
    const char *why = NULL;

    assert_int_equal(idem_json_read(&json, unit_guarded(pool, text, strlen(text)), &why), APR_SUCCESS);
    return json;
}

static const char *refusal(apr_pool_t *pool, const char *text, size_t len)
{
    idem_json *json = NULL;
    const char *why = NULL;

    assert_int_equal(idem_json_read(&json, unit_guarded(pool, text, len), &why), APR_EGENERAL);
    assert_non_null(why);
    return why;
}

static void texts_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *text, *why;
    } refused[] = {
        {"", "it ends too early"},
        {"[1", "it ends too early"},
        {"[1] 2", "text follows its end"},
        {"{\"a\":1,\"a\":1}", "an object in it has two members with the same name"},
        {"\"\xff\"", "it is not UTF-8"},
        {"1e999", "a number in it is too large"},
        {"{\"a\\u0000\":1}", "the name of a member has a NUL in it"},
        {"[NaN]", "it is not JSON"},
        {"\"\\ud800\"", "it is not JSON"},
        {"\xef\xbb\xbf[]", "it is not JSON"},
    };
    char deep[1200];

    for (size_t i = 0; i < UNIT_COUNT(refused); i++)
        if (strcmp(refusal(*state, refused[i].text, strlen(refused[i].text)), refused[i].why) != 0)
            fail_msg("%s: %s", refused[i].text, refusal(*state, refused[i].text, strlen(refused[i].text)));
    assert_string_equal(refusal(*state, "1\0", 2), "it has a NUL in it");
    memset(deep, '[', sizeof deep);
    assert_string_equal(refusal(*state, deep, sizeof deep), "it is nested too deeply");
}

static void too_many_members_are_refused(void **state)
{
    size_t len = (size_t)IDEM_JSON_MEMORY / 256 * 2;
    char *text = malloc(len);
    idem_json *json;
    const char *why = NULL;

    (void)state;
    for (size_t i = 0; i + 1 < len; i += 2)
        memcpy(text + i, "{}", 2);
    assert_int_equal(idem_json_read(&json, idem_blob_of(text, len), &why), APR_EGENERAL);
    assert_string_equal(why, "it has too many members and elements");
    free(text);
}

static void expect_text(apr_pool_t *pool, const idem_json *json, const char *at, const char *expected)
{
    idem_pointer pointer = pointer_of(pool, at);
    idem_blob text = {NULL, 0};

    assert_int_equal(idem_json_text(json, &pointer, pool, &text), IDEM_JSON_TEXT);
    assert_int_equal(text.len, strlen(expected));
    assert_string_equal((const char *)text.data, expected);
}

static void values_are_found(void **state)
{
    static const char *const absent[] = {"/x", "/a/2", "/a/-", "/a/01", "/a/", "/s/0", "/null", "/a/9999999999"},
                             *const unfit[] = {"/true", "/o", "/a"};
    idem_json *json = json_of(*state, "{\"s\":\"t\",\"i\":9007199254740993,\"r\":1.50,\"a\":[\"e\",-1e2],\"true\":true,"
                                      "\"null\":null,\"o\":{\"\":\"empty\"}}");

    expect_text(*state, json, "/s", "t");
    expect_text(*state, json, "/i", "9007199254740993");
    expect_text(*state, json, "/a/0", "e");
    expect_text(*state, json, "/o/", "empty");
    for (size_t i = 0; i < UNIT_COUNT(absent) + UNIT_COUNT(unfit); i++) {
        int is_absent = i < UNIT_COUNT(absent);
        idem_pointer pointer = pointer_of(*state, is_absent ? absent[i] : unfit[i - UNIT_COUNT(absent)]);
        idem_blob text;

        assert_int_equal(idem_json_text(json, &pointer, *state, &text), is_absent ? IDEM_JSON_ABSENT : IDEM_JSON_UNFIT);
    }
    idem_json_free(json);
    idem_json_free(NULL);
}

/* Where a text's number is not exact, its double is not told. */
static void doubles_beside_an_inexact_number_are_no_values(void **state)
{
    idem_json *exact = json_of(*state, "[1.50,-1e2]"), *not = json_of(*state, "[1.50,0.1000000000000000055,7]"),
              *big = json_of(*state, "[12345678901234567890123]");
    idem_pointer first = pointer_of(*state, "/0");
    idem_blob text;

    expect_text(*state, exact, "/0", "1.5");
    expect_text(*state, exact, "/1", "-100");
    expect_text(*state, not, "/2", "7");
    assert_int_equal(idem_json_text(not, &first, *state, &text), IDEM_JSON_UNFIT);
    assert_int_equal(idem_json_text(big, &first, *state, &text), IDEM_JSON_UNFIT);
    idem_json_free(exact);
    idem_json_free(not );
    idem_json_free(big);
}

static void expect_form(apr_pool_t *pool, const char *text, const char *at, const char *left_out, const char *expected)
{
    apr_array_header_t *without = apr_array_make(pool, 1, sizeof(idem_pointer));
    idem_json *json = json_of(pool, text);
    grown w = {NULL, 0};
    idem_pointer pointer;

    if (at)
        pointer = pointer_of(pool, at);
    if (left_out)
        APR_ARRAY_PUSH(without, idem_pointer) = pointer_of(pool, left_out);
    assert_int_equal(idem_json_write(json, at ? &pointer : NULL, left_out ? without : NULL, grown_append, &w),
                     APR_SUCCESS);
    assert_string_equal(w.data, expected);
    free(w.data);
    idem_json_free(json);
}

static void forms_are_canonical(void **state)
{
    expect_form(*state, " { } ", NULL, NULL, "{}");
    expect_form(*state, "[true,false,null,-0,1e2,\"\\/\\u0008\\t\\n\\f\\r\\u001F\\\"\\\\\\u0000\"]", NULL, NULL,
                "[true,false,null,0,100,\"/\\b\\t\\n\\f\\r\\u001f\\\"\\\\\\u0000\"]");
    expect_form(*state, "{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u20ac\":3,\"b\":4,\"a\":5,\"\":6,\"ab\":7}", NULL,
                NULL, "{\"\":6,\"a\":5,\"ab\":7,\"b\":4,\"\xe2\x82\xac\":3,\"\xf0\x9f\x98\x80\":2,\"\xef\xac\xb3\":1}");
    expect_form(*state, "{\"a\":[1,{\"c\":1,\"b\":2}]}", "/a/1", NULL, "{\"b\":2,\"c\":1}");
    expect_form(*state, "{\"a\":1,\"b\":{\"c\":1,\"d\":[1,2,3]}}", NULL, "/b/d/1",
                "{\"a\":1,\"b\":{\"c\":1,\"d\":[1,3]}}");
    expect_form(*state, "{\"a\":1,\"b\":{\"c\":1}}", NULL, "/b/c", "{\"a\":1,\"b\":{}}");
    expect_form(*state, "{\"a\":1,\"b\":{\"c\":1}}", NULL, "/a", "{\"b\":{\"c\":1}}");
    expect_form(*state, "9007199254740994", NULL, NULL, "9007199254740994");
}

static void long_strings_are_written_whole(void **state)
{
    char text[10003];

    memset(text, 'x', sizeof text);
    text[0] = text[10001] = '"';
    text[10002] = '\0';
    expect_form(*state, text, NULL, NULL, text);
}

static void what_cannot_be_written_is_said(void **state)
{
    static const char *const inexact[] = {"9007199254740993", "[0.1000000000000000055]", "{\"a\":-9007199254740993}"};
    idem_json *json = json_of(*state, "{}");
    idem_pointer nowhere = pointer_of(*state, "/x");
    grown w = {NULL, 0};

    assert_int_equal(idem_json_write(json, &nowhere, NULL, grown_append, &w), APR_NOTFOUND);
    idem_json_free(json);
    for (size_t i = 0; i < UNIT_COUNT(inexact); i++) {
        json = json_of(*state, inexact[i]);
        assert_int_equal(idem_json_write(json, NULL, NULL, grown_append, &w), APR_EGENERAL);
        idem_json_free(json);
    }
    free(w.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(pointers_are_read_or_refused),
                                       UNIT(texts_are_refused_with_a_reason),
                                       UNIT(too_many_members_are_refused),
                                       UNIT(values_are_found),
                                       UNIT(doubles_beside_an_inexact_number_are_no_values),
                                       UNIT(forms_are_canonical),
                                       UNIT(long_strings_are_written_whole),
                                       UNIT(what_cannot_be_written_is_said)};

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

#else

static void nothing_is_read_without_jansson(void **state)
{
    idem_pointer pointer = pointer_of(*state, "/a");
    idem_json *json;
    const char *why = NULL;
    idem_blob text;

    assert_int_equal(idem_json_read(&json, idem_blob_of("{}", 2), &why), APR_EGENERAL);
    assert_non_null(why);
    assert_int_equal(idem_json_text(json, &pointer, *state, &text), IDEM_JSON_UNFIT);
    assert_int_equal(idem_json_write(json, NULL, NULL, NULL, NULL), APR_EGENERAL);
    idem_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(pointers_are_read_or_refused), UNIT(nothing_is_read_without_jansson)};

    return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}

#endif
