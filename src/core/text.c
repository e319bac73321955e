/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.c - text inside of JSON, and times.
 *
 * Called by who writes a document or a line of a log. A client may have chosen the text. It can end neither the string
 * that it stands in, nor the line.
 */
#include "text.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_strings.h>

#define ESCAPED_MAX 6 /* \u001f */

/*
 * The length of the well-formed UTF-8 sequence at s (Unicode, table 3-7: no overlong forms, no surrogates, nothing
 * above U+10FFFF), 0 if there is none. The terminating NUL is no continuation byte, so nothing behind it is read.
 */
static apr_size_t utf8_length(const unsigned char *s)
{
    apr_size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    for (apr_size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

static char *put_escaped(char *to, unsigned char ch)
{
    apr_cpystrn(to, "\\u00", sizeof("\\u00"));
    apr_escape_hex(to + 4, &ch, 1, 0, NULL); /* ends the text as well, for which there is room */
    return to + 6;
}

static int is_escaped(unsigned char ch)
{
    return ch < 0x20 || ch == '"' || ch == '\\' || ch == 0x7f;
}

/* As nearly all texts are: printable ASCII, and nothing in it means anything to JSON. */
static int is_plain(const unsigned char *s)
{
    while (*s < 0x80 && !is_escaped(*s))
        s++;
    return !*s;
}

const char *idem_json_escaped(const char *text, apr_pool_t *pool)
{
    const unsigned char *s = (const unsigned char *)text;
    char *start, *to;

    if (is_plain(s))
        return text;
    start = to = apr_palloc(pool, strlen(text) * ESCAPED_MAX + 1);
    while (*s) {
        apr_size_t len = utf8_length(s);

        if (!len) {
            memcpy(to, "\xef\xbf\xbd", 3); /* U+FFFD */
            to += 3;
            s++;
        }
        else if (is_escaped(*s)) {
            to = put_escaped(to, *s++);
        }
        else {
            memcpy(to, s, len);
            to += len;
            s += len;
        }
    }
    *to = '\0';
    return start;
}

/* A number of so many digits, and what stands behind it. */
static char *put_clock_digits(char *to, int number, int digits, char behind)
{
    for (int i = digits - 1; i >= 0; i--, number /= 10)
        to[i] = (char)('0' + number % 10);
    to[digits] = behind;
    return to + digits + 1;
}

/* Without a formatter, which takes longer than all else that is told of a replay. */
const char *idem_time_text(apr_time_t at, apr_pool_t *pool)
{
    apr_time_exp_t t;
    char *text, *to;

    if (apr_time_exp_gmt(&t, at) != APR_SUCCESS || t.tm_year < -1900 || t.tm_year > 9999 - 1900)
        return "-";
    text = to = apr_palloc(pool, sizeof("YYYY-MM-DDThh:mm:ss.mmmZ"));
    to = put_clock_digits(to, t.tm_year + 1900, 4, '-');
    to = put_clock_digits(to, t.tm_mon + 1, 2, '-');
    to = put_clock_digits(to, t.tm_mday, 2, 'T');
    to = put_clock_digits(to, t.tm_hour, 2, ':');
    to = put_clock_digits(to, t.tm_min, 2, ':');
    to = put_clock_digits(to, t.tm_sec, 2, '.');
    *put_clock_digits(to, t.tm_usec / 1000, 3, 'Z') = '\0';
    return text;
}
