/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socache_private.h - what the files of the socache driver share.
 *
 *   driver.c   the driver's table
 *   open.c     makes a store: its address, its cache, its mutex; attaches a child
 *   kinds.c    what is particular about each provider
 *   entry.c    what a cache keeps under a slot
 *   slot.c     the operations on one slot
 *   scan.c     what looks at every entry
 */
#ifndef IDEM_DRIVER_SOCACHE_PRIVATE_H
#define IDEM_DRIVER_SOCACHE_PRIVATE_H

#include "bytes.h"
#include "clock.h"
#include "socache.h"
#include "drivers.h"
#include "liveness.h"

#include <ap_socache.h>
#include <httpd.h>
#include <apr_global_mutex.h>

/* Expected size of an entry, as told to the provider. */
#define IDEM_SOCACHE_AVERAGE 1024

/* A cache keeps under a slot: when the entry expires (milliseconds since 1970), then the value. */
#define IDEM_SOCACHE_EXPIRY_LEN 8

typedef struct idem_socache_kind idem_socache_kind;

typedef struct idem_socache {
    idem_store super;
    const idem_env *env;
    const idem_socache_kind *kind;
    const char *args;      /* as the provider wants them */
    const char *lock_path; /* of the owners' liveness, absolute */

    /* made by open() in the parent, used by the children of that generation */
    const ap_socache_provider_t *provider;
    ap_socache_instance_t *cache;
    apr_global_mutex_t *made_mutex;
    idem_clock clock;        /* by which entries expire; each process continues it */
    unsigned char *in, *out; /* room for one stored value each, in each process; used with the mutex held */

    /* each child's own */
    apr_global_mutex_t *mutex;
    idem_liveness *liveness;
} idem_socache;

/* One of the providers that can be used, and what is particular about it. */
struct idem_socache_kind {
    const char *name;
    unsigned flags;             /* IDEM_EVICTS… */
    apr_status_t nothing_there; /* what its retrieve() returns for an unknown id, beside APR_NOTFOUND; 0 for no other */
    /* Touches nothing: fills args and lock_path; args is what the administrator wrote, maybe nothing. */
    apr_status_t (*configure)(idem_socache *store, const char *args, apr_pool_t *pool, const char **why);
    /* As root, before and after the provider's own init, with the mutex held; may be NULL. */
    apr_status_t (*prepare)(idem_socache *store, apr_pool_t *pool, const char **why);
    apr_status_t (*finish)(idem_socache *store, apr_pool_t *pool, const char **why);
    /* The largest value that should fit, by what is known of the provider. open() proves it. */
    apr_size_t (*largest)(const idem_socache *store);
    /* Bytes it holds in all; NULL where there is no bound. */
    apr_size_t (*capacity)(const idem_socache *store);
    const char *(*warning)(const idem_socache *store, apr_pool_t *pool);
};

extern const idem_socache_kind *const idem_socache_kinds[]; /* NULL-terminated */

/* What stands under a slot. */
typedef struct idem_socache_entry {
    idem_blob value; /* in the bytes it was made from */
    apr_time_t expires, now;
    int owner_dead; /* a lease, and its owner is */
    int expired;    /* counts as absent: never a lease whose owner lives */
} idem_socache_entry;

static inline apr_size_t idem_socache_room(const idem_socache *store)
{
    return store->super.max_value + IDEM_SOCACHE_EXPIRY_LEN;
}

static inline int idem_socache_is_lease(idem_blob value)
{
    return idem_value_plausible(value) && idem_value_state(value) == IDEM_STATE_LEASE;
}

/* When a provider is told that an entry expires: in a hundred years, since expiry is this driver's business. */
static inline apr_time_t idem_socache_never(void)
{
    return apr_time_now() + apr_time_from_sec((apr_time_t)100 * 365 * 86400);
}

/* Did retrieve() say that there is nothing under the id? */
static inline int idem_socache_is_absent(const idem_socache *store, apr_status_t rv)
{
    return rv != APR_SUCCESS && (rv == APR_NOTFOUND || rv == store->kind->nothing_there);
}

/* Takes apart what a cache keeps. The process must be attached. */
idem_socache_entry idem_socache_entry_of(idem_socache *store, const unsigned char *stored, apr_size_t len);

/* Waits for the mutex until the call's deadline: APR_TIMEUP. */
apr_status_t idem_socache_lock(idem_socache *store, idem_call *call);

/* As root: creates the file if it is not there and gives it, at path, to the user of the children and nobody else. */
apr_status_t idem_socache_share_file(const idem_socache *store, const char *path, apr_pool_t *pool, const char **why);

/* Members of the driver's table. */
apr_status_t idem_socache_configure(idem_store **store, const idem_env *env, const char *rest,
                                    const char *const *options, apr_pool_t *pool, const char **why);
apr_status_t idem_socache_open(idem_store *store, apr_pool_t *pool, const char **why);
apr_status_t idem_socache_attach(idem_store *store, apr_pool_t *pool, const char **why);
apr_status_t idem_socache_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                                idem_found *found);
apr_status_t idem_socache_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *seen, idem_blob value);
apr_status_t idem_socache_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                                const unsigned char *token);
apr_status_t idem_socache_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value);
apr_status_t idem_socache_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                  const unsigned char *token);
apr_status_t idem_socache_forget(idem_store *store, idem_call *call, const unsigned char *slot);
apr_status_t idem_socache_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                      const unsigned char *token);
apr_status_t idem_socache_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found);
apr_status_t idem_socache_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton);
apr_status_t idem_socache_page(idem_store *store, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                               void *baton);
apr_status_t idem_socache_sweep(idem_store *store, idem_call *call, int most, int *removed);
apr_status_t idem_socache_status(idem_store *store, idem_call *call, idem_store_status *status);

#endif
