/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.c - the connections to one server, and one key at a time.
 *
 * The memcache driver calls it, from any thread. A thread uses one connection at a time, and takes a waiting one before
 * it makes a new one. What always holds: a connection is used only after the server has told its setup on it, by the
 * call's deadline. There are never more connections than threads. A server that did not answer is left alone for a
 * second, and every call in that second fails at once. An event on one connection (a restart, an idle limit) concerns
 * the others too, so all are replaced together. They are also replaced each minute, with a fresh look at the server's
 * clock. A connection that carried anything but the answer to its question is not used again.
 *
 * A read ends by the deadline, and does no harm. A call that stores a key ends when the server has answered or the
 * connection is broken, however long that takes. So a claim cannot arrive after its own withdrawal (slot.c). Limits: if
 * the server hangs, a thread that stores a key waits until the server goes on or the connection breaks.
 */
#include "memcache_private.h"

#include <apr_strings.h>

#define RETRY_PAUSE apr_time_from_sec(1)
#define LINK_LIFE apr_time_from_sec(60)
#define RELATIVE_MOST (60 * 60 * 24 * 30) /* seconds; memcached takes more for a date */

/* ---- connections: the server's lock is held ---------------------------------------------------------------------- */

static void close_idle(idem_mc_server *server)
{
    while (!APR_RING_EMPTY(&server->idle, idem_mc_conn, link)) {
        idem_mc_conn *conn = APR_RING_FIRST(&server->idle);
        APR_RING_REMOVE(conn, link);
        idem_mc_hang_up(conn);
    }
}

static void retire_server(idem_mc_server *server)
{
    server->generation++;
    close_idle(server);
}

static idem_mc_conn *usable_idle(idem_mc_server *server)
{
    while (!APR_RING_EMPTY(&server->idle, idem_mc_conn, link)) {
        idem_mc_conn *conn = APR_RING_FIRST(&server->idle);

        APR_RING_REMOVE(conn, link);
        if (idem_clock_uptime() - conn->born <= LINK_LIFE && idem_mc_is_quiet(conn))
            return conn;
        idem_mc_hang_up(conn);
        retire_server(server);
    }
    return NULL;
}

