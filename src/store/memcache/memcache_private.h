/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memcache_private.h - what the files of the memcache driver share.
 *
 *   driver.c   the driver's table, its life, its state
 *   config.c   the list of servers
 *   answer.c   what an answer can be, and what is said of one that did not come
 *   conn.c     bytes to a server and back, in lines and blocks
 *   facts.c    what a server says of itself, asked by a deadline
 *   server.c   the connections to one server; one key at a time
 *   chain.c    the keys of a slot: read, made, prolonged
 *   slot.c     the operations on one slot
 */
#ifndef IDEM_DRIVER_MEMCACHE_PRIVATE_H
#define IDEM_DRIVER_MEMCACHE_PRIVATE_H

#include "bytes.h"
#include "clock.h"
#include "drivers.h"
#include "fail.h"

#include <apr_network_io.h>
#include <apr_ring.h>
#include <apr_tables.h>
#include <apr_thread_mutex.h>

#define IDEM_MC_SERVERS_MOST 16

/* memcached's item_size_max counts its own head, the key, and what stands around a value. */
#define IDEM_MC_ITEM_USUAL ((apr_size_t)1 << 20)
#define IDEM_MC_OVERHEAD 512
#define IDEM_MC_ITEM_MOST ((apr_size_t)64 << 20) /* no larger one is written, or read, whatever a server takes */

/* As a server says itself. */
typedef struct idem_mc_facts {
    char version[24];
    int evicts; /* -1: it does not say */
    int knows_time;
    apr_size_t item_max; /* 0: it does not say */
    apr_uint64_t bytes, bytes_max;
    apr_int64_t time; /* seconds; never set back while the server runs */
} idem_mc_facts;

/* A connection to a server, used for a minute. */
typedef struct idem_mc_conn {
    APR_RING_ENTRY(idem_mc_conn) link; /* among those that wait for their next call */
    int fd;
    unsigned generation;
    apr_time_t born;     /* uptime */
    apr_size_t item_max; /* as the server said; the longest value that is read */
    apr_size_t at, len;  /* of what has been received, and not been used: at … len */
    char buffer[2048];   /* a line of the server's is shorter */
} idem_mc_conn;

APR_RING_HEAD(idem_mc_ring, idem_mc_conn);

typedef struct idem_mc_server {
    const char *host, *name; /* name: HOST:PORT */
    apr_port_t port;

    /* each process's own, guarded by lock */
    apr_thread_mutex_t *lock; /* held while the server is asked whether it is there */
    struct idem_mc_ring idle; /* the latest used first */
    unsigned generation;      /* of connections: raised whenever one went wrong */
    int busy;                 /* connections in use */
    apr_time_t retry_at;      /* uptime; until then it counts as down */
    apr_int64_t ahead;        /* its clock less our uptime, milliseconds; up to a second too small */
    char reason[200];         /* why it was down */
    int connections_most;     /* one for each thread */
    apr_interval_time_t timeout;
} idem_mc_server;

typedef struct idem_mc {
    idem_store super;
    const idem_env *env;
    idem_mc_server *servers; /* sorted by name: hosts that list them in another order agree on a slot's server */
    int server_count;
} idem_mc;

/* One call of the front's. */
typedef struct idem_mc_op {
    idem_mc *store;
    idem_mc_server *server; /* that keeps the slot */
    idem_call *call;
    const unsigned char *slot;
    apr_time_t until; /* the deadline by uptime, which nobody sets */
} idem_mc_op;

