/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lmdb_private.h - what the files of the lmdb driver share; private to them.
 *
 *   driver.c the driver's table; attach and detach
 *   config.c address and options
 *   slot.c   each operation on a slot as a caller sees it
 *   scan.c   the operations over a whole store: sweep, each, page, status
 *   open.c   the parent's part: the directory, and a probe process that makes and checks the files
 *   walk.c   the probe's look at every entry of a file that may be damaged
 *   mark.c   sync=off: the mark that tells a clean end from an unclean one
 *   base.c   the registry: one environment per process and directory
 *   env.c    the environment: opened, read from, opened again after a failure
 *   group.c  the queue in which threads of one process share a write transaction
 *   write.c  each operation inside a write transaction
 *   op.c     one write, shared between its caller and who carries it out
 *   entry.c  the layout of an entry, the index by time, how full the file is
 *   errors.c what is said of a store's directory
 *
 * Files in the directory: data.mdb and lock.mdb (LMDB's), owners.lock (liveness.h), write.lock (filelock.h), and
 * unclean.boot while a store with sync=off is in use.
 *
 * Locks are taken in this order: turn (between processes), env_lock, idle_lock or queue_lock. Nothing that waits for
 * LMDB's own locks runs without turn, so no wait in this driver is longer than its caller's deadline.
 */
#ifndef IDEM_DRIVER_LMDB_H
#define IDEM_DRIVER_LMDB_H

#include "bytes.h"
#include "clock.h"
#include "drivers.h"
#include "filelock.h"
#include "liveness.h"

#include <lmdb.h>
#include <stdatomic.h>

#define LMDB_WHY 480      /* room for a sentence on its way to a caller's pool */
#define LMDB_WARNING 1500 /* for several */

#define LMDB_DATA "data.mdb"
#define LMDB_LOCK "lock.mdb"
#define LMDB_OWNERS "owners.lock"
#define LMDB_TURN "write.lock"
#define LMDB_UNCLEAN "unclean.boot"

/* Of one write transaction. Bounds what a member waits for the others, and what a transaction holds in memory. */
#define LMDB_GROUP_MOST 64
#define LMDB_GROUP_BYTES ((apr_size_t)16 << 20)

/* ---- an instance, and the environment it shares ------------------------------------------------------------------ */

/* One per process and directory, however many instances name it: LMDB must not open a file twice in one process. */
typedef struct lmdb_base {
    struct lmdb_base *next;
    int users;
    pid_t pid; /* a forked child must not use what it inherited */
    apr_pool_t *pool;
    const char *dir;   /* real path */
    apr_uint64_t size; /* as configured */
    apr_uint64_t map;  /* as opened; 0: what the file says */
    int sync;
    unsigned readers; /* of all processes together */
    idem_liveness *liveness;
    idem_filelock *turn;
    idem_clock clock;
    char boot[IDEM_BOOT_ID_LEN + 1]; /* zeros where the system has none */

    pthread_rwlock_t env_lock; /* shared around every use of what stands below, exclusive to open it again */
    MDB_env *mdb;
    MDB_dbi slots, times, meta;
    atomic_int broken;       /* an LMDB code: to be opened again before the next use */
    apr_time_t may_reopen;   /* uptime; under turn */
    apr_time_t clock_marked; /* the store's clock when it was last written down; under turn */

    pthread_mutex_t idle_lock;
    MDB_txn **idle; /* read transactions at rest: each keeps its place in LMDB's table of readers */
    int idle_count, idle_room;

    pthread_mutex_t queue_lock;
    struct lmdb_op *first, **last;
    int leading;
} lmdb_base;

typedef struct lmdb_store {
    idem_store store;
    const idem_env *env;
    const char *dir; /* as configured, absolute */
    apr_uint64_t size;
    int sync;
    lmdb_base *base; /* between attach and detach */
} lmdb_store;

/* ---- config.c, slot.c, scan.c -------------------------------------------------------------------------- */

struct lmdb_op;
struct lmdb_entry;
typedef void lmdb_take_results(const struct lmdb_op *op, idem_call *call, void *baton);

/* Queues op and consumes it, after results (may be NULL) has taken out what a successful one brought. */
apr_status_t idem_lmdb_do(lmdb_base *base, idem_call *call, struct lmdb_op *op, lmdb_take_results *results,
                          void *baton);
void idem_lmdb_fill_found(idem_found *found, const struct lmdb_entry *entry, apr_pool_t *pool);

apr_status_t idem_lmdb_configure(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                                 apr_pool_t *pool, const char **why);

apr_status_t idem_lmdb_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                             idem_found *found);
apr_status_t idem_lmdb_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *seen, idem_blob value);
apr_status_t idem_lmdb_renew(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token);
apr_status_t idem_lmdb_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value);
apr_status_t idem_lmdb_release(idem_store *store, idem_call *call, const unsigned char *slot,
                               const unsigned char *token);
