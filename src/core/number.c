/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.c - the shortest decimal that names a double, and whether a decimal text is that one.
 *
 * Called by canonical.c. What always holds: nothing depends on the locale, which a module such as mod_php may have set.
 * Texts for the C library have no decimal point, and only the digits of its texts are read.
 *
 * Take a decimal of at most DBL_DIG (15) significant digits in the range of normal doubles. The double nearest to it
 * gives it back, so it is the shortest one. Nearly all texts are such decimals, and are known as exact without a
 * conversion.
 */
#include "number.h"

#include <math.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_lib.h>
#include <apr_strings.h>

#define DIGITS_MOST 17 /* that tell all doubles apart */
#define EXPONENT_MOST 99999
#define EXACT_EXPONENT 290 /* well within the normal range, whose ends are at about 308 */

/* 0.DIGITS times ten to the power of exponent; without zeros at either end. No digits: zero. */
typedef struct decimal {
    char digits[DIGITS_MOST + 1];
    int count;
    int exponent;
} decimal;

static void drop_zeros(decimal *d)
{
    while (d->count && d->digits[d->count - 1] == '0')
        d->count--;
    d->digits[d->count] = '\0';
}

/* ---- a double's -------------------------------------------------------------------------------------------------- */

static double double_of(const decimal *d, int count)
{
    char text[DIGITS_MOST + 16];

    apr_snprintf(text, sizeof text, "%.*se%d", count, d->digits, d->exponent - count);
    return strtod(text, NULL);
}

/* The nearest one of so many digits: "d.ddd…e±dd", with whatever the locale has for a point. */
static void nearest_decimal(double number, int count, decimal *d)
{
    char text[64], *e;

    snprintf(text, sizeof text, "%.*e", count - 1, number);
    e = strchr(text, 'e');
    d->count = 0;
    for (const char *c = text; c < e && d->count < count; c++)
        if (apr_isdigit(*c))
            d->digits[d->count++] = *c;
    d->exponent = atoi(e + 1) + 1;
}

/* The next greater one. Below a power of two doubles lie closer together than above: the nearest decimal may then miss,
 * where this does not. */
static int step_up(decimal *d)
{
    int i = d->count - 1;

    while (i >= 0 && d->digits[i] == '9')
        d->digits[i--] = '0';
    if (i < 0)
        return 0;
    d->digits[i]++;
    return 1;
}

static void shortest_decimal(double number, decimal *d)
{
    int few = number < DBL_MIN; /* a subnormal number has less than DBL_DIG digits */

    for (int count = few ? 1 : DBL_DIG; count <= DIGITS_MOST; count++) {
        nearest_decimal(number, count, d);
        if (double_of(d, count) == number || (step_up(d) && double_of(d, count) == number))
            break;
        if (count == DIGITS_MOST)
            nearest_decimal(number, count, d);
    }
    drop_zeros(d);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static char *put_digits(char *to, const char *from, int count)
{
    memcpy(to, from, (size_t)count);
    return to + count;
}

static char *put_zeros(char *to, int count)
{
    memset(to, '0', (size_t)count);
    return to + count;
}

/* ECMAScript, 6.1.6.1.20 Number::toString: n is the exponent, k the count of digits. */
static char *put_decimal(char *to, const decimal *d)
{
    int n = d->exponent, k = d->count;

    if (k <= n && n <= 21)
        return put_zeros(put_digits(to, d->digits, k), n - k);
    if (0 < n && n < k) {
        to = put_digits(to, d->digits, n);
        *to++ = '.';
        return put_digits(to, d->digits + n, k - n);
    }
    if (-6 < n && n <= 0)
        return put_digits(put_zeros(put_digits(to, "0.", 2), -n), d->digits, k);
    *to++ = d->digits[0];
    if (k > 1) {
        *to++ = '.';
        to = put_digits(to, d->digits + 1, k - 1);
    }
    return to + apr_snprintf(to, 8, "e%c%d", n > 0 ? '+' : '-', n > 0 ? n - 1 : 1 - n);
}

apr_size_t idem_number_write(double number, char out[IDEM_NUMBER_MOST])
{
    char *to = out;
    decimal d;

    if (number == 0) { /* or minus zero */
        memcpy(out, "0", 2);
        return 1;
    }
    if (number < 0)
        *to++ = '-';
    shortest_decimal(fabs(number), &d);
    to = put_decimal(to, &d);
    *to = '\0';
    return (apr_size_t)(to - out);
}

/* ---- a text's ---------------------------------------------------------------------------------------------------- */

static int exponent_of(const char *at, const char *end)
{
    int minus = at < end && *at == '-', exponent = 0;

    if (at < end && (*at == '-' || *at == '+'))
        at++;
    for (; at < end && apr_isdigit(*at); at++)
        if (exponent < EXPONENT_MOST)
            exponent = exponent * 10 + (*at - '0');
    return minus ? -exponent : exponent;
}

/* 0 if it has more significant digits than any double is written with. */
static int read_decimal(const char *at, const char *end, decimal *d)
{
    int point = 0, zeros = 0; /* behind the last digit that is kept */

    d->count = d->exponent = 0;
    for (at += at < end && *at == '-'; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            point = 1;
            continue;
        }
        if (*at == '0' && !d->count) {
            d->exponent -= point;
            continue;
        }
        d->exponent += !point;
        if (*at == '0') {
            zeros++;
            continue;
        }
        if (d->count + zeros + 1 > DIGITS_MOST)
            return 0;
        while (zeros) {
            d->digits[d->count++] = '0';
            zeros--;
        }
        d->digits[d->count++] = *at;
    }
    if (at < end)
        d->exponent += exponent_of(at + 1, end);
    d->digits[d->count] = '\0';
    return 1;
}

int idem_number_is_exact(const char *text, apr_size_t len)
{
    decimal said, written;
    double number;

    if (!read_decimal(text, text + len, &said))
        return 0;
    if (!said.count || (said.count <= DBL_DIG && said.exponent > -EXACT_EXPONENT && said.exponent < EXACT_EXPONENT))
        return 1;
    number = double_of(&said, said.count);
    if (!isfinite(number) || number == 0)
        return 0;
    shortest_decimal(number, &written);
    return said.count == written.count && said.exponent == written.exponent && !strcmp(said.digits, written.digits);
}