/* As many seconds as hold the span. */
static inline apr_int64_t idem_mc_seconds(apr_interval_time_t span)
{
    return (span + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;
}

/* ---- configure --------------------------------------------------------------------------------------------------- */

apr_status_t idem_mc_configure(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                               apr_pool_t *pool, const char **why);

/* ---- answers ----------------------------------------------------------------------------------------------------- */

int idem_mc_number(const char *digits, apr_int64_t most, apr_int64_t *number); /* a whole decimal one from 0 to most? */
int idem_mc_is_refusal(const char *line);
int idem_mc_is_late(const idem_mc_op *op);
/* Failures, each with its sentence. */
apr_status_t idem_mc_late(const idem_mc_op *op);
apr_status_t idem_mc_nonsense(const idem_mc_op *op, const char *asked);

/* ---- one server -------------------------------------------------------------------------------------------------- */

/*
 * One connection. After any failure it can only be closed. until is a time by uptime, 0 for no deadline. A line comes
 * without its end, and is valid until the next call.
 */
apr_status_t idem_mc_dial(const idem_mc_op *op, idem_mc_conn **conn);
void idem_mc_hang_up(idem_mc_conn *conn);
int idem_mc_is_quiet(
    const idem_mc_conn *conn); /* alive as far as can be told, and nothing has come that nobody asked for */
apr_status_t idem_mc_say(const idem_mc_op *op, const idem_mc_conn *conn, apr_time_t until, idem_blob bytes, int more);
apr_status_t idem_mc_read_line(const idem_mc_op *op, idem_mc_conn *conn, apr_time_t until, char **line);
apr_status_t idem_mc_read_block(const idem_mc_op *op, idem_mc_conn *conn, apr_time_t until, unsigned char *to,
                                apr_size_t len);

/* Asks op's server how it is set up, within op's deadline: on a new connection, or on one for this alone. */
apr_status_t idem_mc_read_facts(const idem_mc_op *op, idem_mc_conn *conn, idem_mc_facts *facts);
apr_status_t idem_mc_ask_facts(const idem_mc_op *op, idem_mc_facts *facts);

apr_status_t idem_mc_server_start(idem_mc_server *server, const idem_mc_op *op, apr_pool_t *pool);
void idem_mc_server_stop(idem_mc_server *server);
apr_int64_t idem_mc_now(const idem_mc_op *op); /* seconds of the server's clock */

/*
 * One key of op's server. life is in seconds. APR_NOTFOUND and APR_EEXIST are the server's answers. IDEM_EFULL: it
 * refused the value for its size. Any other result is in doubt. A connection that turns out to be dead is replaced
 * once.
 */
apr_status_t idem_mc_get(const idem_mc_op *op, const char *key, idem_blob *value);
apr_status_t idem_mc_add(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life);     /* EEXIST */
apr_status_t idem_mc_replace(const idem_mc_op *op, const char *key, idem_blob value, apr_int64_t life); /* NOTFOUND */

/* ---- the keys of a slot ------------------------------------------------------------------------------------------ */

/* The first byte of a key's value. */
enum { IDEM_MC_CLAIM = 'C', IDEM_MC_VALUE = 'V', IDEM_MC_CLOSED = 'X', IDEM_MC_RELEASED = 'F' };

/* What a key holds. */
typedef struct idem_mc_cell {
    int kind;         /* 0: there is no such key; -1: nothing that we wrote */
    apr_int64_t ends; /* seconds of the server's clock, give or take two */
    idem_blob value;  /* of a claim the lease, of a value the value */
    idem_blob raw;    /* all of it */
    const char *key;
} idem_mc_cell;

typedef struct idem_mc_attempt {
    idem_mc_cell claim, result;
} idem_mc_attempt;

/* The state of a slot: attempt n is the latest, or there is none, and n is the next one. */
typedef struct idem_mc_chain {
    apr_array_header_t *attempts; /* of idem_mc_attempt; those before n, and n if it stands */
    int n;
    int stands;
    int owner_dead;    /* where hearts were looked at */
    apr_int64_t begun; /* …: when the heart of n began to beat, seconds of the server's clock; 0 for not known */
} idem_mc_chain;

/* heart: find out whether the owner is dead? */
apr_status_t idem_mc_read_chain(const idem_mc_op *op, int heart, idem_mc_chain *chain);
apr_status_t idem_mc_read_claim(const idem_mc_op *op, int n, idem_mc_cell *cell);
int idem_mc_is_value(const idem_mc_cell *cell, idem_state state);

/* Extra seconds that a claim is kept, so that not every operation has to prolong one. */
#define IDEM_MC_EXTRA 120

/* Makes sure that the attempts before `before` are there until then; APR_EBUSY if they are about to expire. */
apr_status_t idem_mc_cover(const idem_mc_op *op, const idem_mc_chain *chain, int before, apr_int64_t until);
apr_status_t idem_mc_move_end(const idem_mc_op *op, const idem_mc_cell *cell, apr_int64_t ends);

/* APR_EEXIST if the key has another content; the same content once more is a success. */
apr_status_t idem_mc_make_claim(const idem_mc_op *op, int n, idem_blob lease, apr_int64_t ends);
/* Of chain's last attempt; it outlives its claim, which ends then. */
apr_status_t idem_mc_make_result(const idem_mc_op *op, const idem_mc_chain *chain, int kind, idem_blob value,
                                 apr_int64_t claim_ends);
apr_status_t idem_mc_change_result(const idem_mc_op *op, const idem_mc_chain *chain, int kind, idem_blob value);
apr_status_t idem_mc_beat(const idem_mc_op *op, int n, const unsigned char *token, apr_interval_time_t lease);
/* Of chain's last attempt, whose heart was looked at. */
apr_status_t idem_mc_prolong_heart(const idem_mc_op *op, const idem_mc_chain *chain, const unsigned char *token,
                                   apr_interval_time_t lease);

/* ---- the operations ---------------------------------------------------------------------------------------------- */

/* The server that has the slot, by its place among store->servers. */
int idem_mc_part(const idem_store *store, const unsigned char *slot);

apr_status_t idem_mc_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                           idem_found *found);
apr_status_t idem_mc_takeover(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *seen,
                              idem_blob value);
apr_status_t idem_mc_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token);
apr_status_t idem_mc_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value);
apr_status_t idem_mc_release(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token);
apr_status_t idem_mc_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found);
apr_status_t idem_mc_forget(idem_store *store, idem_call *call, const unsigned char *slot);
apr_status_t idem_mc_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *token);

#endif
