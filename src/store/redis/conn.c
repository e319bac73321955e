/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - commands to a Redis server and its replies, each by its call's deadline.
 *
 * Called by the redis driver's other files. hiredis connects, formats commands and parses replies. Bytes go through
 * transport.c: hiredis can only bound one read or write at a time, and would read a trickling reply for ever. What
 * always holds: a connection that failed or timed out is never used again, so no call gets the reply of another.
 * Connections are closed on exec. Limits: looking up a host's name takes as long as the resolver takes.
 */
#include "redis_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <fcntl.h>
#include <stdlib.h>

#define PIECE 16384 /* bytes read at once */

void idem_redis_note_time(idem_redis_conn *conn, apr_int64_t now)
{
    conn->ahead = now - apr_time_as_msec(idem_monotonic());
}

static apr_status_t redis_lost(idem_call *call, const char *reason)
{
    return idem_fail(call, APR_ECONNRESET, "the connection to Redis was lost: %s", reason);
}

/* Extra bytes would be taken for the answer to the next command. */
int idem_redis_is_quiet(const idem_redis_conn *conn)
{
    const redisReader *reader = conn->redis->reader;
    return reader->pos == reader->len && idem_redis_line_is_quiet(conn);
}

/* ---- words and replies ------------------------------------------------------------------------------------------- */

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
    rv = idem_redis_write(conn, call, command, (size_t)len);
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
    size_t len;
    apr_status_t rv = idem_redis_read(conn, call, piece, sizeof(piece), &len);

    if (rv != APR_SUCCESS)
        return rv;
    *total += len;
    if (*total > IDEM_REDIS_REPLY_MOST)
        return idem_fail(call, APR_EGENERAL, "Redis sent too long an answer: more than %lu bytes",
                         (unsigned long)IDEM_REDIS_REPLY_MOST);
    return redisReaderFeed(conn->redis->reader, piece, len) == REDIS_OK
               ? APR_SUCCESS
               : idem_fail(call, APR_ENOMEM, "no memory for an answer from Redis");
}

static apr_status_t reply_unreadable(const idem_redis_conn *conn, idem_call *call)
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
        rv = redis_read_piece(conn, call, &total);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return reply_unreadable(conn, call);
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
        return idem_redis_late(call);
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

/* NULL if it cannot be had; *rv says why. */
static idem_redis_conn *dial_line(idem_call *call, const idem_redis_address *address, apr_status_t *rv)
{
    redisContext *redis = NULL;
    idem_redis_conn *conn;

    *rv = address->port ? dial_name(call, address, &redis) : dial_one(call, address->host, 0, &redis);
    if (*rv != APR_SUCCESS)
        return NULL;
    conn = redis ? calloc(1, sizeof(*conn)) : NULL;
    if (!conn) {
        redisFree(redis);
        *rv = idem_fail(call, APR_ENOMEM, "no memory for a connection to Redis");
        return NULL;
    }
    conn->redis = redis;
    bound_reader(conn);
    return conn;
}

/* The handshake, where the store speaks TLS; the connection is closed if it fails. *again: it failed with a session. */
static apr_status_t greet_line(const idem_redis *store, idem_call *call, const idem_redis_address *address,
                               idem_redis_conn *conn, int *again)
{
    apr_status_t rv;

    *again = 0;
    if (!store->tls || !address->port)
        return APR_SUCCESS;
    rv = idem_redis_tls_greet(conn, store->tls, call, address);
    if (rv == APR_SUCCESS)
        return rv;
    if (conn->offered && rv != APR_TIMEUP) {
        idem_redis_tls_forget_session(conn);
        *again = 1;
    }
    idem_redis_hang_up(conn);
    return rv;
}

/* A server may give out sessions that it does not take back: then it is asked once more, without one. */
apr_status_t idem_redis_dial(const idem_redis *store, idem_call *call, const idem_redis_address *address,
                             idem_redis_conn **conn)
{
    apr_status_t rv = APR_EGENERAL;
    int again = 1;

    while (again) {
        idem_redis_conn *made = dial_line(call, address, &rv);

        if (!made)
            return rv;
        rv = greet_line(store, call, address, made, &again);
        if (rv == APR_SUCCESS)
            *conn = made;
    }
    return rv;
}

void idem_redis_hang_up(idem_redis_conn *conn)
{
    idem_redis_tls_end(conn);
    redisFree(conn->redis);
    free(conn);
}
