/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idem_store.h - the driver API of a mod_idempotency store (public).
 *
 * A store keeps one small opaque value per 32-byte slot and can claim, take over, renew, settle and release a slot
 * atomically. Everything else (sealing, slots, checksums, repeating, counting, logging) lives above the drivers, once.
 *
 * Caveats first:
 *  - A driver never logs, never sees a request_rec, and never interprets a value beyond its plain head.
 *  - Every call carries a pool for its results, a deadline that includes every wait for a lock, and a place for one
 *    sentence that says why it failed. The front logs that sentence, once.
 *  - Any thread of a process that has called attach() may call claim, takeover, renew, settle, release, fetch, each,
 *    forget, sweep and status. The driver does its own locking. configure() and open() run in the parent,
 *    single-threaded.
 *  - Times are the store's own clock's. A value carries durations only.
 *  - The front judges whether a value is whole. A driver treats an implausible value, or one with an unknown state, as
 *    a settled one: fetch shows it, takeover refuses it, and forget() or its ttl removes it. A value that is too short
 *    to have a ttl never expires.
 *  - Any answer other than the codes below means "store down, or its answer was lost". The caller must assume that the
 *    operation may or may not have happened, and repeats it with the same token.
 *
 * The rules of each operation come from an exhaustive exploration of the protocol (tests/model). Without any one "only
 * if" below, the protocol executes twice, loses a record, or answers twice.
 * tests/store/conformance/conformance.c is the specification in executable form; every driver runs it.
 */
#ifndef IDEM_STORE_H
#define IDEM_STORE_H

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A third-party driver registers itself in its module's register_hooks:
 * ap_register_provider(pool, IDEM_STORE_GROUP, "scheme", IDEM_STORE_VERSION, &driver). It cannot replace a built-in
 * scheme. The version changes with this file's contract. docs/stores.md walks through an example.
 */
#define IDEM_STORE_GROUP "idempotency-store"
#define IDEM_STORE_VERSION "1"

#define IDEM_SLOT_LEN 32
#define IDEM_TOKEN_LEN 16

/* ---- results ----------------------------------------------------------------------------------------------------- */

/* APR_SUCCESS, APR_EEXIST (found is filled), APR_NOTFOUND, APR_TIMEUP (the deadline passed), and: */
#define IDEM_ESTART (APR_OS_START_USERERR + 7400)
#define IDEM_ELOST (IDEM_ESTART + 1)    /* the slot holds another's token: nothing was changed */
#define IDEM_EFULL (IDEM_ESTART + 2)    /* no room for this value: nothing was changed */
#define IDEM_ETOOBIG (IDEM_ESTART + 3)  /* larger than max_value: nothing was touched */
#define IDEM_EDAMAGED (IDEM_ESTART + 4) /* the store itself is corrupt; only a restart of the server looks again */
#define IDEM_EALIVE (IDEM_ESTART + 5)   /* takeover: that token stands, but its owner is not dead */

/* ---- the plain head of a value ----------------------------------------------------------------------------------- */

/*
 * A value has at least IDEM_HEAD_MIN bytes. Its first bytes are plain and big-endian. A driver may read only these:
 *
 *   0  4  magic "IDEM"
 *   4  1  format version
 *   5  1  state (idem_state)
 *   6  2  flags (not the driver's)
 *   8  8  ttl, milliseconds: the entry expires this long after it was written
 *  16  4  lease, milliseconds: stores shared by hosts take the owner for dead this long after claim or renewal
 *  20  4  attempt
 *  24  8  owner: on stores of one host, the number under which the owning process holds its liveness lock
 *  32 32  slot
 *  64 16  token
 */
#define IDEM_HEAD_MIN 80

typedef enum idem_state {
    IDEM_STATE_LEASE = 1,     /* somebody executes */
    IDEM_STATE_RECORD = 2,    /* a finished response */
    IDEM_STATE_TOMBSTONE = 3, /* done, but the response could not be kept */
    IDEM_STATE_UNKNOWN = 4    /* execution began, the outcome is unknown */
} idem_state;

typedef struct idem_blob {
    const unsigned char *data;
    apr_size_t len;
} idem_blob;

