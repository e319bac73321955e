/*
 * server.c - apr_memcache's connections to one server, and one key at a time.
 *
 * Called by the memcache driver, from any thread. apr_memcache has the protocol and the pool of connections. What it does
 * about servers that fail is not used: it would go on to another server, where the slot's keys are not, or take one that
 * is down for a key that is not there. So each server has an apr_memcache_t of its own, which always answers with that
 * one, and whether it is down is known here.
 *
 * What always holds: apr_memcache is asked to open a connection only after the server has just answered on one of ours, by
 * the call's deadline; there are never more connections than threads; a server that did not answer is left alone for a
 * second, and every call in that second fails at once. What one connection has seen (a restart, an idle limit) the others
 * will see too, so all are replaced together; and each minute in any case, with a fresh look at the server's clock.
 *
 * Limits: a call that is inside apr_memcache when its server hangs is there until the server goes on or the connection
 * breaks; the next one that would need a connection more finds out. apr_memcache reads the end of a connection as a
 * refusal, see put(). It does not look whether a value was written whole either: a process that is stopped while a large
 * one is on its way can lose that connection, and the thread with it.
 */
#include "memcache_private.h"
#include "pools.h"

#include <apr_allocator.h>
#include <apr_strings.h>
#include <stdarg.h>

#define RETRY_PAUSE apr_time_from_sec(1)
#define LINK_LIFE apr_time_from_sec(60)
#define RELATIVE_MOST (60 * 60 * 24 * 30) /* seconds; memcached takes more for a date */

int idem_mc_is_late(const idem_mc_op *op)
{
    return idem_clock_uptime() >= op->until;
}

static apr_status_t late(const idem_mc_op *op)
{
    return idem_fail(op->call, APR_TIMEUP, "memcached at %s did not answer in time", op->server->name);
}

/* ---- links: the server's lock is held ------------------------------------------------------------------------------ */

static apr_memcache_server_t *the_only_one(void *baton, apr_memcache_t *cache, const apr_uint32_t hash)
{
    (void)baton, (void)hash;
    return cache->live_servers[0];
}

static apr_status_t make_link(idem_mc_server *server, idem_mc_link **out)
{
    apr_uint32_t most = (apr_uint32_t)server->connections_most;
    apr_memcache_server_t *remote;
    apr_thread_mutex_t *mutex;
    idem_mc_link *link;
    apr_pool_t *pool;
    /* Nobody's child: a process may end with a call inside, and apr_reslist aborts where that is seen. */
    apr_status_t rv = idem_pool_alone(&pool);

    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_thread_mutex_create(&mutex, APR_THREAD_MUTEX_DEFAULT, pool); /* connections are made by any thread */
    if (rv == APR_SUCCESS) {
        apr_allocator_mutex_set(apr_pool_allocator_get(pool), mutex);
        link = apr_pcalloc(pool, sizeof(*link));
        link->pool = pool;
        link->born = idem_clock_uptime();
        rv = apr_memcache_create(pool, 1, 0, &link->cache);
    }
    if (rv == APR_SUCCESS)
        rv = apr_memcache_server_create(pool, server->host, server->port, 0, most, most, 0, &remote);
    if (rv == APR_SUCCESS)
        rv = apr_memcache_add_server(link->cache, remote);
    if (rv != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return rv;
    }
    link->cache->server_func = the_only_one;
    *out = link;
    return APR_SUCCESS;
}

static void retire(idem_mc_server *server)
{
    idem_mc_link *link = server->link;

    server->link = NULL;
    if (!link)
        return;
    link->retired = 1;
    if (link->busy == 0)
        apr_pool_destroy(link->pool);
}

/* Whether it is there, asked on a connection of ours. A server is down only if it had time enough to answer. */
static apr_status_t look(idem_mc_server *server, const idem_mc_op *op)
{
    apr_time_t began = idem_clock_uptime();
    idem_mc_facts facts;
    apr_status_t rv;

    if (began < server->retry_at)
        return idem_fail(op->call, APR_ECONNREFUSED, "%s", server->reason);
    if (began >= op->until)
        return late(op);
    rv = idem_mc_probe(server, op, &facts);
    if (rv == APR_SUCCESS) {
        server->ahead = facts.time * 1000 - apr_time_as_msec(idem_clock_uptime());
        return rv;
    }
    if (rv != APR_TIMEUP || idem_clock_uptime() - began >= server->timeout / 2) {
        server->retry_at = idem_clock_uptime() + RETRY_PAUSE;
        apr_cpystrn(server->reason, op->call->why, sizeof(server->reason));
        retire(server);
    }
    return rv;
}

static apr_status_t need_connection(idem_mc_server *server, const idem_mc_op *op)
{
    apr_status_t rv;

    if (server->link && server->link->busy >= server->connections_most)
        return idem_fail(op->call, APR_EAGAIN, "all %d connections to memcached at %s are in use",
                         server->connections_most, server->name);
    rv = look(server, op);
    if (rv == APR_SUCCESS && !server->link)
        rv = make_link(server, &server->link);
    if (rv == APR_SUCCESS)
        server->link->open++;
    return rv;
}

/* ---- calls --------------------------------------------------------------------------------------------------------- */

static apr_status_t enter(const idem_mc_op *op, idem_mc_link **out)
{
    idem_mc_server *server = op->server;
    apr_status_t rv = APR_SUCCESS;

    apr_thread_mutex_lock(server->lock);
    if (server->link && idem_clock_uptime() - server->link->born > LINK_LIFE)
        retire(server);
    if (!server->link || server->link->busy >= server->link->open)
        rv = need_connection(server, op);
    if (rv == APR_SUCCESS) {
        *out = server->link;
        server->link->busy++;
    }
    apr_thread_mutex_unlock(server->lock);
    return rv;
}

