/*
 * sentinel.c - asks the sentinels who the primary is.
 *
 * Called whenever a connection is made; nothing is remembered but which sentinel answered last, so every new connection
 * goes to whom the sentinels name now. What always holds: each sentinel gets its share of the time that is left, so
 * that one that hangs does not keep the others from being asked. Limits: sentinels that want a password are not
 * supported; a primary that was replaced without anybody telling us is used until a connection to it fails, or its
 * replicas do not confirm (wait=).
 */
#include "redis_private.h"

#include <apr_strings.h>
#include <stdlib.h>

static int is_address(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[0]->type == REDIS_REPLY_STRING &&
           reply->element[1]->type == REDIS_REPLY_STRING;
}

static apr_status_t read_address(const idem_redis *store, idem_call *call, const redisReply *reply,
                                 idem_redis_address *address)
{
    if (reply->type == REDIS_REPLY_NIL)
        return idem_fail(call, APR_NOTFOUND, "the sentinel knows no primary named %s", store->primary);
    if (!is_address(reply))
        return idem_redis_refused(call, reply);
    address->host = apr_pstrdup(call->pool, reply->element[0]->str);
    address->port = (apr_port_t)atoi(reply->element[1]->str);
    return address->port ? APR_SUCCESS : idem_redis_refused(call, reply);
}

static apr_status_t ask(const idem_redis *store, idem_call *call, const idem_redis_address *sentinel,
                        idem_redis_address *address)
{
    idem_redis_conn *conn;
    redisReply *reply = NULL;
    apr_status_t rv = idem_redis_dial(call, sentinel, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    rv = idem_redis_send_words(conn, call, IDEM_WORDS("SENTINEL", "get-master-addr-by-name", store->primary));
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
        rv = ask(store, &share, sentinel, address);
        if (rv == APR_SUCCESS) {
            atomic_store(&store->first_sentinel, which);
            return rv;
        }
        call->why = apr_psprintf(call->pool, "sentinel %s:%u: %s", sentinel->host, sentinel->port, share.why);
    }
    return rv == APR_NOTFOUND ? APR_EGENERAL : rv; /* NOTFOUND means something else to a caller */
}
