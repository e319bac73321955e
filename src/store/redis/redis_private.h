/* SPDX-License-Identifier: Apache-2.0 */
/*
 * redis_private.h - what the files of the redis driver share.
 *
 *   driver.c    the drivers' tables, its life, and the operations on one slot
 *   config.c    address
 *   options.c   options
 *   tls_files.c whom TLS trusts, and what it shows
 *   tls.c       TLS: its context, its sessions, its handshake
 *   patience.c  waiting for a connection until a call's deadline
 *   transport.c bytes to a server and back, with TLS or without
 *   conn.c      commands and replies over it
 *   reply.c     what a reply must look like before it is used
 *   session.c   what is said first on a new connection: password, database, clock, facts
 *   sentinel.c  who is the primary
 *   pool.c      connections that wait for their next call
 *   script.c    the script that decides, and how it is called
 *   facts.c     how a server is set up, and what that means
 *   scan.c      what looks at every entry
 */
#ifndef IDEM_DRIVER_REDIS_PRIVATE_H
#define IDEM_DRIVER_REDIS_PRIVATE_H

#include "bytes.h"
#include "drivers.h"
#include "fail.h"

#include <hiredis/hiredis.h>

#include <apr_network_io.h>
#include <apr_ring.h>
#include <apr_thread_mutex.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdatomic.h>

/* An entry's key: this, then the slot in hexadecimal digits. */
#define IDEM_REDIS_PREFIX "idem:"
#define IDEM_REDIS_KEY_LEN (sizeof(IDEM_REDIS_PREFIX) - 1 + 2 * IDEM_SLOT_LEN)

/* A stored string: when the lease lapses and when the entry expires (milliseconds of Redis's clock), then the value. */
#define IDEM_REDIS_TIMES_LEN 16

/* Redis serves one command at a time: larger values would make every other client wait. */
#define IDEM_REDIS_VALUE_MAX ((apr_size_t)16 << 20)

/* The most that is read of one reply: a value with what stands around it, and more elements than a batch of SCAN
 * has. */
#define IDEM_REDIS_REPLY_MOST (IDEM_REDIS_VALUE_MAX + 65536)
#define IDEM_REDIS_ELEMENTS_MOST 65536

/* TLS sessions that a process keeps, one a server: the primaries of the past and all sentinels find room. */
#define IDEM_REDIS_SESSIONS 32
#define IDEM_REDIS_SERVER_LEN 300 /* HOST:PORT; the names that resolvers take are shorter */

/* Milliseconds: the end of the year 9999. A clock beyond it, or before 1970, is no clock. */
#define IDEM_REDIS_TIME_MOST APR_INT64_C(253402300799999)

typedef struct idem_redis_address {
    const char *host; /* without brackets; of a unix socket its path */
    apr_port_t port;  /* 0: a unix socket */
} idem_redis_address;

/* How a server is set up, as it says itself. Texts are empty where it does not. */
typedef struct idem_redis_facts {
    char version[24];
    char role[16]; /* master, slave */
    int replicas;
    apr_uint64_t memory_used, memory_max; /* bytes; 0 for no bound */
    char policy[32];                      /* maxmemory-policy */
    char loading[4], cluster[4], aof[4];  /* 0 or 1 */
    char fsync[16];                       /* appendfsync */
    char save[64];                        /* "none" for no snapshots */
    char tls[24];                         /* its version, and whether a session was resumed; not what a server says */
} idem_redis_facts;

typedef struct idem_redis_session {
    char server[IDEM_REDIS_SERVER_LEN]; /* whose it is */
    SSL_SESSION *session;               /* the latest; NULL for none */
    int refused;                        /* a handshake with it failed: none is offered any more */
} idem_redis_session;

/* How a store speaks TLS. */
typedef struct idem_redis_tls {
    const char *ca, *cert, *key; /* files; NULL for none */
    const char *servername;      /* whom a certificate has to name; NULL for the host of the address */
    X509_STORE *trust;           /* what was in them; NULL: what the system trusts */
    X509 *leaf;
    STACK_OF(X509) * chain;
    EVP_PKEY *secret;

    /* each process's own */
    SSL_CTX *context;
    BIO_METHOD *method;
    apr_thread_mutex_t *lock; /* guards the rest */
    idem_redis_session sessions[IDEM_REDIS_SESSIONS];
    unsigned next_session; /* whose place is taken when there is no other */
} idem_redis_tls;

