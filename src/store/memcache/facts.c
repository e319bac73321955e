/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts.c - what a memcached server says of itself, by a deadline.
 *
 * The driver calls it on each new connection before its use, and to find out how a server is set up. What always holds:
 * nothing here waits longer than its deadline. A number counts only if it is one, within its bounds. Limits: a fact
 * that a server does not tell is unknown. A server that does not tell its time cannot be used.
 */
#include "memcache_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define LINES_MOST 2000                     /* it says about two hundred */
#define TIME_MOST APR_INT64_C(253402300799) /* seconds: the end of the year 9999 */
#define BYTES_MOST ((apr_int64_t)1 << 60)

static const char question[] = "stats settings\r\nstats\r\n";

/* A whole decimal number from 0 to most, else -1. */
static apr_int64_t stats_number(const char *digits, apr_int64_t most)
{
    apr_int64_t n;
    return idem_mc_number(digits, most, &n) ? n : -1;
}

static void set_bytes(apr_uint64_t *to, const char *value)
{
    apr_int64_t n = stats_number(value, BYTES_MOST);
    *to = n > 0 ? (apr_uint64_t)n : 0;
}

static void set_version(idem_mc_facts *facts, const char *value)
{
    apr_cpystrn(facts->version, value, sizeof(facts->version));
    for (char *c = facts->version; *c; c++)
        if (!apr_isgraph(*c))
            *c = '?';
}

/* Both kinds of reply have their names, no name is in both. */
static void read_fact(idem_mc_facts *facts, const char *name, const char *value)
{
    if (strcmp(name, "version") == 0)
        set_version(facts, value);
    else if (strcmp(name, "time") == 0) {
        facts->time = stats_number(value, TIME_MOST);
        facts->knows_time = facts->time > 0;
    }
    else if (strcmp(name, "bytes") == 0)
        set_bytes(&facts->bytes, value);
    else if (strcmp(name, "limit_maxbytes") == 0)
        set_bytes(&facts->bytes_max, value);
    else if (strcmp(name, "evictions") == 0 && !apr_isdigit(*value)) /* the other reply counts them */
        facts->evicts = strcmp(value, "off") != 0;
    else if (strcmp(name, "item_size_max") == 0) {
        apr_int64_t most = stats_number(value, BYTES_MOST);
        facts->item_max = most < 0 ? 0 : (apr_size_t)most < IDEM_MC_ITEM_MOST ? (apr_size_t)most : IDEM_MC_ITEM_MOST;
    }
}

/* One of the two replies: lines of facts, and one that is none. A refusal is a reply without facts. */
static apr_status_t read_facts(const idem_mc_op *op, idem_mc_conn *conn, idem_mc_facts *facts)
{
    for (int i = 0; i < LINES_MOST; i++) {
        char *line, *rest, *name;
        apr_status_t rv = idem_mc_read_line(op, conn, op->until, &line);

        if (rv != APR_SUCCESS)
            return rv;
        if (strncmp(line, "STAT ", 5) != 0)
            return APR_SUCCESS;
        name = apr_strtok(line + 5, " ", &rest);
        if (name && rest)
            read_fact(facts, name, rest);
    }
    return idem_mc_nonsense(op, "stats");
}

apr_status_t idem_mc_read_facts(const idem_mc_op *op, idem_mc_conn *conn, idem_mc_facts *facts)
{
    apr_status_t rv = idem_mc_say(op, conn, op->until, idem_blob_str(question), 0);

    memset(facts, 0, sizeof(*facts));
    facts->evicts = -1;
    for (int i = 0; i < 2 && rv == APR_SUCCESS; i++)
        rv = read_facts(op, conn, facts);
    if (rv != APR_SUCCESS && rv != APR_TIMEUP)
        return idem_fail(op->call, rv, "memcached at %s does not show its settings (%s)", op->server->name,
                         op->call->why);
    if (rv == APR_SUCCESS && !facts->knows_time)
        return idem_fail(op->call, APR_EGENERAL, "memcached at %s does not show its time: the module cannot use it",
                         op->server->name);
    return rv != APR_SUCCESS || idem_mc_is_quiet(conn) ? rv : idem_mc_nonsense(op, "stats");
}

apr_status_t idem_mc_ask_facts(const idem_mc_op *op, idem_mc_facts *facts)
{
    idem_mc_conn *conn;
    apr_status_t rv = idem_mc_dial(op, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    rv = idem_mc_read_facts(op, conn, facts);
    idem_mc_hang_up(conn);
    return rv;
}
