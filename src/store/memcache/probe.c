/*
 * probe.c - what a memcached server says of itself, asked on a connection of its own and by a deadline.
 *
 * Called before apr_memcache is trusted with a server, since a call of apr_memcache's can neither be bounded nor told what
 * it is that went wrong, and when it is to be known how a server is set up. What always holds: nothing here waits
 * longer than its deadline; no signal is raised. Limits: looking up a host's name takes as long as the resolver takes.
 */
#include "memcache_private.h"

#include <apr_lib.h>
#include <apr_network_io.h>
#include <apr_portable.h>
#include <apr_strings.h>
#include <errno.h>
#include <sys/socket.h>

#define REPLY_MOST 32768 /* bytes of what it says of itself; it is a tenth of that */

static const char question[] = "stats settings\r\nstats\r\n";

/* ---- bytes --------------------------------------------------------------------------------------------------------- */

static apr_status_t cannot(const idem_mc_server *server, const idem_mc_op *op, const char *what, apr_status_t rv)
{
    char reason[120];

    if (idem_mc_is_late(op) || APR_STATUS_IS_TIMEUP(rv))
        return idem_fail(op->call, APR_TIMEUP, "memcached at %s did not answer in time", server->name);
    return idem_fail(op->call, rv, "memcached at %s %s: %s", server->name, what,
                     apr_strerror(rv, reason, sizeof(reason)));
}

/* The socket waits no longer than what is left; nothing left is a failure. */
static apr_status_t limit(apr_socket_t *socket, const idem_mc_op *op)
{
    apr_interval_time_t left = op->until - idem_clock_uptime();
    return left > 0 ? apr_socket_timeout_set(socket, left) : APR_TIMEUP;
}

static apr_status_t dial(const idem_mc_server *server, const idem_mc_op *op, apr_pool_t *pool, apr_socket_t **socket)
{
    apr_sockaddr_t *address;
    apr_status_t rv = apr_sockaddr_info_get(&address, server->host, APR_INET, server->port, 0, pool);

    if (rv != APR_SUCCESS)
        return idem_fail(op->call, rv, "the address of the memcached host %s is not known", server->host);
    rv = apr_socket_create(socket, APR_INET, SOCK_STREAM, APR_PROTO_TCP, pool);
    if (rv == APR_SUCCESS)
        rv = limit(*socket, op);
    if (rv == APR_SUCCESS)
        rv = apr_socket_connect(*socket, address);
    return rv == APR_SUCCESS ? rv : cannot(server, op, "cannot be reached", rv);
}

/* Short enough to find room at once on a new connection. */
static apr_status_t ask(apr_socket_t *socket)
{
    apr_os_sock_t fd;
    apr_status_t rv = apr_os_sock_get(&fd, socket);

    if (rv == APR_SUCCESS && send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(question) - 1)
        rv = errno ? errno : APR_EGENERAL;
    return rv;
}

/* ---- lines --------------------------------------------------------------------------------------------------------- */

static int begins(const char *line, const char *word)
{
    return strncmp(line, word, strlen(word)) == 0;
}

/* Both kinds of reply have their names, no name is in both. */
static void read_fact(idem_mc_facts *facts, const char *name, const char *value)
{
    if (strcmp(name, "version") == 0)
        apr_cpystrn(facts->version, value, sizeof(facts->version));
    else if (strcmp(name, "time") == 0) {
        facts->time = apr_atoi64(value);
        facts->knows_time = facts->time > 0;
    }
    else if (strcmp(name, "bytes") == 0)
        facts->bytes = (apr_uint64_t)apr_atoi64(value);
    else if (strcmp(name, "limit_maxbytes") == 0)
        facts->bytes_max = (apr_uint64_t)apr_atoi64(value);
    else if (strcmp(name, "evictions") == 0 && !apr_isdigit(*value)) /* the other reply counts them */
        facts->evicts = strcmp(value, "off") != 0;
    else if (strcmp(name, "item_size_max") == 0)
        facts->item_max = (apr_size_t)apr_atoi64(value);
}

/* Takes the whole lines off text; returns how many replies have ended. A refusal is a reply without facts. */
static int read_lines(idem_mc_facts *facts, char *text, apr_size_t *len)
{
    char *line = text, *end;
    int ended = 0;

    text[*len] = '\0';
    for (; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        char *rest, *name;
        *end = '\0';
        if (!begins(line, "STAT ")) {
            ended++;
            continue;
        }
        name = apr_strtok(line + 5, " ", &rest);
        if (name && rest)
            read_fact(facts, name, rest);
    }
    *len -= (apr_size_t)(line - text);
    memmove(text, line, *len);
    return ended;
}

static apr_status_t listen_to(apr_socket_t *socket, const idem_mc_op *op, apr_pool_t *pool, idem_mc_facts *facts)
{
    char *text = apr_palloc(pool, REPLY_MOST + 1);
    apr_size_t len = 0;

    for (int missing = 2; missing > 0;) {
        apr_size_t more = REPLY_MOST - len;
        apr_status_t rv = more ? limit(socket, op) : APR_EGENERAL;
        if (rv == APR_SUCCESS)
            rv = apr_socket_recv(socket, text + len, &more);
        if (rv != APR_SUCCESS && !(APR_STATUS_IS_EOF(rv) && more))
            return rv;
        len += more;
        missing -= read_lines(facts, text, &len);
    }
    return APR_SUCCESS;
}

apr_status_t idem_mc_probe(const idem_mc_server *server, const idem_mc_op *op, idem_mc_facts *facts)
{
    apr_socket_t *socket = NULL;
    apr_pool_t *pool;
    apr_status_t rv;

    memset(facts, 0, sizeof(*facts));
    facts->evicts = -1;
    apr_pool_create(&pool, op->call->pool);
    rv = dial(server, op, pool, &socket);
    if (rv == APR_SUCCESS) {
        rv = ask(socket);
        if (rv == APR_SUCCESS)
            rv = listen_to(socket, op, pool, facts);
        if (rv != APR_SUCCESS)
            rv = cannot(server, op, "does not say how it is set up", rv);
        else if (!facts->knows_time)
            rv = idem_fail(op->call, APR_EGENERAL, "memcached at %s does not tell its time, and cannot be used",
                           server->name);
    }
    apr_pool_destroy(pool);
    return rv;
}
