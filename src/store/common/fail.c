/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.c - the two ways to give a reason.
 *
 * Called by drivers. What a sentence may not contain, passwords above all, is its writer's business.
 */
#include "fail.h"

#include <apr_strings.h>

apr_status_t idem_wrong(apr_pool_t *pool, const char **why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    *why = apr_pvsprintf(pool, format, args);
    va_end(args);
    return APR_EINVAL;
}

apr_status_t idem_fail(idem_call *call, apr_status_t status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    call->why = apr_pvsprintf(call->pool, format, args);
    va_end(args);
    return status;
}