typedef struct idem_redis_conn {
    APR_RING_ENTRY(idem_redis_conn) link; /* in the pool */
    redisContext *redis;
    SSL *ssl; /* NULL without TLS */
    idem_redis_tls *tls;
    char server[IDEM_REDIS_SERVER_LEN]; /* whose session it has */
    int offered;                        /* a session was */
    int broken; /* beneath TLS: an error number, or less than 0 if the other side has closed it; 0 for none */
    redisReplyObjectFunctions functions; /* the reader's, with a bound of ours before the array's */
    __typeof__(((redisReplyObjectFunctions *)NULL)->createArray) create_array;
    apr_uint64_t elements; /* announced by the reply that is being read */
    unsigned generation;
    apr_interval_time_t idle_since; /* of idem_monotonic() */
    /* Redis's clock less the machine's monotonic one, milliseconds: too small by what the last answer was on its
     * way. */
    apr_int64_t ahead;
    idem_redis_facts facts; /* as of its beginning */
} idem_redis_conn;

APR_RING_HEAD(idem_redis_ring, idem_redis_conn);

typedef struct idem_redis {
    idem_store super;
    const idem_env *env;

    /* configured */
    const idem_redis_address *servers; /* the one server, or the sentinels */
    int server_count;
    const char *primary;         /* what sentinels call it; NULL without sentinels */
    const char *user, *password; /* NULL for none */
    const char *sentinel_user, *sentinel_password;
    idem_redis_tls *tls; /* NULL for none */
    int db;
    int wait_replicas; /* 0: nobody waits for replicas */
    int wait_ms;
    char sha[41]; /* of the script */

    /* each process's own */
    atomic_uint generation;      /* of connections: raised whenever one went wrong */
    atomic_uint first_sentinel;  /* who is asked first: the one that answered last */
    apr_thread_mutex_t *lock;    /* guards the rest; NULL while not attached */
    struct idem_redis_ring idle; /* the latest used first */
    idem_redis_facts facts;
} idem_redis;

/* ---- configure --------------------------------------------------------------------------------------------------- */

typedef apr_status_t idem_redis_configure_fn(idem_store **store, const idem_env *env, const char *rest,
                                             const char *const *options, apr_pool_t *pool, const char **why);
idem_redis_configure_fn idem_redis_configure_tcp;
idem_redis_configure_fn idem_redis_configure_tls;
idem_redis_configure_fn idem_redis_configure_unix;
idem_redis_configure_fn idem_redis_configure_sentinel;
idem_redis_configure_fn idem_redis_configure_sentinel_tls;

/* A configuration being read. */
typedef struct idem_redis_reading {
    idem_redis *store;
    apr_pool_t *pool;
    const char **why;
} idem_redis_reading;

/* A whole decimal number within bounds, or -1. */
long idem_redis_bounded(const char *text, long least, long most);
apr_status_t idem_redis_read_options(idem_redis_reading *r, const char *const *options);

/* ---- TLS: each of them does nothing for NULL --------------------------------------------------------------------- */

/* The files that the options name. */
apr_status_t idem_redis_tls_read(idem_redis_reading *r);
/* NULL if there is nothing to say. */
const char *idem_redis_tls_warning(const idem_redis_tls *tls, apr_pool_t *pool);
/* The context of a process; *why is NULL before. */
apr_status_t idem_redis_tls_start(idem_redis_tls *tls, apr_pool_t *pool, const char **why);
void idem_redis_tls_stop(idem_redis_tls *tls);
/* The handshake on a new connection. */
apr_status_t idem_redis_tls_greet(idem_redis_conn *conn, idem_redis_tls *tls, idem_call *call,
                                  const idem_redis_address *address);
void idem_redis_tls_forget_session(idem_redis_conn *conn);
void idem_redis_tls_end(idem_redis_conn *conn);
const char *idem_redis_tls_fault(const idem_redis_conn *conn, apr_pool_t *pool);

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

apr_status_t idem_redis_late(idem_call *call);
apr_status_t idem_redis_wait(const idem_redis_conn *conn, short what, idem_call *call);
apr_status_t idem_redis_write(idem_redis_conn *conn, idem_call *call, const char *data, size_t len);
/* *len is 0 where nothing has come yet. */
apr_status_t idem_redis_read(idem_redis_conn *conn, idem_call *call, char *to, size_t room, size_t *len);
int idem_redis_line_is_quiet(const idem_redis_conn *conn);

