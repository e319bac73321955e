/* SPDX-License-Identifier: Apache-2.0 */
/*
 * answer.c - the answers of memcached, and the sentences about one that did not come or makes no sense.
 *
 * Called by the memcache driver's other files. What always holds: a number is one only if all of it is digits, within
 * its bounds. Each failure leaves its sentence in the call.
 */
#include "memcache_private.h"

#include <apr_lib.h>

int idem_mc_number(const char *digits, apr_int64_t most, apr_int64_t *number)
{
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

static int answer_begins(const char *line, const char *word)
{
    return strncmp(line, word, strlen(word)) == 0;
}

/* Nothing was done. */
int idem_mc_is_refusal(const char *line)
{
    return strcmp(line, "ERROR") == 0 || answer_begins(line, "SERVER_ERROR") || answer_begins(line, "CLIENT_ERROR");
}

apr_status_t idem_mc_nonsense(const idem_mc_op *op, const char *asked)
{
    return idem_fail(op->call, APR_EGENERAL, "memcached at %s gave an invalid answer to %s", op->server->name, asked);
}

int idem_mc_is_late(const idem_mc_op *op)
{
    return idem_clock_uptime() >= op->until;
}

apr_status_t idem_mc_late(const idem_mc_op *op)
{
    return idem_fail(op->call, APR_TIMEUP, "memcached at %s did not answer in time", op->server->name);
}
