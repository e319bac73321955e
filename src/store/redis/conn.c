/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - bytes to a Redis server and back, each by its call's deadline.
 *
 * Called by the redis driver's other files. hiredis connects, formats commands and parses replies; the waiting is done
 * here, since hiredis can only bound one read or write at a time, and a reply that trickles in would be read for ever.
 * What always holds: a connection that failed or timed out is never used again, so that no call can be given the reply
 * of another; writing to a closed connection raises no signal; connections are closed on exec. Limits: looking up a
 * host's name takes as long as the resolver takes.
 */
#include "redis_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>

#define POLL_MOST apr_time_from_sec(60)
#define PIECE 16384 /* bytes read at once */

void idem_redis_note_time(idem_redis_conn *conn, apr_int64_t now)
{
    conn->ahead = now - apr_time_as_msec(idem_monotonic());
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static apr_status_t redis_late(idem_call *call)
{
    return idem_fail(call, APR_TIMEUP, "Redis did not answer in time");
}

static apr_status_t redis_wait(int fd, short what, idem_call *call)
{
    for (;;) {
        struct pollfd ready = {fd, what, 0};
        apr_interval_time_t left = call->deadline - apr_time_now();
        int count;

        if (left <= 0)
            return redis_late(call);
        count = poll(&ready, 1, (int)((left < POLL_MOST ? left : POLL_MOST) / 1000 + 1));
        if (count > 0)
            return APR_SUCCESS;
        if (count < 0 && errno != EINTR)
            return idem_fail(call, errno, "waiting for Redis failed: %s", strerror(errno));
    }
}

static apr_status_t redis_lost(idem_call *call, const char *reason)
{
    return idem_fail(call, APR_ECONNRESET, "the connection to Redis was lost: %s", reason);
}

/* Extra bytes would be taken for the answer to the next command. */
int idem_redis_is_quiet(const idem_redis_conn *conn)
{
    const redisReader *reader = conn->redis->reader;
    struct pollfd ready = {conn->redis->fd, POLLIN, 0};
    return reader->pos == reader->len && poll(&ready, 1, 0) == 0; /* its end can be read too, and nothing else is due */
}

/* ---- words and replies ------------------------------------------------------------------------------------------- */

static apr_status_t write_all(const idem_redis_conn *conn, idem_call *call, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = send(conn->redis->fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        apr_status_t rv = APR_SUCCESS;

        if (written > 0) {
            data += written;
            len -= (size_t)written;
        }
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            rv = redis_wait(conn->redis->fd, POLLOUT, call);
        else if (errno != EINTR)
            rv = redis_lost(call, strerror(errno));
        if (rv != APR_SUCCESS)
            return rv;
    }
    return APR_SUCCESS;
}

apr_status_t idem_redis_send(idem_redis_conn *conn, idem_call *call, int count, const idem_blob *words)
{
    const char **starts = apr_palloc(call->pool, sizeof(*starts) * (apr_size_t)count);
    size_t *lengths = apr_palloc(call->pool, sizeof(*lengths) * (apr_size_t)count);
    char *command;
    apr_status_t rv;
    int len;

    for (int i = 0; i < count; i++) {
        starts[i] = (const char *)words[i].data;
        lengths[i] = words[i].len;
    }
    len = redisFormatCommandArgv(&command, count, starts, lengths);
    if (len < 0)
        return idem_fail(call, APR_ENOMEM, "no memory for a command to Redis");
    rv = write_all(conn, call, command, (size_t)len);
    redisFreeCommand(command);
    return rv;
}

apr_status_t idem_redis_send_words(idem_redis_conn *conn, idem_call *call, const char *const *words)
{
    idem_blob *blobs;
    int count = 0;

    while (words[count])
        count++;
    blobs = apr_palloc(call->pool, sizeof(*blobs) * (apr_size_t)count);
    for (int i = 0; i < count; i++)
        blobs[i] = idem_blob_str(words[i]);
    return idem_redis_send(conn, call, count, blobs);
}

/* One piece of what is there; read here, so that its length is known. */
static apr_status_t redis_read_piece(idem_redis_conn *conn, idem_call *call, apr_size_t *total)
{
    char piece[PIECE];
    ssize_t len = recv(conn->redis->fd, piece, sizeof(piece), MSG_DONTWAIT);

    if (len < 0)
        return errno == EAGAIN || errno == EINTR ? APR_SUCCESS : redis_lost(call, strerror(errno));
    if (len == 0)
        return redis_lost(call, "Redis closed it");
    *total += (apr_size_t)len;
    if (*total > IDEM_REDIS_REPLY_MOST)
        return idem_fail(call, APR_EGENERAL, "Redis sent too long an answer: more than %lu bytes",
                         (unsigned long)IDEM_REDIS_REPLY_MOST);
    return redisReaderFeed(conn->redis->reader, piece, (size_t)len) == REDIS_OK
               ? APR_SUCCESS
               : idem_fail(call, APR_ENOMEM, "no memory for an answer from Redis");
}

static apr_status_t unreadable(const idem_redis_conn *conn, idem_call *call)
{
    if (conn->elements > IDEM_REDIS_ELEMENTS_MOST)
        return idem_fail(call, APR_EGENERAL, "Redis announced an answer of more than %d parts",
                         IDEM_REDIS_ELEMENTS_MOST);
    return redis_lost(call, conn->redis->reader->errstr);
}

apr_status_t idem_redis_receive(idem_redis_conn *conn, idem_call *call, redisReply **reply)
{
    apr_size_t total = 0;
    void *whole = NULL;

    conn->elements = 0;
    while (redisReaderGetReply(conn->redis->reader, &whole) == REDIS_OK) {
        apr_status_t rv;
        *reply = whole;
        if (whole)
            return APR_SUCCESS;
        rv = redis_wait(conn->redis->fd, POLLIN, call);
        if (rv == APR_SUCCESS)
            rv = redis_read_piece(conn, call, &total);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return unreadable(conn, call);
}

#if HIREDIS_MAJOR >= 1
typedef size_t element_count;
#else
typedef int element_count;
#endif

/* hiredis makes room for as many elements as are announced: the sum of all arrays of a reply is bounded. */
static void *create_array(const redisReadTask *task, element_count elements)
{
    idem_redis_conn *conn = task->privdata;

    conn->elements += (apr_uint64_t)elements;
    return conn->elements <= IDEM_REDIS_ELEMENTS_MOST ? conn->create_array(task, elements) : NULL;
}

static void bound_reader(idem_redis_conn *conn)
{
    redisReader *reader = conn->redis->reader;

    conn->functions = *reader->fn;
    conn->create_array = conn->functions.createArray;
    conn->functions.createArray = create_array;
    reader->fn = &conn->functions;
    reader->privdata = conn;
}

/* ---- connecting -------------------------------------------------------------------------------------------------- */

/* From now on nothing waits in hiredis, and no program that is started inherits the connection. */
static void settle_connection(redisContext *redis, int is_tcp)
{
    if (is_tcp)
        redisEnableKeepAlive(redis); /* a host that vanished is noticed while a connection is idle */
    redis->flags &= ~REDIS_BLOCK;
    fcntl(redis->fd, F_SETFL, fcntl(redis->fd, F_GETFL) | O_NONBLOCK);
    fcntl(redis->fd, F_SETFD, FD_CLOEXEC);
}

/* host is a number, or port is 0 and host a path. */
static apr_status_t dial_one(idem_call *call, const char *host, apr_port_t port, redisContext **redis)
{
    apr_interval_time_t left = call->deadline - apr_time_now();
    struct timeval limit = {(time_t)apr_time_sec(left), (suseconds_t)apr_time_usec(left)};
    redisContext *made;

    if (left < 1000)
        return redis_late(call);
    made = port ? redisConnectWithTimeout(host, port, limit) : redisConnectUnixWithTimeout(host, limit);
    if (made && !made->err) {
        settle_connection(made, port != 0);
        *redis = made;
        return APR_SUCCESS;
    }
    idem_fail(call, APR_ECONNREFUSED, "Redis at %s%s%.0u cannot be reached: %s", host, port ? ":" : "", port,
              made ? made->errstr : "no memory");
    if (made)
        redisFree(made);
    return call->deadline <= apr_time_now() ? APR_TIMEUP : APR_ECONNREFUSED;
}

/* One address of the name after another, while there is time. */
static apr_status_t dial_name(idem_call *call, const idem_redis_address *address, redisContext **redis)
{
    apr_sockaddr_t *found;
    apr_status_t rv = apr_sockaddr_info_get(&found, address->host, APR_UNSPEC, address->port, 0, call->pool);

    if (rv != APR_SUCCESS)
        return idem_fail(call, rv, "the name of the Redis host %s has no known address", address->host);
    for (; found; found = found->next) {
        char *number;
        rv = apr_sockaddr_ip_get(&number, found);
        if (rv == APR_SUCCESS)
            rv = dial_one(call, number, address->port, redis);
        if (rv == APR_SUCCESS || rv == APR_TIMEUP)
            break;
    }
    return rv;
}

apr_status_t idem_redis_dial(idem_call *call, const idem_redis_address *address, idem_redis_conn **conn)
{
    redisContext *redis = NULL;
    apr_status_t rv = address->port ? dial_name(call, address, &redis) : dial_one(call, address->host, 0, &redis);

    if (rv != APR_SUCCESS)
        return rv;
    if (!redis)
        return idem_fail(call, APR_ENOMEM, "no memory for a connection to Redis");
    *conn = calloc(1, sizeof(**conn));
    if (!*conn) {
        redisFree(redis);
        return idem_fail(call, APR_ENOMEM, "no memory for a connection to Redis");
    }
    (*conn)->redis = redis;
    bound_reader(*conn);
    return APR_SUCCESS;
}

void idem_redis_hang_up(idem_redis_conn *conn)
{
    redisFree(conn->redis);
    free(conn);
}
