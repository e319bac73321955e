/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fail.h - how a driver says why: to the administrator who wrote a configuration, to the caller of a call.
 */
#ifndef IDEM_SENTENCE_H
#define IDEM_SENTENCE_H

#include "idem_store.h"

/* Of a configuration that cannot be taken: *why, in pool. Returns APR_EINVAL. */
apr_status_t idem_wrong(apr_pool_t *pool, const char **why, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Of a call that failed: call->why, in call->pool. Returns status. */
apr_status_t idem_fail(idem_call *call, apr_status_t status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
