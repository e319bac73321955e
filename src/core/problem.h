/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem.h - the answers the module gives itself (RFC 9457), as one table.
 */
#ifndef IDEM_PROBLEM_H
#define IDEM_PROBLEM_H

#include <apr_pools.h>

typedef enum idem_problem {
    IDEM_PROBLEM_NONE,
    IDEM_PROBLEM_KEY_MISSING,
    IDEM_PROBLEM_KEY_INVALID,
    IDEM_PROBLEM_IN_PROGRESS,
    IDEM_PROBLEM_OUTCOME_UNKNOWN,
    IDEM_PROBLEM_RESPONSE_NOT_KEPT,
    IDEM_PROBLEM_KEY_REUSED,
    IDEM_PROBLEM_STORE_UNAVAILABLE,
    IDEM_PROBLEM_TOO_MANY_KEYS,
    IDEM_PROBLEM_BODY_TOO_LARGE,
    IDEM_PROBLEM_KEY_EXPIRED,
    IDEM_PROBLEM_KEY_UNKNOWN,        /* to a client that only asks */
    IDEM_PROBLEM_LOOKUP_UNAVAILABLE, /* the same */
    IDEM_PROBLEMS
} idem_problem;

typedef struct idem_problem_info {
    const char *name; /* "key-missing": also the word of its outcome, and the value of Idempotency-Error */
    int status;       /* before IdempotencyMismatchStatus */
    int retry_after;  /* seconds, 0 for no Retry-After */
    const char *title;
    const char *detail; /* what a client's developer should do; a caller may say more */
} idem_problem_info;

/* NULL for IDEM_PROBLEM_NONE and whatever is no problem. */
const idem_problem_info *idem_problem_info_of(idem_problem problem);

/* The problem of that name, IDEM_PROBLEM_NONE if there is none. */
idem_problem idem_problem_named(const char *name, apr_size_t len);

/* "urn:problem-type:idempotency:NAME", or HELP#NAME where help is given. */
const char *idem_problem_type(const idem_problem_info *info, const char *help, apr_pool_t *pool);

/* The application/problem+json document; detail NULL for the table's. Text is escaped, whatever it holds. */
const char *idem_problem_json(const idem_problem_info *info, int status, const char *help, const char *detail,
                              apr_pool_t *pool);

#endif
