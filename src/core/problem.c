/* SPDX-License-Identifier: Apache-2.0 */
/*
 * problem.c - the problems' table, and their rendering as application/problem+json (RFC 9457).
 *
 * Called by whoever refuses a request. The document is valid JSON whatever the texts hold: they may quote a request or
 * a configuration.
 */
#include "problem.h"

#include "text.h"

#include <string.h>

#include <apr_strings.h>

static const idem_problem_info problems[IDEM_PROBLEMS] = {
    [IDEM_PROBLEM_KEY_MISSING] =
        {"key-missing", 400, 0, "An idempotency key is required",
         "This operation is only accepted with an idempotency key. Choose a new random value for each logical "
         "operation, a UUID for example, send it with the request, and send the same value again with each retry."},
    [IDEM_PROBLEM_KEY_INVALID] =
        {"key-invalid", 400, 0, "The idempotency key is invalid",
         "The idempotency key does not have the form this server accepts. Nothing was executed. Send exactly one "
         "key of printable ASCII characters, within the length and format the service documents."},
    [IDEM_PROBLEM_IN_PROGRESS] =
        {"in-progress", 409, 1, "The first request is still being processed",
         "A request with this idempotency key is being executed right now. This one was not executed. To get "
         "the first one's response, send it again after the time in Retry-After, unchanged and with the same key."},
    [IDEM_PROBLEM_OUTCOME_UNKNOWN] =
        {"outcome-unknown", 409, 0, "The outcome of the first request is unknown",
         "The first request with this idempotency key was interrupted, so it may or may not have taken effect. "
         "This one was not executed. Find out by other means what happened. Use a new key only to execute the "
         "operation anew."},
    [IDEM_PROBLEM_RESPONSE_NOT_KEPT] =
        {"response-not-kept", 409, 0, "Already executed, but the response was not kept",
         "The first request with this idempotency key was executed completely, but the server could not keep "
         "its response. This one was not executed. Read the operation's result from the resource it changed."},
    [IDEM_PROBLEM_KEY_REUSED] =
        {"key-reused", 422, 0, "The idempotency key belongs to another request",
         "This idempotency key was used before for a request that is not the same. This one was not executed. "
         "Use a new key for a new operation. A retry must repeat the first request unchanged, including its "
         "credentials."},
    [IDEM_PROBLEM_STORE_UNAVAILABLE] =
        {"store-unavailable", 503, 5, "Retries cannot be recognized at the moment",
         "The server cannot reach its memory of earlier requests, so it cannot tell whether this one is a retry. "
         "This one was not executed. Send it again, unchanged and with the same key, after the time in "
         "Retry-After."},
    [IDEM_PROBLEM_TOO_MANY_KEYS] =
        {"too-many-keys", 429, 0, "Too many new idempotency keys",
         "More new idempotency keys were sent than this server allows in a period. This request was not executed. "
         "Send it again, unchanged and with the same key, after the time in Retry-After."},
    [IDEM_PROBLEM_BODY_TOO_LARGE] =
        {"body-too-large", 413, 0, "The request body is too large to read a key from",
         "The idempotency key is expected inside the request body, and the body is larger than this server "
         "searches. The request was not executed. Send a smaller body, or the key where the service documents it "
         "for large ones."},
    [IDEM_PROBLEM_KEY_EXPIRED] =
        {"key-expired", 409, 0, "The idempotency key is too old",
         "The time in this key is longer ago than the server remembers keys, and the server has no entry for "
         "it. This request was not executed. An earlier one with the same key may have been executed: find out "
         "by other means. Use a new key only to execute the operation anew."},
    [IDEM_PROBLEM_KEY_UNKNOWN] =
        {"key-unknown", 404, 0, "Nothing is known under this idempotency key",
         "The server knows no execution with this idempotency key: there was none, it ended without effect, or "
         "the server has forgotten it. This request only asked, and executed nothing."},
    [IDEM_PROBLEM_LOOKUP_UNAVAILABLE] =
        {"lookup-unavailable", 501, 0, "Outcomes cannot be looked up here",
         "This request only asked for the outcome of an earlier one, and executed nothing. For this method, or in this "
         "place, the server keeps no outcomes."},
};

idem_problem idem_problem_named(const char *name, apr_size_t len)
{
    for (int i = IDEM_PROBLEM_NONE + 1; i < IDEM_PROBLEMS; i++)
        if (strlen(problems[i].name) == len && !strncmp(problems[i].name, name, len))
            return (idem_problem)i;
    return IDEM_PROBLEM_NONE;
}

const idem_problem_info *idem_problem_info_of(idem_problem problem)
{
    return problem > IDEM_PROBLEM_NONE && problem < IDEM_PROBLEMS ? &problems[problem] : NULL;
}

const char *idem_problem_type(const idem_problem_info *info, const char *help, apr_pool_t *pool)
{
    return help ? apr_pstrcat(pool, help, "#", info->name, NULL)
                : apr_pstrcat(pool, "urn:problem-type:idempotency:", info->name, NULL);
}

const char *idem_problem_json(const idem_problem_info *info, int status, const char *help, const char *detail,
                              apr_pool_t *pool)
{
    return apr_psprintf(pool, "{\"type\":\"%s\",\"title\":\"%s\",\"status\":%d,\"detail\":\"%s\"}\n",
                        idem_json_escaped(idem_problem_type(info, help, pool), pool),
                        idem_json_escaped(info->title, pool), status,
                        idem_json_escaped(detail ? detail : info->detail, pool));
}
