/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_number.c - numbers as RFC 8785 writes them, and which texts are written as themselves. Python's numbers are the
 * other opinion: tests/bodies.
 */
#include "unit.h"

#include <locale.h>

#include "number.h"

static void numbers_are_written_shortly(void **state)
{
    static const struct {
        double number;
        const char *text;
    } written[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1, "1"},
        {-1.5, "-1.5"},
        {1e20, "100000000000000000000"},
        {1e21, "1e+21"},
        {123e25, "1.23e+27"},
        {1e-6, "0.000001"},
        {1e-7, "1e-7"},
        {-1.25e-9, "-1.25e-9"},
        {5e-324, "5e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {333333333.33333329, "333333333.3333333"},
        {0x1p-44, "5.684341886080802e-14"}, /* a power of two: the nearest decimal of 16 digits is another double */
        {0x1p-1022, "2.2250738585072014e-308"},
        {9.5367431640625e-7, "9.5367431640625e-7"},
        {99999999999999.98, "99999999999999.98"},
    };
    char out[IDEM_NUMBER_MOST];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(written); i++) {
        assert_int_equal(idem_number_write(written[i].number, out), strlen(written[i].text));
        assert_string_equal(out, written[i].text);
    }
}

static void texts_are_exact_or_not(void **state)
{
    static const char *const exact[] = {"0",
                                        "-0",
                                        "0.0",
                                        "0e99999",
                                        "1",
                                        "1.10",
                                        "-1.10e1",
                                        "100",
                                        "1e22",
                                        "1E+2",
                                        "1.5e-7",
                                        "0.1",
                                        "5e-324",
                                        "9007199254740992",
                                        "123456789012345",
                                        "0.30000000000000004",
                                        "5.684341886080802e-14",
                                        "1.7976931348623157e308"},
                             *const other[] = {"9007199254740993",
                                               "0.1000000000000000055",
                                               "1e400",
                                               "1e-400",
                                               "3e-324",
                                               "123456789012345678901",
                                               "0.300000000000000041",
                                               "0.10000000000000001",
                                               "1e999999999999",
                                               "4.9e-324"};
    unit_area *area = unit_area_create(*state, 64);

    for (size_t i = 0; i < UNIT_COUNT(exact); i++)
        assert_true(
            idem_number_is_exact((const char *)unit_place(area, exact[i], strlen(exact[i])).data, strlen(exact[i])));
    for (size_t i = 0; i < UNIT_COUNT(other); i++)
        assert_false(
            idem_number_is_exact((const char *)unit_place(area, other[i], strlen(other[i])).data, strlen(other[i])));
}

static void what_is_written_is_exact(void **state)
{
    uint32_t seed = 8785;
    char out[IDEM_NUMBER_MOST];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = (uint64_t)unit_random(&seed) << 32 | unit_random(&seed);
        double number;

        memcpy(&number, &bits, sizeof number);
        if ((bits >> 52 & 0x7ff) == 0x7ff)
            continue;
        assert_true(idem_number_is_exact(out, idem_number_write(number, out)));
        assert_true(strtod(out, NULL) == number);
    }
}

/* mod_php and others set one; a decimal comma must not get into a number. */
static void locale_does_not_matter(void **state)
{
    static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", NULL};
    char out[IDEM_NUMBER_MOST];

    for (int i = 0; locales[i] && !setlocale(LC_NUMERIC, locales[i]); i++)
        ;
    idem_number_write(0.30000000000000004, out);
    assert_string_equal(out, "0.30000000000000004");
    texts_are_exact_or_not(state);
    setlocale(LC_NUMERIC, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(numbers_are_written_shortly), UNIT(texts_are_exact_or_not),
                                       UNIT(what_is_written_is_exact), UNIT(locale_does_not_matter)};

    return cmocka_run_group_tests_name("number", tests, NULL, NULL);
}