/* ---- one connection: any failure leaves it fit to be closed only ------------------------------------------------- */

apr_status_t idem_redis_dial(const idem_redis *store, idem_call *call, const idem_redis_address *address,
                             idem_redis_conn **conn);
void idem_redis_hang_up(idem_redis_conn *conn);
apr_status_t idem_redis_send(idem_redis_conn *conn, idem_call *call, int count, const idem_blob *words);
/* words: IDEM_WORDS("SELECT", "1") */
#define IDEM_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
apr_status_t idem_redis_send_words(idem_redis_conn *conn, idem_call *call, const char *const *words);
/* The caller frees the reply, which may be an error of Redis's. */
apr_status_t idem_redis_receive(idem_redis_conn *conn, idem_call *call, redisReply **reply);
/* Alive as far as can be told without asking, and has said nothing that nobody asked for. */
int idem_redis_is_quiet(const idem_redis_conn *conn);

/* now: milliseconds of Redis's clock, which has shown that at least. */
void idem_redis_note_time(idem_redis_conn *conn, apr_int64_t now);

/* Finds the server, dials it and says what is to be said first. */
apr_status_t idem_redis_connect(idem_redis *store, idem_call *call, idem_redis_conn **conn);
apr_status_t idem_redis_find_primary(idem_redis *store, idem_call *call, idem_redis_address *address);

/* ---- replies: whether one is what was asked for ------------------------------------------------------------------ */

/* Fills call->why with Redis's answer to that command. */
apr_status_t idem_redis_refused(idem_call *call, const char *asked, const redisReply *reply);
const char *idem_redis_text(const redisReply *reply); /* of a string without a NUL inside; NULL of anything else */
int idem_redis_is_ok(const redisReply *reply);
int idem_redis_is_array(const redisReply *reply, size_t elements);
int idem_redis_is_number(const redisReply *reply, apr_int64_t least, apr_int64_t most);
int idem_redis_is_decimal(const redisReply *reply, apr_int64_t most, apr_int64_t *number); /* a string of digits */
int idem_redis_is_time(const redisReply *reply, apr_int64_t *milliseconds);

/* ---- connections of a process ------------------------------------------------------------------------------------ */

apr_status_t idem_redis_pool_start(idem_redis *store, apr_pool_t *pool);
void idem_redis_pool_stop(idem_redis *store);
apr_status_t idem_redis_take(idem_redis *store, idem_call *call, idem_redis_conn **conn);
/* trusted: nothing went wrong on it, and nothing is under way. */
void idem_redis_give(idem_redis *store, idem_redis_conn *conn, int trusted);

/* ---- the script -------------------------------------------------------------------------------------------------- */

/* One call of the script. */
typedef struct idem_redis_order {
    const char *operation;
    const unsigned char *slot;
    const unsigned char *token; /* the one that must stand; NULL where value has it */
    idem_blob value;            /* the new one, or none */
    idem_found *found;          /* where what stands is asked for */
    int reads;                  /* changes nothing, so no replica is waited for */
} idem_redis_order;

void idem_redis_script_init(idem_redis *store);
apr_status_t idem_redis_run(idem_redis *store, idem_call *call, const idem_redis_order *order);
void idem_redis_key(const unsigned char *slot, char key[IDEM_REDIS_KEY_LEN + 1]);

/* ---- facts ------------------------------------------------------------------------------------------------------- */

void idem_redis_read_info(idem_redis_facts *facts, const char *info);
/* NULL if the server can be used. */
const char *idem_redis_unfit(const idem_redis_facts *facts, apr_pool_t *pool);
unsigned idem_redis_flags(const idem_redis_facts *facts);
/* What the setup means for at-most-once; NULL if there is nothing to say. */
const char *idem_redis_warning(const idem_redis *store, const idem_redis_facts *facts, apr_pool_t *pool);

/* ---- all entries ------------------------------------------------------------------------------------------------- */

apr_status_t idem_redis_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton);
apr_status_t idem_redis_page(idem_store *store, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                             void *baton);
apr_status_t idem_redis_status(idem_store *store, idem_call *call, idem_store_status *status);

#endif