static void leave(const idem_mc_op *op, idem_mc_link *link, int trusted)
{
    idem_mc_server *server = op->server;

    apr_thread_mutex_lock(server->lock);
    link->busy--;
    if (!trusted && server->link == link)
        retire(server);
    else if (link->retired && link->busy == 0)
        apr_pool_destroy(link->pool);
    apr_thread_mutex_unlock(server->lock);
}

static apr_status_t broken(const idem_mc_op *op, apr_status_t rv)
{
    char reason[120];

    if (rv == APR_EGENERAL)
        return idem_fail(op->call, APR_ECONNRESET, "memcached at %s closed the connection, or gave no sense",
                         op->server->name);
    return idem_fail(op->call, rv, "the connection to memcached at %s was lost: %s", op->server->name,
                     apr_strerror(rv, reason, sizeof(reason)));
}

static apr_status_t get_once(const idem_mc_op *op, const char *key, idem_blob *value)
{
    idem_mc_link *link;
    char *data = NULL;
    apr_size_t len = 0;
    apr_status_t rv = enter(op, &link);

    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_memcache_getp(link->cache, op->call->pool, key, &data, &len, NULL);
    leave(op, link, rv == APR_SUCCESS || rv == APR_NOTFOUND);
    if (rv == APR_SUCCESS)
        *value = idem_blob_of(data, len);
    else if (rv != APR_NOTFOUND)
        rv = broken(op, rv);
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

/* ---- writing ------------------------------------------------------------------------------------------------------- */

typedef apr_status_t storing(apr_memcache_t *cache, const char *key, char *data, const apr_size_t len,
                             apr_uint32_t timeout, apr_uint16_t flags);

/* What is to be stored, and how. */
typedef struct item {
    storing *store;
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
 * Seconds as memcached has them. An item goes with the tick of a second that has begun already: one more is asked for.
 */
static apr_uint32_t expiry(const idem_mc_op *op, apr_int64_t life)
{
    apr_int64_t seconds = (life > 0 ? life : 0) + 1;
    apr_int64_t date = seconds < RELATIVE_MOST ? seconds : idem_mc_now(op) + 1 + seconds;
    return date < APR_INT32_MAX ? (apr_uint32_t)date : APR_INT32_MAX; /* memcached reads a signed number */
}

static apr_status_t store_once(const idem_mc_op *op, const item *it)
{
    idem_mc_link *link;
    apr_status_t rv = enter(op, &link);

    if (rv != APR_SUCCESS)
        return rv;
    rv = it->store(link->cache, it->key, (char *)(apr_uintptr_t)it->value.data, it->value.len, expiry(op, it->life), 0);
    leave(op, link, rv == APR_SUCCESS || rv == APR_EEXIST || rv == APR_EGENERAL);
    return rv == APR_SUCCESS || rv == APR_EEXIST || rv == APR_EGENERAL ? rv : broken(op, rv);
}

static int holds(idem_blob a, idem_blob b)
{
    return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

/*
 * apr_memcache says APR_EGENERAL when the server refused, and also when the connection was closed before an answer came.
 * The first leaves everything as it was and the second leaves doubt. What the key holds now tells them apart: whatever a closed
 * connection has brought to the server, it has brought by now. APR_EGENERAL: nothing was stored, for whatever reason.
 */
static apr_status_t put(const idem_mc_op *op, const item *it)
{
    idem_blob there = {NULL, 0};
    apr_status_t rv = store_once(op, it);

    if (rv != APR_EGENERAL)
        return rv;
    rv = idem_mc_get(op, it->key, &there);
    if (rv == APR_SUCCESS && holds(there, it->value))
        return APR_SUCCESS;
    if (it->store == apr_memcache_replace)
        return rv == APR_SUCCESS ? APR_EGENERAL : rv == APR_NOTFOUND ? APR_EEXIST : rv;
    return rv == APR_SUCCESS ? APR_EEXIST : rv == APR_NOTFOUND ? APR_EGENERAL : rv;
}

/* Repeating is safe: an add that was done meets its own value, and a replacement replaces it by the same. */
static apr_status_t put_surely(const idem_mc_op *op, const item *it)
{
    apr_status_t rv = idem_mc_is_late(op) ? late(op) : put(op, it);

    if (is_lost(op, rv))
        rv = put(op, it);
    if (rv == APR_EGENERAL)
        return idem_fail(op->call, IDEM_EFULL, "memcached at %s refused a value of %lu bytes: it has no room for it",
                         op->server->name, (unsigned long)it->value.len);
    return rv;
}

apr_status_t idem_mc_add(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life)
{
    item it = {apr_memcache_add, key, value, life};
    return put_surely(op, &it);
}

apr_status_t idem_mc_replace(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life)
{
    item it = {apr_memcache_replace, key, value, life};
    apr_status_t rv = put_surely(op, &it);
    return rv == APR_EEXIST ? APR_NOTFOUND : rv;
}

/* ---- life ---------------------------------------------------------------------------------------------------------- */

apr_status_t idem_mc_server_start(idem_mc_server *server, const idem_mc_op *op, apr_pool_t *pool)
{
    idem_mc_link *link;
    apr_status_t rv = apr_thread_mutex_create(&server->lock, APR_THREAD_MUTEX_DEFAULT, pool);

    server->link = NULL;
    server->retry_at = 0;
    if (rv == APR_SUCCESS)
        rv = enter(op, &link);
    if (rv == APR_SUCCESS)
        leave(op, link, 1);
    return rv;
}

void idem_mc_server_stop(idem_mc_server *server)
{
    if (server->lock)
        retire(server);
    server->lock = NULL;
}
