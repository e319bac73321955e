/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base.c - one environment per process and directory, shared by the instances that name it. For slot.c.
 *
 * LMDB must not open a file twice in one process, so a registry by real path counts the users of each. It lasts from
 * the first attach to the last detach, in memory of its own: configurations come and go while it stays. A forked child
 * finds its parent's environments here. It neither uses nor closes them.
 */
#include "lmdb_private.h"
#include "pools.h"

#include <apr_strings.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTACH_PATIENCE apr_time_from_sec(2)
#define IDLE_AT_START 64 /* read transactions at most; further ones are made when needed */

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static lmdb_base *registry;

static void prepare_locks(lmdb_base *base)
{
    idem_clock_start(&base->clock, 0); /* until the store has told the time */
    pthread_rwlock_init(&base->env_lock, NULL);
    pthread_mutex_init(&base->idle_lock, NULL);
    pthread_mutex_init(&base->queue_lock, NULL);
}

static void dispose_locks(lmdb_base *base)
{
    pthread_mutex_destroy(&base->queue_lock);
    pthread_mutex_destroy(&base->idle_lock);
    pthread_rwlock_destroy(&base->env_lock);
    idem_clock_stop(&base->clock);
}

/* Under turn: the rest of LMDB's table of readers is looked after, places are taken, the clock is set. */
static apr_status_t settle_in(lmdb_base *base, char *why)
{
    MDB_txn *txn;
    apr_time_t now;
    int dead, this_boot, rc = mdb_reader_check(base->mdb, &dead);
    int wanted = base->idle_room < IDLE_AT_START ? base->idle_room : IDLE_AT_START;

    for (int i = 0; rc == 0 && i < wanted; i++) {
        rc = mdb_txn_begin(base->mdb, NULL, MDB_RDONLY, &txn);
        if (rc == MDB_READERS_FULL && i > 0) {
            rc = 0;
            break;
        }
        if (rc == 0 && i == 0) {
            rc = idem_lmdb_clock_load(base, txn, &now, &this_boot);
            idem_clock_raise(&base->clock, now);
        }
        if (rc == 0) {
            mdb_txn_reset(txn);
            base->idle[base->idle_count++] = txn;
        }
    }
    return rc ? idem_lmdb_failed(base, rc, "opening", why) : APR_SUCCESS;
}

static apr_status_t open_locks(lmdb_base *base, apr_time_t deadline, char *why)
{
    const char *said = NULL;
    apr_status_t status =
        idem_liveness_open(&base->liveness, idem_lmdb_path(base->dir, LMDB_OWNERS, base->pool), base->pool, &said);

    if (status == APR_SUCCESS)
        status = idem_filelock_open(&base->turn, idem_lmdb_path(base->dir, LMDB_TURN, base->pool), deadline, base->pool,
                                    &said);
    if (status != APR_SUCCESS)
        apr_cpystrn(why, said ? said : "", LMDB_WHY);
    return status;
}

static apr_status_t keep_mark(lmdb_base *base, char *why)
{
    int err = idem_lmdb_mark_keep(base->dir, base->boot);
    return err ? idem_lmdb_failed(base, err, "marking", why) : APR_SUCCESS;
}

static apr_status_t open_all(lmdb_base *base, char *why)
{
    apr_time_t deadline = apr_time_now() + ATTACH_PATIENCE;
    apr_status_t status = open_locks(base, deadline, why);

    if (status == APR_SUCCESS)
        status = idem_lmdb_turn(base, deadline, why);
    if (status != APR_SUCCESS)
        return status;
    status = base->sync ? APR_SUCCESS : keep_mark(base, why);
    if (status == APR_SUCCESS)
        status = idem_lmdb_open_base(base, why);
    if (status == APR_SUCCESS)
        status = settle_in(base, why);
    idem_filelock_release(base->turn);
    return status;
}

