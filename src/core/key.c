/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.c - from the field value of Idempotency-Key to a key, and from a key and its scope to a slot.
 *
 * Called by the glue, before the store is touched. The parser is a cursor over a blob that need not end in a NUL; every
 * function leaves it behind what it accepted. Parameters follow RFC 8941 4.2.3.2 with the bare items of RFC 9651 (which
 * adds dates and display strings); they are checked and thrown away. Work is linear in the field's length.
 */
#include "key.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "digest.h"
#include "wiped.h"

const char *idem_key_fault_text(idem_key_fault fault)
{
    static const char *const text[] = {
        [IDEM_KEY_OK] = "The key is valid.",
        [IDEM_KEY_EMPTY] = "The key is empty.",
        [IDEM_KEY_SHORT] = "The key is shorter than this server asks for.",
        [IDEM_KEY_LONG] = "The key is longer than this server accepts.",
        [IDEM_KEY_BYTES] = "The key contains bytes that are not printable ASCII.",
        [IDEM_KEY_QUOTING] =
            ("The key is quoted wrongly. Inside double quotes, only \\\" and \\\\ are escapes, "
             "and the closing quote is required. Without quotes, the key must not contain a space, a double quote or "
             "a comma."),
        [IDEM_KEY_AFTER] = ("The text after the quoted key is not a structured-field parameter. Send exactly one key."),
        [IDEM_KEY_LINES] =
            ("The header with the key was sent more than once, or its value contains a comma and a space. This "
             "server cannot tell the two apart."),
    };

    return (unsigned)fault < sizeof text / sizeof *text ? text[fault] : "The key is invalid.";
}

/* ---- characters: `at` is tested against the end first, so that every look is within bounds ----------------------- */

static int next_is(const idem_cursor *c, char wanted)
{
    return c->at < c->end && *c->at == (unsigned char)wanted;
}

static int skip_one(idem_cursor *c, char wanted)
{
    if (!next_is(c, wanted))
        return 0;
    c->at++;
    return 1;
}

static int next_in(const idem_cursor *c, int (*test)(unsigned char))
{
    return c->at < c->end && test(*c->at);
}

/* How many there were. */
static apr_size_t skip_all(idem_cursor *c, int (*test)(unsigned char))
{
    const unsigned char *from = c->at;

    while (next_in(c, test))
        c->at++;
    return (apr_size_t)(c->at - from);
}

static int is_space(unsigned char ch)
{
    return ch == ' ' || ch == '\t';
}

static int is_printable(unsigned char ch)
{
    return ch >= 0x20 && ch <= 0x7e;
}

static int is_bare(unsigned char ch)
{
    return ch > 0x20 && ch <= 0x7e && ch != '"' && ch != ',';
}

static int is_digit(unsigned char ch)
{
    return apr_isdigit(ch);
}

static int is_alpha(unsigned char ch)
{
    return apr_isalpha(ch);
}

static int is_lower_hex(unsigned char ch)
{
    return apr_isdigit(ch) || (ch >= 'a' && ch <= 'f');
}

static int is_name_start(unsigned char ch)
{
    return apr_islower(ch) || ch == '*';
}

static int is_name(unsigned char ch)
{
    return is_name_start(ch) || apr_isdigit(ch) || (ch && strchr("_-.", ch));
}

static int is_token_byte(unsigned char ch)
{
    return apr_isalnum(ch) || (ch && strchr("!#$%&'*+-.^_`|~:/", ch));
}

static int is_base64(unsigned char ch)
{
    return apr_isalnum(ch) || ch == '+' || ch == '/';
}

static int is_padding(unsigned char ch)
{
    return ch == '=';
}

/* ---- parameters (RFC 8941 4.2.3.2, 4.2.4 and what follows; RFC 9651 4.2.9, 4.2.10) ------------------------------- */

/* Behind the opening quote: to behind the closing one. The bytes were found printable before. */
static int skip_string(idem_cursor *c)
{
    while (c->at < c->end) {
        if (skip_one(c, '"'))
            return 1;
        if (skip_one(c, '\\') && !next_is(c, '"') && !next_is(c, '\\'))
            return 0;
        c->at++;
    }
    return 0;
}

/* An Integer of at most 15 digits, or a Decimal of at most 12 and 3. */
static int skip_number(idem_cursor *c)
{
    apr_size_t whole, fraction;

    skip_one(c, '-');
    whole = skip_all(c, is_digit);
    if (!skip_one(c, '.'))
        return whole >= 1 && whole <= 15;
    fraction = skip_all(c, is_digit);
    return whole >= 1 && whole <= 12 && fraction >= 1 && fraction <= 3;
}

static int skip_date(idem_cursor *c)
{
    apr_size_t digits;

    skip_one(c, '-');
    digits = skip_all(c, is_digit);
    return digits >= 1 && digits <= 15 && !next_is(c, '.');
}

/* Base64 with its padding or (RFC 8941 4.2.7 asks parsers to bear that) without. */
static int skip_binary(idem_cursor *c)
{
    apr_size_t digits = skip_all(c, is_base64), padding = skip_all(c, is_padding);

    return digits % 4 != 1 && (!padding || (padding <= 2 && (digits + padding) % 4 == 0)) && skip_one(c, ':');
}

