/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookies.c - reads the Cookie field, and picks the cookies that identify a client.
 *
 * Called for guarded requests by values.c and credentials.c. What always holds: values are the client's octets; the
 * order in which it sends cookies of different names does not matter. config_list.c sees to the form of patterns.
 * Limits: those httpd sets on headers; each cookie is looked at once for each pattern.
 */
#include "cookies.h"

#include <stdlib.h>
#include <string.h>

/* ---- the field --------------------------------------------------------------------------------------------------- */

static idem_blob cookie_trimmed(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    return idem_blob_of(at, (apr_size_t)(end - at));
}

/* Moves *at over the next cookie; 0 at the end. One without '=' is a value (as browsers have it). */
static int next_cookie(const char **at, idem_cookie *cookie)
{
    while (**at) {
        const char *start = *at, *end = start + strcspn(start, ";"), *equals = start + strcspn(start, "=;");

        *at = *end ? end + 1 : end;
        cookie->name = cookie_trimmed(start, equals < end ? equals : start);
        cookie->value = cookie_trimmed(equals < end ? equals + 1 : start, end);
        if (equals < end || cookie->value.len)
            return 1;
    }
    return 0;
}

/* All Cookie lines as one (RFC 9113, 8.2.3); never NULL. */
static const char *cookie_field(const idem_asked *asked)
{
    const char *field = idem_header_joined(asked, "Cookie", "; ");
    return field ? field : "";
}

idem_blob idem_cookie_value(const idem_asked *asked, const char *name)
{
    const char *at = cookie_field(asked);
    idem_cookie cookie;

    while (next_cookie(&at, &cookie))
        if (cookie.name.len && cookie.name.len == strlen(name) && memcmp(cookie.name.data, name, cookie.name.len) == 0)
            return cookie.value;
    return idem_blob_of(NULL, 0);
}

/* ---- patterns ---------------------------------------------------------------------------------------------------- */

/* pattern: a name, with '*' at either end, or both, for anything. */
static int pattern_fits(const char *pattern, idem_blob name)
{
    int open_start = *pattern == '*', open_end;
    const char *fixed = pattern + open_start;
    apr_size_t len = strlen(fixed);

    open_end = len && fixed[len - 1] == '*';
    len -= (apr_size_t)open_end;
    if (!name.len || name.len < len)
        return 0;
    if (open_start && open_end)
        return memmem(name.data, name.len, fixed, len) != NULL;
    if (!open_end && !open_start && name.len != len)
        return 0;
    return memcmp(name.data + (open_start ? name.len - len : 0), fixed, len) == 0;
}

static int is_named(const apr_array_header_t *patterns, idem_blob name)
{
    for (int i = 0; patterns && i < patterns->nelts; i++)
        if (pattern_fits(APR_ARRAY_IDX(patterns, i, const char *), name))
            return 1;
    return 0;
}

/* ---- those that count -------------------------------------------------------------------------------------------- */

/* By name; equal names in the order they were sent, which is that of their addresses: qsort() is not stable. */
static int by_cookie_name(const void *a, const void *b)
{
    const idem_cookie *x = a, *y = b;
    int order = memcmp(x->name.data, y->name.data, x->name.len < y->name.len ? x->name.len : y->name.len);

    if (order)
        return order;
    if (x->name.len != y->name.len)
        return x->name.len < y->name.len ? -1 : 1;
    return (x->value.data > y->value.data) - (x->value.data < y->value.data);
}

apr_array_header_t *idem_cookies_of_client(const idem_asked *asked, int *named)
{
    apr_array_header_t *cookies = apr_array_make(asked->r->pool, 8, sizeof(idem_cookie));
    const char *at = cookie_field(asked);
    idem_cookie cookie;

    *named = 0;
    while (next_cookie(&at, &cookie)) {
        int is = is_named(asked->session_cookies, cookie.name);

        if (is && !*named)
            apr_array_clear(cookies);
        *named |= is;
        if (is == *named)
            APR_ARRAY_PUSH(cookies, idem_cookie) = cookie;
    }
    if (cookies->nelts > 1)
        qsort(cookies->elts, (size_t)cookies->nelts, sizeof(idem_cookie), by_cookie_name);
    return cookies;
}