apr_status_t idem_lmdb_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found);
apr_status_t idem_lmdb_forget(idem_store *store, idem_call *call, const unsigned char *slot);
apr_status_t idem_lmdb_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *token);

apr_status_t idem_lmdb_sweep(idem_store *store, idem_call *call, int most, int *removed);
apr_status_t idem_lmdb_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton);
apr_status_t idem_lmdb_page(idem_store *store, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                            void *baton);
apr_status_t idem_lmdb_status(idem_store *store, idem_call *call, idem_store_status *status);

/* ---- base.c ------------------------------------------------------------------------------------------ */

/* NULL with *status and why. */
lmdb_base *idem_lmdb_base_get(const lmdb_store *store, apr_status_t *status, char *why);
void idem_lmdb_base_put(lmdb_base *base);

/* ---- env.c ------------------------------------------------------------------------------------------- */

/* Under turn and alone under env_lock, or before anybody else knows base. */
apr_status_t idem_lmdb_open_base(lmdb_base *base, char *why);
void idem_lmdb_close_base(lmdb_base *base);

/* A read transaction; ends with idem_lmdb_read_end(), in the same thread, before anything else is begun. */
apr_status_t idem_lmdb_read_begin(lmdb_base *base, apr_time_t deadline, MDB_txn **txn, char *why);
void idem_lmdb_read_end(lmdb_base *base, MDB_txn *txn);

/* Under turn: takes env_lock, opening the environment again if it broke. APR_SUCCESS: env_lock is held. */
apr_status_t idem_lmdb_enter(lmdb_base *base, apr_time_t deadline, char *why);
void idem_lmdb_leave(lmdb_base *base);

/* Waits for its turn between processes, with a sentence where that fails. */
apr_status_t idem_lmdb_turn(lmdb_base *base, apr_time_t deadline, char *why);

/* What an LMDB or errno code means to a caller, with its sentence. Marks the environment broken where it is. */
apr_status_t idem_lmdb_failed(lmdb_base *base, int rc, const char *doing, char *why);

/* Used by the probe as well: opens with this module's settings and tables. create: make what is not there. */
int idem_lmdb_open_env(MDB_env **mdb, const char *dir, apr_uint64_t size, unsigned readers, unsigned flags);
apr_status_t idem_lmdb_open_tables(MDB_env *mdb, MDB_dbi dbi[3], int create, const char *dir, char *why);
unsigned idem_lmdb_readers(const idem_env *env);
const char *idem_lmdb_path(const char *dir, const char *name, apr_pool_t *pool);

/* ---- entry.c ----------------------------------------------------------------------------------------- */

/* What a transaction sees of a slot. */
typedef struct lmdb_entry {
    int stored;          /* there are bytes */
    int there;           /* and they have not expired */
    apr_int64_t now;     /* when it was read, by the same clock */
    apr_int64_t expires; /* milliseconds of the store's clock; 0: not even that can be read, never expires */
    idem_blob value;     /* in the map: valid until the transaction ends or writes */
    idem_state state;    /* 0 if the head is not plausible */
    int owner_dead;      /* for a LEASE */
} lmdb_entry;

int idem_lmdb_look(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, lmdb_entry *entry);
void idem_lmdb_decode(lmdb_base *base, idem_blob stored, lmdb_entry *entry);
int idem_lmdb_has_token(const lmdb_entry *entry, const unsigned char *token);

/*
 * Replaces whatever is stored (old, as looked up in this transaction). Return LMDB codes; MDB_KEYEXIST: old says that
 * nothing is stored, and something is; nothing was changed.
 */
int idem_lmdb_write(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, const lmdb_entry *old, idem_blob value);
int idem_lmdb_erase(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, const lmdb_entry *old);
int idem_lmdb_erase_expired(lmdb_base *base, MDB_txn *txn, int most, int *removed);
int idem_lmdb_anything_expired(lmdb_base *base, MDB_txn *txn, int *any);

/* How full the file is, in pages. used counts what the newest transaction reaches, so freed pages are free. */
typedef struct lmdb_room {
    apr_uint64_t page, pages, used;
} lmdb_room;

int idem_lmdb_room(MDB_txn *txn, const lmdb_base *base, lmdb_room *room);

/* Is there room for a value of this length whatever it is for, even if no page that was used once is free? Cheaper. */
int idem_lmdb_has_plenty(MDB_txn *txn, const lmdb_base *base, apr_size_t len);