static inline apr_uint64_t idem_value_number(const unsigned char *at, int bytes)
{
    apr_uint64_t n = 0;
    while (bytes-- > 0)
        n = n << 8 | *at++;
    return n;
}
static inline int idem_value_plausible(idem_blob v)
{
    return v.len >= IDEM_HEAD_MIN && v.data[0] == 'I' && v.data[1] == 'D' && v.data[2] == 'E' && v.data[3] == 'M';
}
static inline idem_state idem_value_state(idem_blob v)
{
    return (idem_state)v.data[5];
}
static inline apr_interval_time_t idem_value_ttl(idem_blob v)
{
    return (apr_interval_time_t)idem_value_number(v.data + 8, 8) * 1000;
}
static inline apr_interval_time_t idem_value_lease(idem_blob v)
{
    return (apr_interval_time_t)idem_value_number(v.data + 16, 4) * 1000;
}
static inline apr_uint64_t idem_value_owner(idem_blob v)
{
    return idem_value_number(v.data + 24, 8);
}
static inline const unsigned char *idem_value_slot(idem_blob v)
{
    return v.data + 32;
}
static inline const unsigned char *idem_value_token(idem_blob v)
{
    return v.data + 64;
}

/* ---- what a driver is given -------------------------------------------------------------------------------------- */

/* The machine around the store; lives as long as the configuration. */
typedef struct idem_env {
    const char *state_dir; /* where a relative path of a local store belongs */
    const char *run_dir;   /* for lock files that need not survive a boot */
    unsigned int uid, gid; /* the user of the processes that attach(); files must belong to it */
    int processes;         /* upper bound of processes that attach at once, two generations included */
    int threads;           /* upper bound of threads in each */
    void *server;          /* server_rec of the configuration inside httpd, NULL elsewhere */
    /* Of one call. open() and attach() of a store behind a network take no longer. 0: not configured. */
    apr_interval_time_t timeout;
    /* A configuration is only being checked: stores that are IDEM_LOOKS are opened and attached to see what can be
     * known. */
    int look_only;
} idem_env;

/* One call. The caller fills pool and deadline. The driver fills why if it returns anything unexpected. */
typedef struct idem_call {
    apr_pool_t *pool;    /* owns everything the call returns */
    apr_time_t deadline; /* apr_time_now() clock, waits for locks included */
    const char *why;     /* one sentence without a newline, static or in pool; NULL if there is nothing to say */
} idem_call;

/* The entry of a slot. */
typedef struct idem_found {
    idem_blob value;    /* a copy in call->pool, aligned for nothing */
    int owner_dead;     /* for a LEASE: its owner is dead (local stores) or its lease has lapsed (shared stores) */
    apr_time_t expires; /* by the store's clock; 0 if the store cannot say */
    apr_time_t now;     /* what that clock showed when the entry was read; 0 if the store cannot say */
} idem_found;

/* Called by each(). The slot's copy and found live until it returns. Return 0 to stop. It must not call the store. */
typedef int idem_visitor(void *baton, const unsigned char *slot, const idem_found *found);

typedef struct idem_store_status {
    apr_uint64_t entries; /* live or not yet swept; 0 with entries_known 0 */
    int entries_known;
    apr_uint64_t bytes_used; /* 0 where the store cannot say */
    apr_uint64_t bytes_max;  /* 0: no bound known */
    const char *text;        /* one line for a person, NULL if none */
} idem_store_status;

/* Weaknesses and abilities of a store. */
#define IDEM_EVICTS 0x01     /* may drop live entries when it is full */
#define IDEM_VOLATILE 0x02   /* loses everything at a restart of the server that holds it */
#define IDEM_HOST_LOCAL 0x04 /* shared by the processes of one host, where the operating system knows who lives */
#define IDEM_OFFLINE 0x08    /* a command-line tool may open it without httpd */
#define IDEM_FRAGILE 0x10    /* may lose entries when a process dies while it writes */
#define IDEM_READS_FREE 0x20 /* fetch, and a claim that finds something, wait for no writer, not for a hung one */
#define IDEM_LOOKS 0x40 /* with look_only open() and attach() make nothing; open() takes it away where they would */

typedef struct idem_store idem_store; /* a driver's instance; its own struct begins with this one */
typedef struct idem_driver idem_driver;

