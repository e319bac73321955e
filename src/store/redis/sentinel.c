/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sentinel.c - asks the sentinels who the primary is.
 *
 * Called whenever a connection is made. It remembers only which sentinel answered last. So every new connection goes to
 * the primary that the sentinels name now. What always holds: each sentinel gets its share of the time that is left.
 * One that hangs does not stop the questions to the others. Where the store speaks TLS, it does so with the sentinels
 * too. Limits: all sentinels have the same password. Nobody tells us that a primary was replaced. It is used until a
 * connection to it fails, or its replicas do not confirm (wait=).
 */
#include "redis_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define HOST_MOST 253 /* characters; no name is longer, no address either */

/* The host goes to the resolver and into sentences. */
static int is_address(const redisReply *reply, apr_int64_t *port)
{
    const char *host;

    if (!idem_redis_is_array(reply, 2) || !idem_redis_is_decimal(reply->element[1], 65535, port) || *port == 0)
        return 0;
    host = idem_redis_text(reply->element[0]);
    if (!host || !*host || reply->element[0]->len > HOST_MOST)
        return 0;
    for (; *host; host++)
        if (!apr_isgraph(*host))
            return 0;
    return 1;
}

static apr_status_t read_address(const idem_redis *store, idem_call *call, const redisReply *reply,
                                 idem_redis_address *address)
{
    apr_int64_t port;

    if (reply->type == REDIS_REPLY_NIL)
        return idem_fail(call, APR_NOTFOUND, "the sentinel knows no primary named %s", store->primary);
    if (!is_address(reply, &port))
        return idem_redis_refused(call, "get-master-addr-by-name", reply);
    address->host = apr_pstrdup(call->pool, reply->element[0]->str);
    address->port = (apr_port_t)port;
    return APR_SUCCESS;
}

static apr_status_t take_login(idem_redis_conn *conn, idem_call *call)
{
    redisReply *reply;
    apr_status_t rv = idem_redis_receive(conn, call, &reply);

    if (rv != APR_SUCCESS)
        return rv;
    if (!idem_redis_is_ok(reply))
        rv = idem_redis_refused(call, "AUTH", reply);
    freeReplyObject(reply);
    return rv;
}

/* Password and question in one round trip. */
static apr_status_t send_question(const idem_redis *store, idem_redis_conn *conn, idem_call *call)
{
    apr_status_t rv = APR_SUCCESS;

    if (store->sentinel_user)
        rv = idem_redis_send_words(conn, call, IDEM_WORDS("AUTH", store->sentinel_user, store->sentinel_password));
    else if (store->sentinel_password)
        rv = idem_redis_send_words(conn, call, IDEM_WORDS("AUTH", store->sentinel_password));
    if (rv == APR_SUCCESS)
        rv = idem_redis_send_words(conn, call, IDEM_WORDS("SENTINEL", "get-master-addr-by-name", store->primary));
    return rv;
}

static apr_status_t ask_sentinel(const idem_redis *store, idem_call *call, const idem_redis_address *sentinel,
                                 idem_redis_address *address)
{
    idem_redis_conn *conn;
    redisReply *reply = NULL;
    apr_status_t rv = idem_redis_dial(store, call, sentinel, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    rv = send_question(store, conn, call);
    if (rv == APR_SUCCESS && store->sentinel_password)
        rv = take_login(conn, call);
    if (rv == APR_SUCCESS)
        rv = idem_redis_receive(conn, call, &reply);
    if (rv == APR_SUCCESS) {
        rv = read_address(store, call, reply, address);
        freeReplyObject(reply);
    }
    idem_redis_hang_up(conn);
    return rv;
}

apr_status_t idem_redis_find_primary(idem_redis *store, idem_call *call, idem_redis_address *address)
{
    unsigned first = atomic_load(&store->first_sentinel);
    apr_status_t rv = APR_EGENERAL;

    for (int i = 0; i < store->server_count; i++) {
        unsigned which = (first + (unsigned)i) % (unsigned)store->server_count;
        const idem_redis_address *sentinel = &store->servers[which];
        idem_call share = *call;

        share.deadline = apr_time_now() + (call->deadline - apr_time_now()) / (store->server_count - i + 1);
        rv = ask_sentinel(store, &share, sentinel, address);
        if (rv == APR_SUCCESS) {
            atomic_store(&store->first_sentinel, which);
            return rv;
        }
        call->why = apr_psprintf(call->pool, "sentinel %s:%u: %s", sentinel->host, sentinel->port, share.why);
    }
    return rv == APR_NOTFOUND ? APR_EGENERAL : rv; /* NOTFOUND means something else to a caller */
}
