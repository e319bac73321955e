/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dbd_private.h - what the files of the dbd driver share.
 *
 *   driver.c       the driver's table, its life, and the operations
 *   config.c       address and options
 *   setup.c        open(): a process of its own looks how the database is set up
 *   pool.c         workers that wait for their next call
 *   worker.c       a thread that owns a connection, and how it is asked and left
 *   thread.c       how such threads start, wait, and meet forks and the end of the process
 *   slot.c         what becomes of a slot
 *   scan.c         what concerns all entries: list, sweep, state
 *   pgsql.c, mysql.c, sqlite3.c   the engines: statements, settings, faults
 *   conn.c         one connection: statements and what comes back
 *   access.c       what a process needs to reach the database
 *   statements.c   an engine's statements as APR wants them
 *   library.c      the client library
 *   errors.c       what is said of failures
 */
#ifndef IDEM_DRIVER_DBD_PRIVATE_H
#define IDEM_DRIVER_DBD_PRIVATE_H

#include "bytes.h"
#include "drivers.h"

#include <apr_dbd.h>
#include <pthread.h>
#include <stdatomic.h>

/* Above this the front keeps a tombstone. PostgreSQL sends values as digits, and all three hold them whole in
 * memory. */
#define IDEM_DBD_VALUE_MAX ((apr_size_t)16 << 20)
#define IDEM_DBD_PARAMS_MOST 16

/* One statement each. Engines have a second way for some: NULL where one does all. */
typedef enum idem_dbd_statement {
    IDEM_DBD_CLAIM,
    IDEM_DBD_CLAIM_ELSE,
    IDEM_DBD_TAKEOVER,
    IDEM_DBD_RENEW,
    IDEM_DBD_SETTLE,
    IDEM_DBD_SETTLE_ELSE,
    IDEM_DBD_RELEASE,
    IDEM_DBD_RELEASE_ELSE,
    IDEM_DBD_FORGET,
    IDEM_DBD_FORGET_SEEN,
    IDEM_DBD_LOOK,  /* what stands, without its value */
    IDEM_DBD_FETCH, /* … with it */
    IDEM_DBD_SWEEP,
    IDEM_DBD_EACH,
    IDEM_DBD_STATUS,
    IDEM_DBD_STATEMENTS
} idem_dbd_statement;

/* What a statement or a connection failed of. */
typedef enum idem_dbd_fault {
    IDEM_DBD_REFUSED, /* none of the others; nothing was changed */
    IDEM_DBD_LOST,    /* the connection is of no use any more; done or not, nobody knows */
    IDEM_DBD_AGAIN,   /* somebody was in the way: nothing was changed, and it may be tried again */
    IDEM_DBD_FULL,
    IDEM_DBD_TOO_BIG,
    IDEM_DBD_DAMAGED
} idem_dbd_fault;

typedef struct idem_dbd_conn idem_dbd_conn;

/* A way to reach one kind of database. */
typedef struct idem_dbd_engine {
    const char *name;    /* APR's */
    const char *title;   /* for a person */
    const char *package; /* Debian's, of APR's driver */
    const char *schema;  /* the file that makes the table */
    const char *now;     /* an expression: milliseconds by the database's clock, rounded down */
    const char *added;   /* to the parameters, unless they have it */
    const char *texts[IDEM_DBD_STATEMENTS];
    int shows;          /* changes show what stood, in the same round trip */
    int numbered;       /* a parameter may be named again */
    int digits;         /* bytes come back as hexadecimal digits */
    const char *socket; /* the client library's function that tells a connection's; NULL for none */
    /* Of {catalogue}: a condition by which the database's catalogue finds the table; NULL where no statement has it. */
    const char *(*catalogue)(const char *table, apr_pool_t *pool);
    /* First words on a new connection: settings, and what the setup means; fills conn->facts. */
    apr_status_t (*begin)(idem_dbd_conn *conn, idem_call *call);
    idem_dbd_fault (*fault)(const idem_dbd_conn *conn, int code, const char *said);
} idem_dbd_engine;

extern const idem_dbd_engine idem_dbd_pgsql;
extern const idem_dbd_engine idem_dbd_mysql;
extern const idem_dbd_engine idem_dbd_sqlite3;