static int skip_boolean(idem_cursor *c)
{
    return skip_one(c, '0') || skip_one(c, '1');
}

/*
 * Behind %: a quoted string whose escapes are % and two lower-case hex digits. Whether they are UTF-8 matters to
 * nobody.
 */
static int skip_display_string(idem_cursor *c)
{
    if (!skip_one(c, '"'))
        return 0;
    while (c->at < c->end) {
        if (skip_one(c, '"'))
            return 1;
        if (*c->at++ != '%')
            continue;
        for (int i = 0; i < 2; i++, c->at++)
            if (!next_in(c, is_lower_hex))
                return 0;
    }
    return 0;
}

static int skip_token(idem_cursor *c)
{
    return skip_all(c, is_token_byte) > 0;
}

static int skip_bare_item(idem_cursor *c)
{
    if (skip_one(c, '"'))
        return skip_string(c);
    if (skip_one(c, ':'))
        return skip_binary(c);
    if (skip_one(c, '?'))
        return skip_boolean(c);
    if (skip_one(c, '@'))
        return skip_date(c);
    if (skip_one(c, '%'))
        return skip_display_string(c);
    if (next_is(c, '*') || next_in(c, is_alpha))
        return skip_token(c);
    return skip_number(c);
}

/* All there is from here on are parameters. */
static int skip_parameters(idem_cursor *c)
{
    while (c->at < c->end) {
        if (!skip_one(c, ';'))
            return 0;
        while (skip_one(c, ' '))
            continue;
        if (!next_in(c, is_name_start))
            return 0;
        skip_all(c, is_name);
        if (skip_one(c, '=') && !skip_bare_item(c))
            return 0;
    }
    return 1;
}

/* ---- the key ----------------------------------------------------------------------------------------------------- */

static idem_blob key_trimmed(idem_blob value)
{
    while (value.len && is_space(value.data[value.len - 1]))
        value.len--;
    while (value.len && is_space(*value.data)) {
        value.data++;
        value.len--;
    }
    return value;
}

static int all_are(idem_blob value, int (*test)(unsigned char))
{
    idem_cursor c = idem_cursor_of(value);

    return skip_all(&c, test) == value.len;
}

/* raw is what stands between the quotes, each backslash in it followed by what it escapes. */
static idem_blob unescape_key(idem_blob raw, apr_pool_t *pool)
{
    unsigned char *copy, *put;

    if (!raw.len || !memchr(raw.data, '\\', raw.len))
        return raw;
    put = copy = idem_wiped_alloc(pool, raw.len);
    for (apr_size_t i = 0; i < raw.len; i++) {
        if (raw.data[i] == '\\')
            i++;
        *put++ = raw.data[i];
    }
    return idem_blob_of(copy, (apr_size_t)(put - copy));
}

static idem_key_fault parse_string(idem_blob value, apr_pool_t *pool, idem_blob *key)
{
    idem_cursor c = idem_cursor_of(value);
    const unsigned char *from;
    idem_blob raw;

    from = ++c.at;
    if (!skip_string(&c))
        return IDEM_KEY_QUOTING;
    raw = idem_blob_of(from, (apr_size_t)(c.at - 1 - from));
    if (!skip_parameters(&c))
        return IDEM_KEY_AFTER;
    if (!raw.len)
        return IDEM_KEY_EMPTY;
    *key = unescape_key(raw, pool);
    return IDEM_KEY_OK;
}

idem_key_fault idem_key_parse(idem_blob value, apr_pool_t *pool, idem_blob *key)
{
    *key = idem_blob_of(NULL, 0);
    value = key_trimmed(value);
    if (!value.len)
        return IDEM_KEY_EMPTY;
    if (!all_are(value, is_printable))
        return IDEM_KEY_BYTES;
    if (*value.data == '"')
        return parse_string(value, pool, key);
    if (!all_are(value, is_bare))
        return IDEM_KEY_QUOTING;
    *key = value;
    return IDEM_KEY_OK;
}

int idem_key_may_be_lines(idem_blob value)
{
    for (apr_size_t i = 0; i + 1 < value.len; i++)
        if (value.data[i] == ',' && value.data[i + 1] == ' ')
            return 1;
    return 0;
}

idem_key_fault idem_key_check(idem_blob key, apr_size_t min, apr_size_t max)
{
    if (!key.len)
        return IDEM_KEY_EMPTY;
    if (key.len < min)
        return IDEM_KEY_SHORT;
    if (key.len > max)
        return IDEM_KEY_LONG;
    return all_are(key, is_printable) ? IDEM_KEY_OK : IDEM_KEY_BYTES;
}

apr_status_t idem_slot_make(const idem_blob *secret, const idem_part_value *scope, int parts, idem_blob key,
                            unsigned char slot[IDEM_SLOT_LEN])
{
    unsigned char count[4];
    idem_digest *d;
    apr_status_t status = idem_digest_start(&d, secret);

    if (status != APR_SUCCESS)
        return status;
    idem_put(count, (apr_uint64_t)parts, sizeof count);
    idem_digest_feed(d, count, sizeof count);
    for (int i = 0; i < parts; i++) {
        idem_digest_feed_part(d, idem_blob_str(scope[i].name));
        idem_digest_feed_part(d, scope[i].value);
    }
    idem_digest_feed_part(d, key);
    return idem_digest_finish(d, slot);
}
