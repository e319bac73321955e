/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_text.c - text inside of JSON, whatever it holds, and times.
 */
#include "unit.h"

#include "text.h"

/* What JSON has to escape, it escapes; bytes that are no UTF-8 are U+FFFD each. */
static void text_cannot_end_its_string(void **state)
{
    static const struct {
        const char *text, *wanted;
    } rows[] = {
        {"", ""},
        {"a/b", "a/b"},
        {"\"", "\\u0022"},
        {"\\", "\\u005c"},
        {"\n\t\x01\x1f\x7f", "\\u000a\\u0009\\u0001\\u001f\\u007f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff", "\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82\"", "\xef\xbf\xbd\xef\xbf\xbd\\u0022"},
    };

    for (size_t i = 0; i < UNIT_COUNT(rows); i++)
        assert_string_equal(idem_json_escaped(rows[i].text, *state), rows[i].wanted);
}

static void times_are_of_rfc_3339(void **state)
{
    assert_string_equal(idem_time_text(0, *state), "1970-01-01T00:00:00.000Z");
    assert_string_equal(idem_time_text(APR_INT64_C(1709210096789999), *state), "2024-02-29T12:34:56.789Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(text_cannot_end_its_string),
        UNIT(times_are_of_rfc_3339),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