/* How a database is set up, in one piece: it is passed between processes. */
typedef struct idem_dbd_facts {
    char version[64];
    unsigned flags;
    apr_size_t max_value;
    char warning[900]; /* empty for none */
} idem_dbd_facts;

typedef struct idem_dbd_config {
    const idem_dbd_engine *engine;
    const char *params;   /* APR's, password included */
    const char *password; /* or NULL; what no sentence may contain */
    const char *table;
    const char *path; /* of a database that is a file; else NULL */
    int connections;  /* of a process, at most; 0: as many as threads need */
} idem_dbd_config;

/* What every thread of a process shares. Lives until the last of them has ended, which may be after detach(). */
typedef struct idem_dbd_access {
    atomic_int users;
    apr_pool_t *pool; /* nobody allocates from it once it is made */
    idem_dbd_config config;
    apr_interval_time_t timeout;
    const apr_dbd_driver_t *driver;
    void *library;                            /* the client library that APR's driver brought in */
    const char *texts[IDEM_DBD_STATEMENTS];   /* as APR wants them */
    const char *letters[IDEM_DBD_STATEMENTS]; /* which parameter comes where */
    atomic_uint generation;                   /* of connections: raised whenever one was lost */
    atomic_int hanging;                       /* workers that were left with a call under way */
} idem_dbd_access;

struct idem_dbd_conn {
    idem_dbd_access *access;
    apr_pool_t *pool, *prepared_pool;
    apr_pool_t *scratch; /* of one order: results that the client library frees */
    apr_dbd_t *handle;
    void *native;
    apr_dbd_prepared_t *prepared[IDEM_DBD_STATEMENTS];
    unsigned generation;
    int proven;                /* has answered an order: if it is lost now, that may be because it waited too long */
    apr_interval_time_t until; /* of the order under way: a moment of idem_monotonic() */
    /* The database's clock less the machine's monotonic one, milliseconds: too small by what the answer was on its
     * way. */
    apr_int64_t ahead;
    apr_interval_time_t noted_at; /* of idem_monotonic() */
    idem_dbd_facts facts;
};

/* ---- configure --------------------------------------------------------------------------------------------------- */

typedef struct idem_dbd_pool idem_dbd_pool;

typedef struct idem_dbd {
    idem_store super;
    const idem_env *env;
    idem_dbd_config config;
    idem_dbd_pool *workers; /* each process's own; NULL while not attached */
} idem_dbd;

apr_status_t idem_dbd_configure(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                                apr_pool_t *pool, const char **why);

/* ---- orders: what a worker is asked ------------------------------------------------------------------------------ */

typedef struct idem_dbd_order idem_dbd_order;
typedef apr_status_t idem_dbd_task(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order);

typedef struct idem_dbd_entry {
    unsigned char slot[IDEM_SLOT_LEN];
    idem_found found;
} idem_dbd_entry;

struct idem_dbd_order {
    idem_dbd_task *task;
    idem_dbd_statement statement;
    unsigned char slot[IDEM_SLOT_LEN];
    apr_size_t slot_len; /* 0 is before all slots */
    unsigned char token[IDEM_TOKEN_LEN], seen[IDEM_TOKEN_LEN];
    idem_blob value;
    apr_int64_t most;
    int harmless_twice; /* may be repeated on another connection if it is not known whether it was carried out */

    /* answers */
    idem_found found;
    int count;
    idem_dbd_entry *entries;
    idem_store_status status;
};

idem_dbd_task idem_dbd_do_slot;
idem_dbd_task idem_dbd_do_nothing; /* connects */
idem_dbd_task idem_dbd_do_each;
idem_dbd_task idem_dbd_do_sweep;
idem_dbd_task idem_dbd_do_status;

/* ---- a process's way to the database ----------------------------------------------------------------------------- */

apr_status_t idem_dbd_access_make(const idem_dbd *store, idem_call *call, idem_dbd_access **access);
void idem_dbd_access_done(idem_dbd_access *access); /* one user less */

/* A pool that is nobody's child, for one thread at a time; what is freed in it goes back to the system. NULL: no
 * memory. */
apr_pool_t *idem_dbd_own_pool(void);

int idem_dbd_is_file(const char *path);
apr_interval_time_t idem_dbd_timeout(const idem_dbd *store);

