/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keytime.c - reads the time out of a UUID of version 7 or a ULID.
 *
 * Called by the gate before a store is asked. Both begin with 48 bits of milliseconds since 1970; so whatever they say
 * can be held by apr_time_t. What always holds: no byte after the key is read. A key of another shape has no time.
 */
#include "keytime.h"

#include <string.h>

#define UUID_LEN 36
#define ULID_LEN 26
#define ULID_TIME 10 /* digits */

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* xxxxxxxx-xxxx-7xxx-yxxx-xxxxxxxxxxxx, y from 8 to b */
static int is_uuidv7(idem_blob key)
{
    if (key.len != UUID_LEN)
        return 0;
    for (int i = 0; i < UUID_LEN; i++) {
        int is_dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (is_dash ? key.data[i] != '-' : hex_digit(key.data[i]) < 0)
            return 0;
    }
    return key.data[14] == '7' && hex_digit(key.data[19]) >> 2 == 2;
}

static apr_uint64_t uuidv7_ms(const unsigned char *uuid)
{
    apr_uint64_t ms = 0;

    for (int i = 0; i < 13; i++)
        if (i != 8)
            ms = ms << 4 | (apr_uint64_t)hex_digit(uuid[i]);
    return ms;
}

/* Crockford's alphabet: no I, L, O, U. */
static int crockford_digit(unsigned char c)
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    const char *at = c ? strchr(alphabet, c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

/* The first of its 26 digits holds three bits only. */
static int is_ulid(idem_blob key)
{
    if (key.len != ULID_LEN || key.data[0] > '7')
        return 0;
    for (int i = 0; i < ULID_LEN; i++)
        if (crockford_digit(key.data[i]) < 0)
            return 0;
    return 1;
}

static apr_uint64_t ulid_ms(const unsigned char *ulid)
{
    apr_uint64_t ms = 0;

    for (int i = 0; i < ULID_TIME; i++)
        ms = ms << 5 | (apr_uint64_t)crockford_digit(ulid[i]);
    return ms;
}

int idem_key_time(idem_blob key, unsigned kinds, apr_time_t *made)
{
    if ((kinds & IDEM_KEYTIME_UUIDV7) && is_uuidv7(key))
        *made = apr_time_from_msec((apr_time_t)uuidv7_ms(key.data));
    else if ((kinds & IDEM_KEYTIME_ULID) && is_ulid(key))
        *made = apr_time_from_msec((apr_time_t)ulid_ms(key.data));
    else
        return 0;
    return 1;
}