/* A new connection, on which the server has just answered. A server counts as down only if it had enough time. */
static apr_status_t make_connection(idem_mc_server *server, const idem_mc_op *op, idem_mc_conn **conn)
{
    apr_time_t began = idem_clock_uptime();
    idem_mc_facts facts;
    apr_status_t rv;

    if (server->busy >= server->connections_most)
        return idem_fail(op->call, APR_EAGAIN, "all %d connections to memcached at %s are in use",
                         server->connections_most, server->name);
    if (began < server->retry_at)
        return idem_fail(op->call, APR_ECONNREFUSED, "%s", server->reason);
    if (began >= op->until)
        return idem_mc_late(op);
    rv = idem_mc_dial(op, conn);
    if (rv == APR_SUCCESS) {
        rv = idem_mc_read_facts(op, *conn, &facts);
        if (rv == APR_SUCCESS) {
            server->ahead = facts.time * 1000 - apr_time_as_msec(idem_clock_uptime());
            (*conn)->item_max = facts.item_max > IDEM_MC_ITEM_USUAL ? facts.item_max : IDEM_MC_ITEM_USUAL;
            return rv;
        }
        idem_mc_hang_up(*conn);
    }
    if (rv != APR_TIMEUP || idem_clock_uptime() - began >= server->timeout / 2) {
        server->retry_at = idem_clock_uptime() + RETRY_PAUSE;
        apr_cpystrn(server->reason, op->call->why, sizeof(server->reason));
        retire_server(server);
    }
    return rv;
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

static apr_status_t server_enter(const idem_mc_op *op, idem_mc_conn **out)
{
    idem_mc_server *server = op->server;
    apr_status_t rv = APR_SUCCESS;

    apr_thread_mutex_lock(server->lock);
    *out = usable_idle(server);
    if (!*out)
        rv = make_connection(server, op, out);
    if (rv == APR_SUCCESS && *out) {
        server->busy++;
        (*out)->generation = server->generation;
    }
    apr_thread_mutex_unlock(server->lock);
    return *out || rv != APR_SUCCESS ? rv : APR_EGENERAL;
}

/* trusted: the answer came, and no error occurred. */
static void server_leave(const idem_mc_op *op, idem_mc_conn *conn, int trusted)
{
    idem_mc_server *server = op->server;
    int is_quiet = trusted && idem_mc_is_quiet(conn);

    apr_thread_mutex_lock(server->lock);
    server->busy--;
    if (!is_quiet && conn->generation == server->generation)
        retire_server(server);
    if (conn->generation == server->generation)
        APR_RING_INSERT_HEAD(&server->idle, conn, idem_mc_conn, link);
    else
        idem_mc_hang_up(conn);
    apr_thread_mutex_unlock(server->lock);
}

/* "VALUE KEY FLAGS BYTES": of the key that was asked for, and no more bytes than an item has. */
static int is_value(const idem_mc_conn *conn, char *line, const char *key, apr_size_t *len)
{
    char *rest, *word = apr_strtok(line, " ", &rest);
    apr_int64_t number;

    if (!word || strcmp(word, "VALUE") != 0)
        return 0;
    word = apr_strtok(NULL, " ", &rest);
    if (!word || strcmp(word, key) != 0 ||
        !idem_mc_number(apr_strtok(NULL, " ", &rest), APR_INT64_C(0xffffffff), &number) ||
        !idem_mc_number(apr_strtok(NULL, " ", &rest), (apr_int64_t)conn->item_max, &number) ||
        apr_strtok(NULL, " ", &rest))
        return 0;
    *len = (apr_size_t)number;
    return 1;
}

static apr_status_t read_value(const idem_mc_op *op, idem_mc_conn *conn, const char *key, char *line, idem_blob *value)
{
    unsigned char *data;
    apr_size_t len;
    apr_status_t rv;

    if (!is_value(conn, line, key, &len))
        return idem_mc_nonsense(op, "get");
    data = apr_palloc(op->call->pool, len + 2);
    rv = idem_mc_read_block(op, conn, op->until, data, len + 2);
    if (rv == APR_SUCCESS)
        rv = idem_mc_read_line(op, conn, op->until, &line);
    if (rv != APR_SUCCESS)
        return rv;
    if (memcmp(data + len, "\r\n", 2) != 0 || strcmp(line, "END") != 0)
        return idem_mc_nonsense(op, "get");
    *value = idem_blob_of(data, len);
    return APR_SUCCESS;
}

static apr_status_t get_once(const idem_mc_op *op, const char *key, idem_blob *value)
{
    const char *question = apr_pstrcat(op->call->pool, "get ", key, "\r\n", NULL);
    idem_mc_conn *conn;
    char *line;
    apr_status_t rv = server_enter(op, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    rv = idem_mc_say(op, conn, op->until, idem_blob_str(question), 0);
    if (rv == APR_SUCCESS)
        rv = idem_mc_read_line(op, conn, op->until, &line);
    if (rv == APR_SUCCESS)
        rv = strcmp(line, "END") == 0 ? APR_NOTFOUND : read_value(op, conn, key, line, value);
    server_leave(op, conn, rv == APR_SUCCESS || rv == APR_NOTFOUND);
    return rv;
}

static int is_lost(const idem_mc_op *op, apr_status_t rv)
{
    return rv != APR_SUCCESS && rv != APR_NOTFOUND && rv != APR_EEXIST && rv != IDEM_EFULL && !idem_mc_is_late(op);
}

apr_status_t idem_mc_get(const idem_mc_op *op, const char *key, idem_blob *value)
{
    apr_status_t rv = get_once(op, key, value);
    return is_lost(op, rv) ? get_once(op, key, value) : rv;
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* What is to be stored, and how. */
typedef struct item {
    const char *how; /* add, replace */
    const char *key;
    idem_blob value;
    apr_int64_t life;
} item;

apr_int64_t idem_mc_now(const idem_mc_op *op)
{
    apr_int64_t ahead;

    apr_thread_mutex_lock(op->server->lock);
    ahead = op->server->ahead;
    apr_thread_mutex_unlock(op->server->lock);
    return (apr_time_as_msec(idem_clock_uptime()) + ahead) / 1000;
}

/*
 * Seconds as memcached counts them. An item expires with the tick of a second that has already begun, so this asks for
 * one more.
 */
static apr_uint32_t item_expiry(const idem_mc_op *op, apr_int64_t life)
{
    apr_int64_t seconds = (life > 0 ? life : 0) + 1;
    apr_int64_t date = seconds < RELATIVE_MOST ? seconds : idem_mc_now(op) + 1 + seconds;
    return date < APR_INT32_MAX ? (apr_uint32_t)date : APR_INT32_MAX; /* memcached reads a signed number */
}

static apr_status_t say_item(const idem_mc_op *op, const idem_mc_conn *conn, const item *it)
{
    const char *head = apr_psprintf(op->call->pool, "%s %s 0 %u %" APR_SIZE_T_FMT "\r\n", it->how, it->key,
                                    item_expiry(op, it->life), it->value.len);
    apr_status_t rv = idem_mc_say(op, conn, 0, idem_blob_str(head), 1);

    if (rv == APR_SUCCESS)
        rv = idem_mc_say(op, conn, 0, it->value, 1);
    return rv == APR_SUCCESS ? idem_mc_say(op, conn, 0, idem_blob_str("\r\n"), 0) : rv;
}

/* APR_EEXIST: the server's word that it was not stored, since there is one (add) or none (replace). */
static apr_status_t meaning_of(const idem_mc_op *op, const item *it, const char *line)
{
    if (strcmp(line, "STORED") == 0)
        return APR_SUCCESS;
    if (strcmp(line, "NOT_STORED") == 0)
        return APR_EEXIST;
    if (idem_mc_is_refusal(line))
        return idem_fail(op->call, IDEM_EFULL, "memcached at %s has no room for a value of %lu bytes", op->server->name,
                         (unsigned long)it->value.len);
    return idem_mc_nonsense(op, it->how);
}

static apr_status_t put_once(const idem_mc_op *op, const item *it)
{
    idem_mc_conn *conn;
    char *line;
    apr_status_t rv = server_enter(op, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    rv = say_item(op, conn, it);
    if (rv == APR_SUCCESS)
        rv = idem_mc_read_line(op, conn, 0, &line);
    if (rv == APR_SUCCESS)
        rv = meaning_of(op, it, line);
    server_leave(op, conn, rv == APR_SUCCESS || rv == APR_EEXIST || rv == IDEM_EFULL);
    return rv;
}

static int same_bytes(idem_blob a, idem_blob b)
{
    return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

/*
 * A repetition is safe: an add that was done meets its own value, and a replacement replaces it by the same. If the add
 * met a value, look whose it is: everything that a closed connection brought to the server has arrived by now.
 */
static apr_status_t put_surely(const idem_mc_op *op, const item *it)
{
    apr_status_t rv = idem_mc_is_late(op) ? idem_mc_late(op) : put_once(op, it);
    idem_blob there = {NULL, 0};

    if (!is_lost(op, rv))
        return rv;
    rv = put_once(op, it);
    if (rv != APR_EEXIST || strcmp(it->how, "add") != 0)
        return rv;
    rv = idem_mc_get(op, it->key, &there);
    if (rv == APR_SUCCESS)
        return same_bytes(there, it->value) ? APR_SUCCESS : APR_EEXIST;
    return rv == APR_NOTFOUND ? APR_EEXIST : rv;
}

apr_status_t idem_mc_add(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life)
{
    item it = {"add", key, value, life};
    return put_surely(op, &it);
}

apr_status_t idem_mc_replace(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life)
{
    item it = {"replace", key, value, life};
    apr_status_t rv = put_surely(op, &it);
    return rv == APR_EEXIST ? APR_NOTFOUND : rv;
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

apr_status_t idem_mc_server_start(idem_mc_server *server, const idem_mc_op *op, apr_pool_t *pool)
{
    idem_mc_conn *conn;
    apr_status_t rv = apr_thread_mutex_create(&server->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    APR_RING_INIT(&server->idle, idem_mc_conn, link);
    server->busy = 0;
    server->retry_at = 0;
    if (rv == APR_SUCCESS)
        rv = server_enter(op, &conn);
    if (rv == APR_SUCCESS)
        server_leave(op, conn, 1);
    return rv;
}

void idem_mc_server_stop(idem_mc_server *server)
{
    if (server->lock)
        close_idle(server);
    server->lock = NULL;
}
