/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - bytes to a memcached server and back, in lines and blocks of known bounds.
 *
 * The memcache driver's other files call it. It does not use apr_memcache (read in apr-util 1.6.3), for three reasons:
 * apr_memcache keeps as many bytes as a server announces. It waits for them without a deadline. It cannot tell a
 * refusal from a closed connection. What always holds: every read has a bound. Writing to a closed connection raises no
 * signal. Connections are closed on exec. until is a time by uptime; 0 waits until the server answers or the connection
 * breaks. Limits: a look-up of a host's name takes as long as the resolver takes.
 */
#include "memcache_private.h"

#include <apr_network_io.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define POLL_MOST apr_time_from_sec(60)

/* ---- reasons ----------------------------------------------------------------------------------------------------- */

static apr_status_t mc_lost(const idem_mc_op *op, int number)
{
    char reason[120];
    return idem_fail(op->call, APR_ECONNRESET, "the connection to memcached at %s was lost: %s", op->server->name,
                     number ? apr_strerror(number, reason, sizeof(reason)) : "the server closed it");
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

static apr_status_t mc_wait(const idem_mc_op *op, int fd, short what, apr_time_t until)
{
    for (;;) {
        struct pollfd ready = {fd, what, 0};
        apr_interval_time_t left = until ? until - idem_clock_uptime() : POLL_MOST;
        int count;

        if (left <= 0)
            return idem_mc_late(op);
        count = poll(&ready, 1, (int)((left < POLL_MOST ? left : POLL_MOST) / 1000 + 1));
        if (count > 0)
            return APR_SUCCESS;
        if (count < 0 && errno != EINTR)
            return mc_lost(op, errno);
    }
}

static apr_status_t server_unreachable(const idem_mc_op *op, int number)
{
    char reason[120];
    return idem_fail(op->call, number, "memcached at %s cannot be reached: %s", op->server->name,
                     apr_strerror(number, reason, sizeof(reason)));
}

static apr_status_t connect_fd(const idem_mc_op *op, int fd, const apr_sockaddr_t *address)
{
    socklen_t len = sizeof(int);
    int number = 0, one = 1;
    apr_status_t rv;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, (const struct sockaddr *)&address->sa, address->salen) == 0)
        return APR_SUCCESS;
    if (errno != EINPROGRESS)
        return server_unreachable(op, errno);
    rv = mc_wait(op, fd, POLLOUT, op->until);
    if (rv == APR_SUCCESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &len) == 0 && number)
        rv = server_unreachable(op, number);
    return rv;
}

apr_status_t idem_mc_dial(const idem_mc_op *op, idem_mc_conn **out)
{
    const idem_mc_server *server = op->server;
    apr_sockaddr_t *address;
    idem_mc_conn *conn;
    apr_status_t rv = apr_sockaddr_info_get(&address, server->host, APR_INET, server->port, 0, op->call->pool);
    int fd;

    if (rv != APR_SUCCESS)
        return idem_fail(op->call, rv, "the name of the memcached host %s has no known address", server->host);
    if (idem_mc_is_late(op))
        return idem_mc_late(op);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return server_unreachable(op, errno);
    rv = connect_fd(op, fd, address);
    conn = rv == APR_SUCCESS ? calloc(1, sizeof(*conn)) : NULL;
    if (conn) {
        conn->fd = fd;
        conn->born = idem_clock_uptime();
        *out = conn;
        return APR_SUCCESS;
    }
    close(fd);
    return rv == APR_SUCCESS ? idem_fail(op->call, APR_ENOMEM, "no memory for a connection to memcached") : rv;
}

void idem_mc_hang_up(idem_mc_conn *conn)
{
    close(conn->fd);
    free(conn);
}

int idem_mc_is_quiet(const idem_mc_conn *conn)
{
    struct pollfd ready = {conn->fd, POLLIN, 0};
    return conn->at == conn->len && poll(&ready, 1, 0) == 0; /* its end can be read too, and nothing else is due */
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

apr_status_t idem_mc_say(const idem_mc_op *op, const idem_mc_conn *conn, apr_time_t until, idem_blob bytes, int more)
{
    while (bytes.len > 0) {
        ssize_t sent = send(conn->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
        apr_status_t rv = APR_SUCCESS;

        if (sent > 0)
            bytes = idem_blob_of(bytes.data + sent, bytes.len - (apr_size_t)sent);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            rv = mc_wait(op, conn->fd, POLLOUT, until);
        else if (errno != EINTR)
            rv = mc_lost(op, errno);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return APR_SUCCESS;
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* At most so many bytes to there; at least one. */
static apr_status_t read_some(const idem_mc_op *op, const idem_mc_conn *conn, apr_time_t until, void *to,
                              apr_size_t room, apr_size_t *count)
{
    for (;;) {
        ssize_t len = recv(conn->fd, to, room, MSG_DONTWAIT);
        apr_status_t rv = APR_SUCCESS;

        *count = len > 0 ? (apr_size_t)len : 0;
        if (len > 0)
            return APR_SUCCESS;
        if (len == 0)
            return mc_lost(op, 0);
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            rv = mc_wait(op, conn->fd, POLLIN, until);
        else if (errno != EINTR)
            rv = mc_lost(op, errno);
        if (rv != APR_SUCCESS)
            return rv;
    }
}

apr_status_t idem_mc_read_line(const idem_mc_op *op, idem_mc_conn *conn, apr_time_t until, char **line)
{
    apr_size_t scanned = 0, count;

    for (;;) {
        char *text = conn->buffer + conn->at;
        char *end = memchr(text + scanned, '\n', conn->len - conn->at - scanned);
        apr_status_t rv;

        if (end) {
            conn->at += (apr_size_t)(end - text) + 1;
            if (end == text || end[-1] != '\r' || memchr(text, '\0', (apr_size_t)(end - text)))
                return idem_mc_nonsense(op, "a command");
            end[-1] = '\0';
            *line = text;
            return APR_SUCCESS;
        }
        scanned = conn->len - conn->at;
        memmove(conn->buffer, text, scanned);
        conn->at = 0;
        conn->len = scanned;
        if (scanned == sizeof(conn->buffer))
            return idem_mc_nonsense(op, "a command");
        rv = read_some(op, conn, until, conn->buffer + scanned, sizeof(conn->buffer) - scanned, &count);
        if (rv != APR_SUCCESS)
            return rv;
        conn->len += count;
    }
}

apr_status_t idem_mc_read_block(const idem_mc_op *op, idem_mc_conn *conn, apr_time_t until, unsigned char *to,
                                apr_size_t len)
{
    apr_size_t kept = conn->len - conn->at < len ? conn->len - conn->at : len, count;
    apr_status_t rv = APR_SUCCESS;

    memcpy(to, conn->buffer + conn->at, kept);
    conn->at += kept;
    for (apr_size_t at = kept; at < len && rv == APR_SUCCESS; at += count)
        rv = read_some(op, conn, until, to + at, len - at, &count);
    return rv;
}