/* The text as apr_dbd_prepare() has it, and its parameters' letters in their order. */
const char *idem_dbd_translate(const idem_dbd_config *config, const char *text, const char **letters, apr_pool_t *pool);

/* Keeps mapped what contains address; its handle finds the functions of what it depends on too. */
void *idem_dbd_pin(const void *address);
/* A function of the client library, or NULL. */
void *idem_dbd_function(const idem_dbd_access *access, const char *name);

/* ---- one connection, used by one thread -------------------------------------------------------------------------- */

apr_status_t idem_dbd_connect(idem_dbd_access *access, idem_call *call, idem_dbd_conn **conn);
void idem_dbd_close(idem_dbd_conn *conn);
int idem_dbd_socket(const idem_dbd_conn *conn);   /* -1 if it has none, or none that is known */
int idem_dbd_is_quiet(const idem_dbd_conn *conn); /* alive as far as can be told without asking */
void idem_dbd_note_time(idem_dbd_conn *conn, apr_int64_t now);

/* Fills call->why, without the password and without line ends. */
apr_status_t idem_dbd_fail(const idem_dbd_access *access, idem_call *call, apr_status_t status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Statuses of what follows, besides success: APR_ECONNRESET (lost), APR_EAGAIN (somebody was in the way), IDEM_EFULL,
 * IDEM_ETOOBIG, IDEM_EDAMAGED, APR_EGENERAL (refused). A row's fields are text in conn->scratch, NULL or "" for none.
 */
typedef struct idem_dbd_row {
    apr_dbd_results_t *results;
    apr_dbd_row_t *row;
    int number; /* of the row, from 1 */
} idem_dbd_row;

/* Would the database take each statement? Not all of them look at rights then. */
apr_status_t idem_dbd_prepare_all(idem_dbd_conn *conn, idem_call *call);
apr_status_t idem_dbd_say(idem_dbd_conn *conn, idem_call *call, const char *sql);
apr_status_t idem_dbd_ask_text(idem_dbd_conn *conn, idem_call *call, const char *sql, idem_dbd_row *row);
apr_status_t idem_dbd_change(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which,
                             const idem_dbd_order *order, int *count);
apr_status_t idem_dbd_ask(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which, const idem_dbd_order *order,
                          idem_dbd_row *row);
int idem_dbd_next(idem_dbd_conn *conn, idem_dbd_row *row); /* 0: there are no more */
const char *idem_dbd_text(idem_dbd_conn *conn, const idem_dbd_row *row, int column);
apr_int64_t idem_dbd_number(idem_dbd_conn *conn, const idem_dbd_row *row, int column);
apr_status_t idem_dbd_bytes(idem_dbd_conn *conn, idem_call *call, const idem_dbd_row *row, int column,
                            idem_blob *bytes);

/* Appends a sentence to what is said at start. */
void idem_dbd_warn(idem_dbd_facts *facts, const char *sentence);

/* ---- threads ----------------------------------------------------------------------------------------------------- */

int idem_dbd_thread_start(void *(*run)(void *), void *data); /* detached; an errno, or 0 */

/* Around all that such a thread does in the client library. enter() does not return while the process ends. */
void idem_dbd_enter(void);
void idem_dbd_leave(int connected); /* … to the database: the library has what it needs */

/* ---- workers ----------------------------------------------------------------------------------------------------- */

typedef struct idem_dbd_worker idem_dbd_worker;

apr_status_t idem_dbd_worker_open(idem_dbd_access *access, idem_dbd_worker **worker);
/* Has the order carried out; by the deadline the worker is gone (*left) or has answered. The caller's memory is
 * copied. */
apr_status_t idem_dbd_worker_ask(idem_dbd_worker *worker, idem_call *call, idem_dbd_order *order, int *left);
void idem_dbd_worker_close(idem_dbd_worker *worker, int wait);

apr_status_t idem_dbd_pool_start(idem_dbd_access *access, idem_dbd_pool **pool);
void idem_dbd_pool_stop(idem_dbd_pool *pool);
apr_status_t idem_dbd_run(idem_dbd *store, idem_call *call, idem_dbd_order *order);

/* ---- open -------------------------------------------------------------------------------------------------------- */

apr_status_t idem_dbd_probe(const idem_dbd *store, idem_call *call, idem_dbd_facts *facts);

#endif
