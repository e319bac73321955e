/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transport.c - bytes over one connection, with TLS or without, each by its call's deadline.
 *
 * Called by conn.c. What always holds: no read and no write blocks, so that nothing waits but patience.c; writing to a
 * closed connection raises no signal. Limits: a connection that failed here is fit to be closed only.
 */
#include "redis_private.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/socket.h>

static apr_status_t transport_lost(idem_call *call, const char *reason)
{
    return idem_fail(call, APR_ECONNRESET, "the connection to Redis was lost: %s", reason);
}

/* ---- with TLS ---------------------------------------------------------------------------------------------------- */

/* After a read or write that could not be done: waits for what it wants, or says why it cannot be. */
static apr_status_t tls_again(idem_redis_conn *conn, idem_call *call, int result)
{
    int error = SSL_get_error(conn->ssl, result);

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return idem_redis_wait(conn, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, call);
    return transport_lost(call, idem_redis_tls_fault(conn, call->pool));
}

/* A server that refuses us closes behind its alert, and what is written then fails: the alert is the reason. */
static apr_status_t tls_write_failed(idem_redis_conn *conn, idem_call *call, int result)
{
    char byte;

    if (conn->broken) {
        conn->broken = 0;
        ERR_clear_error();
        result = SSL_read(conn->ssl, &byte, 1);
    }
    return tls_again(conn, call, result);
}

static apr_status_t tls_write_some(idem_redis_conn *conn, idem_call *call, const char **data, size_t *len)
{
    int written;

    ERR_clear_error();
    written = SSL_write(conn->ssl, *data, (int)(*len < INT_MAX ? *len : INT_MAX));
    if (written <= 0)
        return tls_write_failed(conn, call, written);
    *data += written;
    *len -= (size_t)written;
    return APR_SUCCESS;
}

static apr_status_t tls_read(idem_redis_conn *conn, idem_call *call, char *to, size_t room, size_t *len)
{
    int got;

    ERR_clear_error();
    got = SSL_read(conn->ssl, to, (int)room);
    *len = got > 0 ? (size_t)got : 0;
    return got > 0 ? APR_SUCCESS : tls_again(conn, call, got);
}

/* A ticket may come at any time and is taken; anything else that can be read is too much. */
static int tls_is_quiet(const idem_redis_conn *conn)
{
    char byte;
    int quiet;

    ERR_clear_error();
    quiet =
        SSL_peek(conn->ssl, &byte, 1) <= 0 && SSL_want_read(conn->ssl) && !conn->broken && !SSL_get_shutdown(conn->ssl);
    ERR_clear_error();
    return quiet;
}

/* ---- without ----------------------------------------------------------------------------------------------------- */

static apr_status_t plain_write_some(idem_redis_conn *conn, idem_call *call, const char **data, size_t *len)
{
    ssize_t written = send(conn->redis->fd, *data, *len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (written > 0) {
        *data += written;
        *len -= (size_t)written;
        return APR_SUCCESS;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return idem_redis_wait(conn, POLLOUT, call);
    return errno == EINTR ? APR_SUCCESS : transport_lost(call, strerror(errno));
}

static apr_status_t plain_read(idem_redis_conn *conn, idem_call *call, char *to, size_t room, size_t *len)
{
    apr_status_t rv = idem_redis_wait(conn, POLLIN, call);
    ssize_t got;

    *len = 0;
    if (rv != APR_SUCCESS)
        return rv;
    got = recv(conn->redis->fd, to, room, MSG_DONTWAIT);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR ? APR_SUCCESS : transport_lost(call, strerror(errno));
    if (got == 0)
        return transport_lost(call, "Redis closed it");
    *len = (size_t)got;
    return APR_SUCCESS;
}

/* Its end can be read too, and nothing else is due. */
static int plain_is_quiet(const idem_redis_conn *conn)
{
    struct pollfd ready = {conn->redis->fd, POLLIN, 0};
    return poll(&ready, 1, 0) == 0;
}

/* ---- either ------------------------------------------------------------------------------------------------------ */

apr_status_t idem_redis_write(idem_redis_conn *conn, idem_call *call, const char *data, size_t len)
{
    apr_status_t rv = APR_SUCCESS;

    while (len > 0 && rv == APR_SUCCESS)
        rv = conn->ssl ? tls_write_some(conn, call, &data, &len) : plain_write_some(conn, call, &data, &len);
    return rv;
}

apr_status_t idem_redis_read(idem_redis_conn *conn, idem_call *call, char *to, size_t room, size_t *len)
{
    return conn->ssl ? tls_read(conn, call, to, room, len) : plain_read(conn, call, to, room, len);
}

int idem_redis_line_is_quiet(const idem_redis_conn *conn)
{
    return conn->ssl ? tls_is_quiet(conn) : plain_is_quiet(conn);
}
