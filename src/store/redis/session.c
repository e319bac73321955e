/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.c - what is said first on a new connection, in one round trip.
 *
 * Called where a connection is made. What always holds: a connection that leaves here goes to a primary, whose version
 * has everything the script needs. It is in the right database, and knows how far Redis's clock is ahead. Limits: a
 * server that refuses INFO or CONFIG is used all the same, and its settings are then unknown.
 */
#include "redis_private.h"

#include <apr_strings.h>
#include <strings.h>

typedef struct greeting greeting;

/* Takes a reply; the caller frees it. */
typedef apr_status_t reply_reader(greeting *g, const redisReply *reply);

struct greeting {
    idem_redis_conn *conn;
    idem_call *call;
    reply_reader *readers[8]; /* of the commands sent, in order */
    int count;
    int answered; /* one was, at least */
};

/* ---- what comes back --------------------------------------------------------------------------------------------- */

static apr_status_t read_ok(greeting *g, const redisReply *reply)
{
    return idem_redis_is_ok(reply) ? APR_SUCCESS : idem_redis_refused(g->call, "a greeting", reply);
}

/*
 * A refusal is no failure, and neither is an invalid answer. The setting stays unknown, and counts as the worse one.
 */
static apr_status_t read_info(greeting *g, const redisReply *reply)
{
    const char *info = idem_redis_text(reply), *unfit;

    if (info)
        idem_redis_read_info(&g->conn->facts, info);
    unfit = idem_redis_unfit(&g->conn->facts, g->call->pool);
    return unfit ? idem_fail(g->call, APR_EGENERAL, "%s", unfit) : APR_SUCCESS;
}

/* CONFIG GET NAME: the name and its value, or NULL. */
static const char *config_value(const redisReply *reply, const char *name)
{
    const char *answered = idem_redis_is_array(reply, 2) ? idem_redis_text(reply->element[0]) : NULL;
    return answered && !strcasecmp(answered, name) ? idem_redis_text(reply->element[1]) : NULL;
}

static apr_status_t read_fsync(greeting *g, const redisReply *reply)
{
    const char *value = config_value(reply, "appendfsync");
    apr_cpystrn(g->conn->facts.fsync, value ? value : "", sizeof(g->conn->facts.fsync));
    return APR_SUCCESS;
}

static apr_status_t read_save(greeting *g, const redisReply *reply)
{
    const char *value = config_value(reply, "save");
    if (value)
        apr_cpystrn(g->conn->facts.save, *value ? value : "none", sizeof(g->conn->facts.save));
    return APR_SUCCESS;
}

static apr_status_t read_time(greeting *g, const redisReply *reply)
{
    apr_int64_t now;

    if (!idem_redis_is_time(reply, &now))
        return idem_redis_refused(g->call, "TIME", reply);
    idem_redis_note_time(g->conn, now);
    return APR_SUCCESS;
}

/* ---- what is sent ------------------------------------------------------------------------------------------------ */

static apr_status_t expect_reply(greeting *g, apr_status_t sent, reply_reader *reader)
{
    g->readers[g->count++] = reader;
    return sent;
}

static apr_status_t authenticate_session(greeting *g, const idem_redis *store)
{
    if (!store->password)
        return APR_SUCCESS;
    if (store->user)
        return expect_reply(
            g, idem_redis_send_words(g->conn, g->call, IDEM_WORDS("AUTH", store->user, store->password)), read_ok);
    return expect_reply(g, idem_redis_send_words(g->conn, g->call, IDEM_WORDS("AUTH", store->password)), read_ok);
}

static apr_status_t select_database(greeting *g, const idem_redis *store)
{
    const char *number = apr_itoa(g->call->pool, store->db);
    return store->db ? expect_reply(g, idem_redis_send_words(g->conn, g->call, IDEM_WORDS("SELECT", number)), read_ok)
                     : APR_SUCCESS;
}

/* A server that speaks TLS only hangs up on who speaks none, before it has answered anything. */
static apr_status_t hint_at_tls(const greeting *g, apr_status_t rv)
{
    if (rv == APR_ECONNRESET && !g->conn->ssl && !g->answered)
        g->call->why = apr_psprintf(
            g->call->pool, "%s, before its first answer: if that port speaks TLS, write rediss:", g->call->why);
    return rv;
}

/* TIME comes last, so that its answer is no older than its own way here. */
static apr_status_t greet_server(greeting *g, const idem_redis *store)
{
    idem_redis_conn *conn = g->conn;
    apr_status_t rv = authenticate_session(g, store);

    if (rv == APR_SUCCESS)
        rv = select_database(g, store);
    if (rv == APR_SUCCESS)
        rv = expect_reply(g, idem_redis_send_words(conn, g->call, IDEM_WORDS("CONFIG", "GET", "appendfsync")),
                          read_fsync);
    if (rv == APR_SUCCESS)
        rv = expect_reply(g, idem_redis_send_words(conn, g->call, IDEM_WORDS("CONFIG", "GET", "save")), read_save);
    if (rv == APR_SUCCESS)
        rv = expect_reply(g, idem_redis_send_words(conn, g->call, IDEM_WORDS("INFO")), read_info);
    if (rv == APR_SUCCESS)
        rv = expect_reply(g, idem_redis_send_words(conn, g->call, IDEM_WORDS("TIME")), read_time);
    for (int i = 0; i < g->count && rv == APR_SUCCESS; i++) {
        redisReply *reply;
        rv = idem_redis_receive(conn, g->call, &reply);
        if (rv != APR_SUCCESS)
            break;
        g->answered = 1;
        rv = g->readers[i](g, reply);
        freeReplyObject(reply);
    }
    return hint_at_tls(g, rv);
}

apr_status_t idem_redis_connect(idem_redis *store, idem_call *call, idem_redis_conn **out)
{
    idem_redis_address address = store->servers[0];
    unsigned asked = atomic_load(&store->first_sentinel), generation = atomic_load(&store->generation);
    greeting g = {.call = call};
    apr_status_t rv = store->primary ? idem_redis_find_primary(store, call, &address) : APR_SUCCESS;

    if (rv == APR_SUCCESS)
        rv = idem_redis_dial(store, call, &address, &g.conn);
    if (rv == APR_SUCCESS) {
        g.conn->generation = generation; /* as of before the primary was asked for */
        rv = greet_server(&g, store);
        if (rv == APR_SUCCESS)
            *out = g.conn;
        else
            idem_redis_hang_up(g.conn);
    }
    if (rv != APR_SUCCESS) /* whom it named may be the primary of the past */
        atomic_store(&store->first_sentinel, (asked + 1) % (unsigned)store->server_count);
    return rv;
}