static void close_all(lmdb_base *base)
{
    idem_lmdb_close_base(base);
    if (base->turn)
        idem_filelock_close(base->turn);
    if (base->liveness)
        idem_liveness_close(base->liveness);
    dispose_locks(base);
    apr_pool_destroy(base->pool);
}

/* From no pool of the caller's: instances come and go with their configurations. */
static lmdb_base *make_base(const lmdb_store *store, const char *dir)
{
    apr_pool_t *pool;
    lmdb_base *mine;

    if (idem_pool_alone(&pool) != APR_SUCCESS)
        return NULL;
    mine = apr_pcalloc(pool, sizeof(*mine));
    mine->pool = pool;
    mine->pid = getpid();
    mine->dir = apr_pstrdup(pool, dir);
    mine->size = mine->map = store->size;
    mine->sync = store->sync;
    mine->readers = idem_lmdb_readers(store->env);
    mine->idle_room = (store->env->threads > 0 ? store->env->threads : 1) + 8;
    mine->idle = apr_pcalloc(pool, sizeof(MDB_txn *) * (size_t)mine->idle_room);
    mine->last = &mine->first;
    if (idem_clock_boot_id(mine->boot) != APR_SUCCESS)
        mine->boot[0] = '\0';
    prepare_locks(mine);
    return mine;
}

static lmdb_base *known_base(const char *dir)
{
    lmdb_base **at = &registry;
    while (*at) {
        if ((*at)->pid != getpid())
            *at = (*at)->next; /* the parent's, inherited by a fork: not ours to use or to close */
        else if (strcmp((*at)->dir, dir) == 0)
            return *at;
        else
            at = &(*at)->next;
    }
    return NULL;
}

/* Under registry_lock. */
static lmdb_base *get_known(lmdb_base *base, const lmdb_store *store, apr_status_t *status, char *why)
{
    if (base->sync != store->sync || base->size != store->size) {
        snprintf(why, LMDB_WHY, "%s is already open in this process with other options", base->dir);
        *status = APR_EINVAL;
        return NULL;
    }
    base->users++;
    return base;
}

/* Under registry_lock. */
static lmdb_base *get_new(const lmdb_store *store, const char *dir, apr_status_t *status, char *why)
{
    lmdb_base *base = make_base(store, dir);

    if (!base) {
        *status = APR_ENOMEM;
        return NULL;
    }
    *status = open_all(base, why);
    if (*status != APR_SUCCESS) {
        close_all(base);
        return NULL;
    }
    base->users = 1;
    base->next = registry;
    registry = base;
    return base;
}

/* open() has seen the directory, or made it. */
static void say_missing(const lmdb_store *store, int err, char *why)
{
    if (err == ENOENT)
        snprintf(why, LMDB_WHY, "somebody removed the store's directory %s: restart the server, which makes it again",
                 store->dir);
    else
        idem_lmdb_complain(why, store, "find", err);
}

lmdb_base *idem_lmdb_base_get(const lmdb_store *store, apr_status_t *status, char *why)
{
    lmdb_base *base;
    char *dir = realpath(store->dir, NULL);

    *status = APR_SUCCESS;
    if (!dir) {
        *status = APR_FROM_OS_ERROR(errno);
        say_missing(store, errno, why);
        return NULL;
    }
    pthread_mutex_lock(&registry_lock);
    base = known_base(dir);
    base = base ? get_known(base, store, status, why) : get_new(store, dir, status, why);
    pthread_mutex_unlock(&registry_lock);
    free(dir);
    return base;
}

void idem_lmdb_base_put(lmdb_base *base)
{
    if (base->pid != getpid())
        return; /* a forked child's copy of its parent's store */
    pthread_mutex_lock(&registry_lock);
    if (--base->users == 0) {
        for (lmdb_base **at = &registry; *at; at = &(*at)->next) {
            if (*at == base) {
                *at = base->next;
                break;
            }
        }
        close_all(base);
    }
    pthread_mutex_unlock(&registry_lock);
}