typedef enum lmdb_purpose {
    LMDB_FOR_CLAIM, /* stops first: a new key can be refused */
    LMDB_FOR_BODY,  /* a response: stops before what deletes and tombstones need */
    LMDB_FOR_NEED   /* takes the last page */
} lmdb_purpose;

int idem_lmdb_fits(const lmdb_room *room, apr_size_t len, lmdb_purpose purpose);
void idem_lmdb_full_sentence(const lmdb_base *base, const lmdb_room *room, char *why);

/* The store's clock outlives processes in the meta table, with the uptime and boot at which it was written. */
int idem_lmdb_clock_load(lmdb_base *base, MDB_txn *txn, apr_time_t *now, int *this_boot);
int idem_lmdb_clock_save(lmdb_base *base, MDB_txn *txn);

/* ---- op.c, group.c, write.c -------------------------------------------------------------------- */

typedef enum lmdb_kind {
    LMDB_CLAIM,
    LMDB_TAKEOVER,
    LMDB_SETTLE,
    LMDB_RELEASE,
    LMDB_FORGET,
    LMDB_FORGET_SEEN,
    LMDB_SWEEP
} lmdb_kind;

typedef enum lmdb_phase {
    LMDB_QUEUED,     /* may still be taken back */
    LMDB_APPLYING,   /* the leader reads value: the caller must stay */
    LMDB_COMMITTING, /* the caller may leave, not knowing the outcome */
    LMDB_FINISHED
} lmdb_phase;

/* One write, shared between its caller and whichever thread carries it out; freed by the last of the two. */
typedef struct lmdb_op {
    struct lmdb_op *next;
    int holders;
    lmdb_kind kind;
    lmdb_phase phase;
    int abandoned; /* its caller has left: value must not be touched any more */
    pthread_cond_t changed;
    unsigned char slot[IDEM_SLOT_LEN];
    unsigned char token[IDEM_TOKEN_LEN]; /* takeover, forget_seen: the one seen; release: mine */
    idem_blob value;                     /* the caller's */
    int most;                            /* sweep */
    int looked;                          /* claim: its caller has just seen the slot empty */

    apr_status_t status;
    int changes;         /* something was written */
    int removed;         /* sweep */
    unsigned char *seen; /* claim: malloc'ed copy of what is there */
    apr_size_t seen_len;
    apr_int64_t seen_expires, seen_now;
    int seen_owner_dead;
    char why[LMDB_WHY];
} lmdb_op;

lmdb_op *idem_lmdb_op_make(lmdb_kind kind, const unsigned char *slot);
void idem_lmdb_op_drop(lmdb_base *base, lmdb_op *op);
void idem_lmdb_op_drop_locked(lmdb_op *op); /* under queue_lock */

/* Leader: tells the callers of a group how far it is. From APPLYING on nobody leaves until COMMITTING. */
void idem_lmdb_advance(lmdb_base *base, lmdb_op **ops, int count, lmdb_phase phase);

/*
 * Returns the operation's status, with its sentence. APR_TIMEUP: why says whether it may still be carried out; op's
 * results must then not be read. The caller drops op in any case.
 */
apr_status_t idem_lmdb_submit(lmdb_base *base, lmdb_op *op, apr_time_t deadline, char *why);

/*
 * Leader, under turn and env_lock: one transaction for all, or one each where they do not fit together. 0: each has its
 * status. Else LMDB's code: no transaction could be begun, and nobody has been told anything.
 */
int idem_lmdb_carry_out(lmdb_base *base, lmdb_op **ops, int count);

/* ---- errors.c, open.c, walk.c, mark.c -------------------------------------------------- */

apr_status_t idem_lmdb_open(idem_store *store, apr_pool_t *pool, const char **why);

/* What went wrong with a path, and what to do about it. */
void idem_lmdb_complain(char *why, const lmdb_store *store, const char *doing, int err);

/* Reads every entry for a while (all of them, however long, if thorough). APR_SUCCESS, or IDEM_EDAMAGED with why. */
apr_status_t idem_lmdb_walk(MDB_env *mdb, const MDB_dbi dbi[3], const char *dir, int thorough, char *why);

/* Appends "the store DIR predicate" to a probe's warnings. */
void idem_lmdb_warn(char *warning, const lmdb_store *store, const char *predicate);

/* Probe: sets a file aside that an unclean end may have damaged, and marks the directory if sync is off. */
apr_status_t idem_lmdb_mark_begin(const lmdb_store *store, char *why, char *warning);

/* Under turn, in a process that attaches with sync=off: the mark is there, or is made. Returns errno. */
int idem_lmdb_mark_keep(const char *dir, const char *boot);

/* Parent: removes the mark when pool ends and nobody uses the store any more. */
void idem_lmdb_mark_end_with(const lmdb_store *store, apr_pool_t *pool);

#endif