struct idem_store {
    const idem_driver *driver; /* the one whose configure() made it; the front sets it and calls through it */
    unsigned flags;            /* IDEM_EVICTS… of this instance, final after open() */
    apr_size_t max_value;      /* largest value that fits, 0 if unbounded; final after open() */
    apr_uint64_t owner;        /* HOST_LOCAL: this process's number, not 0, set by attach(); else 0 */
    int parts; /* servers that fail one by one, each with slots of its own; 0, 1: it fails whole; set by configure() */
    const char *warning; /* set by configure() or open(): limits a person must know, said once at start; may be NULL */
};

/* ---- the driver -------------------------------------------------------------------------------------------------- */

struct idem_driver {
    const char *scheme;

    /*
     * Parses the URL behind "scheme:" and the options ("name=value", NULL-terminated array, may be empty). Touches
     * nothing, since a mere check of a configuration calls it, too. The instance lives in pool, and so do env and the
     * options. On failure *why is a sentence for the administrator.
     */
    apr_status_t (*configure)(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                              apr_pool_t *pool, const char **why);

    /*
     * Parent, as root where there is one: creates and checks the shared files and locks. A restart calls it again on
     * another instance, while children of the old generation still use theirs. Leaves nothing open that must not cross
     * a fork. IDEM_EDAMAGED if the store exists and cannot be trusted.
     */
    apr_status_t (*open)(idem_store *store, apr_pool_t *pool, const char **why);

    /* Child, after its fork and change of user; pool ends with the process. Called again after a failure. */
    apr_status_t (*attach)(idem_store *store, apr_pool_t *pool, const char **why);

    /* Child, at its end, when no other thread is in the store. */
    void (*detach)(idem_store *store);

    /*
     * Inserts value only if the slot is absent or expired: APR_SUCCESS. Else APR_EEXIST, and found is the entry; a
     * lapsed or orphaned lease is an entry, too. A LEASE with value's own token counts as won (a repeated claim). A
     * LEASE whose owner lives never expires. IDEM_EFULL, IDEM_ETOOBIG.
     */
    apr_status_t (*claim)(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                          idem_found *found);

    /*
     * Replaces the entry by value (a LEASE with a new token) only if its token equals seen, and it is UNKNOWN or a
     * LEASE whose owner is dead. Test and change are one atomic step. IDEM_EALIVE if the owner of seen lives,
     * IDEM_ELOST if the entry has another token, APR_NOTFOUND if there is no entry. A LEASE with value's own token
     * counts as done.
     */
    apr_status_t (*takeover)(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *seen,
                             idem_blob value);

    /*
     * Moves the deadline of a LEASE with this token, nothing else. Never creates one. IDEM_ELOST, APR_NOTFOUND. The
     * front calls it for stores that hosts share, at a third of the lease. Leases of other stores have no deadline:
     * there it starts the ttl anew.
     */
    apr_status_t (*renew)(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token);

    /*
     * Replaces a LEASE with value's token by value (RECORD, TOMBSTONE or UNKNOWN). Inserts value if the slot is absent
     * or expired. A repeated call succeeds and changes nothing: a settled entry keeps its token. IDEM_ELOST if the
     * entry has another token. After IDEM_EFULL and IDEM_ETOOBIG the lease is as before.
     */
    apr_status_t (*settle)(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value);

    /* Removes a LEASE with this token. APR_NOTFOUND: no entry. IDEM_ELOST: another token, or a settled entry. */
    apr_status_t (*release)(idem_store *store, idem_call *call, const unsigned char *slot, const unsigned char *token);

    /* Reads the entry of the slot, unless it has expired. APR_NOTFOUND. */
    apr_status_t (*fetch)(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found);

    /* Visits every entry once, except expired ones. May miss entries written meanwhile. APR_ENOTIMPL if it cannot. */
    apr_status_t (*each)(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton);

    /* Removes any entry, for an administrator. APR_NOTFOUND. */
    apr_status_t (*forget)(idem_store *store, idem_call *call, const unsigned char *slot);

    /*
     * Removes at most `most` expired entries, never a LEASE whose owner lives, and counts them in *removed.
     * APR_ENOTIMPL if the store removes expired entries by itself.
     */
    apr_status_t (*sweep)(idem_store *store, idem_call *call, int most, int *removed);

    apr_status_t (*status)(idem_store *store, idem_call *call, idem_store_status *status);

    /* Of a store with several parts: the number of the part that has the slot, from 0. NULL for other stores. */
    int (*part)(const idem_store *store, const unsigned char *slot);
};

#ifdef __cplusplus
}
#endif
#endif
