/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_formcut.c - a field goes out of a body, and nothing else does.
 */
#include "unit.h"

#include <apr_strings.h>

#include "formcut.h"

#define B "----x\x01y" /* no boundary of a browser's, but bytes are compared as bytes */

typedef struct cut_case {
    const char *body, *left;
    int is_part; /* the body goes on */
} cut_case;

static void urlencoded(void **state)
{
    static const cut_case cases[] = {
        {"key=1&a=2", "a=2", 0},
        {"a=2&key=1", "a=2", 0},
        {"a=2&key=1&b=3", "a=2&b=3", 0},
        {"key=1", "", 0},
        {"key", "", 0},
        {"key&a", "a", 0},
        {"key=&a=2&key=3&key=4", "a=2", 0},
        {"%6bey=1&k%65%79=2&a=+%3D", "a=+%3D", 0},
        {"a=2&&key=1&", "a=2&&", 0},
        {"keys=1&ke=2&a=key&Key=3&key%00=1&=key", "keys=1&ke=2&a=key&Key=3&key%00=1&=key", 0},
        {"key%=1&key%6=1&%6", "key%=1&key%6=1&%6", 0},
        {"", "", 0},
        {"&", "&", 0},
        {"a=1&key=2", "a=1&key=2", 1}, /* who knows how it goes on */
        {"key=2", "key=2", 1},
        {"key=2&a", "a", 1},
    };

    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        idem_blob body = unit_guarded(*state, cases[i].body, strlen(cases[i].body));
        apr_size_t left = idem_formcut_urlencoded((char *)body.data, body.len, !cases[i].is_part, "key");

        if (left != strlen(cases[i].left) || memcmp(body.data, cases[i].left, left) != 0)
            fail_msg("%s: %.*s", cases[i].body, (int)left, (const char *)body.data);
    }
}

#define PART(name, value) "--" B "\r\nContent-Disposition: form-data; name=\"" name "\"\r\n\r\n" value "\r\n"
#define FILE_PART(name)                                                                                     \
    "--" B "\r\nContent-Disposition: form-data; name=\"" name "\"; filename=\"x\"\r\nContent-Type: a/b\r\n" \
    "\r\n1\r\n"
#define END "--" B "--\r\n"

static void multipart(void **state)
{
    static const cut_case cases[] = {
        {PART("key", "1") PART("a", "2") END, PART("a", "2") END, 0},
        {PART("a", "2") PART("key", "1") END, PART("a", "2") END, 0},
        {PART("a", "2") PART("key", "") PART("b", "\r\n--x\r\n") END, PART("a", "2") PART("b", "\r\n--x\r\n") END, 0},
        {PART("key", "1") END, END, 0},
        {PART("key", "1") PART("key", "1") PART("a", "") END "epilogue", PART("a", "") END "epilogue", 0},
        {"preamble\r\n" PART("key", "1") PART("a", "2") END, "preamble\r\n" PART("a", "2") END, 0},
        {"--" B " \t\r\ncontent-disposition:form-data ; NAME = x;name=key\r\nX: y\r\n\r\n1\r\n" END,
         "--" B " \t\r\ncontent-disposition:form-data ; NAME = x;name=key\r\nX: y\r\n\r\n1\r\n" END, 0},
        {"--" B " \t\r\nX: y\r\ncontent-disposition:form-data ; x=y ;name=key\r\n\r\n1\r\n" END, END, 0},
        {FILE_PART("key") END, FILE_PART("key") END, 0},
        {PART("keys", "1") PART("Key", "key") END, PART("keys", "1") PART("Key", "key") END, 0},
        {PART("a", "name=\"key\"") END, PART("a", "name=\"key\"") END, 0},
        {PART("key", "1"), PART("key", "1"), 0}, /* its end is not seen */
        {PART("key", "1") "--" B, PART("key", "1") "--" B, 0},
        {PART("key", "1") "--" B "-", PART("key", "1") "--" B "-", 0},
        {PART("key", "1") "--" B "--", "--" B "--", 0},
        {PART("key", "--" B "z\r\n") END, END, 0},
        {"--" B "\r\nContent-Disposition: form-data; name=\"key\"\r\n" END,
         "--" B "\r\nContent-Disposition: form-data; name=\"key\"\r\n" END, 0}, /* no empty line */
        {"--" B "\nContent-Disposition: form-data; name=\"key\"\n\n1\n" END,
         "--" B "\nContent-Disposition: form-data; name=\"key\"\n\n1\n" END, 0},
        {"--" B "\r\nContent-Disposition: attachment; name=\"key\"\r\n\r\n1\r\n" END,
         "--" B "\r\nContent-Disposition: attachment; name=\"key\"\r\n\r\n1\r\n" END, 0},
        {END, END, 0},
        {"", "", 0},
        {"-", "-", 0},
        {"--" B "\r\n", "--" B "\r\n", 0},
    };

    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        idem_blob body = unit_guarded(*state, cases[i].body, strlen(cases[i].body));
        apr_size_t left = idem_formcut_multipart((char *)body.data, body.len, B, "key");

        if (left != strlen(cases[i].left) || memcmp(body.data, cases[i].left, left) != 0)
            fail_msg("%s: %.*s", cases[i].body, (int)left, (const char *)body.data);
    }
}

/* Any bytes, with any end: nothing is read behind them, and the result is a part of them. */
static void cut_anywhere(void **state)
{
    static const char whole[] = "preamble\r\n" PART("a", "1") PART("key", "1") FILE_PART("key") PART("b", "2") END;
    static const char fields[] = "a=1&k%65y=1&key&b=2%6";
    unit_area *area = unit_area_create(*state, sizeof(whole));

    for (apr_size_t len = 0; len < sizeof(whole); len++) {
        idem_blob body = unit_place(area, whole, len);
        assert_true(idem_formcut_multipart((char *)body.data, len, B, "key") <= len);
    }
    for (apr_size_t len = 0; len < sizeof(fields); len++) {
        idem_blob body = unit_place(area, fields, len);
        assert_true(idem_formcut_urlencoded((char *)body.data, len, 1, "key") <= len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(urlencoded), UNIT(multipart), UNIT(cut_anywhere)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
