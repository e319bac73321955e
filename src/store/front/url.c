/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.c - hides the password in a store's address.
 *
 * Called when a configuration is read. Rather too much is hidden than too little: a password with an unescaped '/' or
 * '@' is hidden whole. Limits: a name without a colon before the '@' is hidden too, since some write the password
 * there.
 */
#include "url.h"

#include <ctype.h>
#include <string.h>

#include <apr_strings.h>

#define MASK "***"

/* Where the value of a "password=", "passwd=", "pass=" or "pwd=" begins, in any case; NULL if there is none. */
static const char *parameter_value(const char *url)
{
    for (const char *at = url; *at; at++) {
        const char *end = at;
        if (strncasecmp(at, "pass", 4) != 0 && strncasecmp(at, "pwd", 3) != 0)
            continue;
        while (isalpha((unsigned char)*end))
            end++;
        while (*end == ' ')
            end++;
        if (*end == '=')
            return end + 1;
    }
    return NULL;
}

const char *idem_url_masked(const char *url, apr_pool_t *pool)
{
    const char *user = strstr(url, "://"), *at = user ? strrchr(user, '@') : NULL;
    const char *value;
    char *masked = apr_pstrdup(pool, url);

    if (at) {
        const char *secret = memchr(user + 3, ':', (apr_size_t)(at - user - 3));
        secret = secret ? secret + 1 : user + 3;
        masked = apr_pstrcat(pool, apr_pstrmemdup(pool, url, (apr_size_t)(secret - url)), MASK, at, NULL);
    }
    value = parameter_value(masked);
    if (!value)
        return masked;
    return apr_pstrcat(pool, apr_pstrmemdup(pool, masked, (apr_size_t)(value - masked)), MASK, NULL);
}
