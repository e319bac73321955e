/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reply.c - what a reply of Redis's must look like before anything of it is used.
 *
 * Called by whoever asked. Each function looks at one reply, or at an element of one, for its kind, its length and its
 * range, and gives what it holds. What always holds: a reply of another form than expected is a failure of the store,
 * and no part of it is used. The sentence names the command and the kind of the reply. Limits: how large a whole reply
 * may be is bounded where it is received.
 */
#include "redis_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define REPLY_SHOWN 200 /* bytes of an error of Redis's that are passed on */

static const char *reply_kind_of(const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_STRING: return "a string";
    case REDIS_REPLY_ARRAY: return "an array";
    case REDIS_REPLY_INTEGER: return "a number";
    case REDIS_REPLY_NIL: return "nothing";
    case REDIS_REPLY_STATUS: return "a status";
    case REDIS_REPLY_ERROR: return "an error";
    default: return "an answer of an unknown kind";
    }
}

apr_status_t idem_redis_refused(idem_call *call, const char *asked, const redisReply *reply)
{
    char *said;

    if (reply->type != REDIS_REPLY_ERROR)
        return idem_fail(call, APR_EGENERAL, "Redis gave an invalid answer to %s: %s", asked, reply_kind_of(reply));
    said = apr_pstrndup(call->pool, reply->str, REPLY_SHOWN);
    for (char *c = said; *c; c++)
        if (apr_iscntrl(*c))
            *c = ' ';
    return idem_fail(call, APR_EGENERAL, "Redis refused: %s", said);
}

/* A NUL inside would hide what stands behind it. */
const char *idem_redis_text(const redisReply *reply)
{
    int is_text = reply->type == REDIS_REPLY_STRING && memchr(reply->str, '\0', reply->len) == NULL;
    return is_text ? reply->str : NULL;
}

int idem_redis_is_ok(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
}

int idem_redis_is_array(const redisReply *reply, size_t elements)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == elements;
}

int idem_redis_is_number(const redisReply *reply, apr_int64_t least, apr_int64_t most)
{
    return reply->type == REDIS_REPLY_INTEGER && reply->integer >= least && reply->integer <= most;
}

int idem_redis_is_decimal(const redisReply *reply, apr_int64_t most, apr_int64_t *number)
{
    const char *digits = idem_redis_text(reply);
    apr_int64_t n = 0;

    if (!digits || !*digits)
        return 0;
    for (; *digits; digits++) {
        if (!apr_isdigit(*digits) || n > (most - (*digits - '0')) / 10)
            return 0;
        n = n * 10 + (*digits - '0');
    }
    *number = n;
    return 1;
}

int idem_redis_is_time(const redisReply *reply, apr_int64_t *milliseconds)
{
    apr_int64_t seconds, fraction;

    if (!idem_redis_is_array(reply, 2) ||
        !idem_redis_is_decimal(reply->element[0], IDEM_REDIS_TIME_MOST / 1000, &seconds) ||
        !idem_redis_is_decimal(reply->element[1], 999999, &fraction))
        return 0;
    *milliseconds = seconds * 1000 + fraction / 1000;
    return 1;
}
