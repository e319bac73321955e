/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.c - the sentences that the dbd driver says of failures, and at start.
 *
 * Called by the driver's other files. What always holds: a sentence about a failure has no line ends, and not the
 * password. Limits: what is said at start is cut where its room ends.
 */
#include "dbd_private.h"

#include <apr_strings.h>
#include <stdarg.h>

#define MASK "***"

/* One line, printable, without the password. */
static const char *fit_to_say(const idem_dbd_access *access, const char *text, apr_pool_t *pool)
{
    const char *secret = access ? access->config.password : NULL, *found;
    char *line = apr_pstrdup(pool, text);

    for (char *c = line; *c; c++)
        if ((unsigned char)*c < ' ')
            *c = ' ';
    while (secret && *secret && (found = strstr(line, secret)) != NULL)
        line = apr_pstrcat(pool, apr_pstrmemdup(pool, line, (apr_size_t)(found - line)), MASK, found + strlen(secret),
                           NULL);
    for (apr_size_t len = strlen(line); len > 0 && line[len - 1] == ' '; len--)
        line[len - 1] = '\0';
    return line;
}

apr_status_t idem_dbd_fail(const idem_dbd_access *access, idem_call *call, apr_status_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call->why = fit_to_say(access, apr_pvsprintf(call->pool, format, args), call->pool);
    va_end(args);
    return status;
}

void idem_dbd_warn(idem_dbd_facts *facts, const char *sentence)
{
    apr_size_t len = strlen(facts->warning);
    apr_snprintf(facts->warning + len, sizeof(facts->warning) - len, "%s%s", len ? "; " : "", sentence);
}
