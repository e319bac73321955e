/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env.c - the LMDB environment of a process: opened, read from, opened again. For the other files of the driver.
 *
 * Read transactions are kept at rest between uses, so that reading takes no lock between processes. An environment that
 * LMDB declares broken (a failed write of its meta page) is closed and opened again under env_lock, at most once a
 * second.
 *
 * Always: a thread that calls LMDB holds env_lock. LMDB takes locks of its own for opening, for a new place in the
 * table of readers, and for a write. For such a call the thread also holds turn, and waits for it with a deadline.
 */
#include "lmdb_private.h"

#include <apr_strings.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#define LAYOUT "idempotency 1" /* another layout gets another number */
#define OPEN_TRIES 20
#define OPEN_PAUSE 10000 /* microseconds */
#define REOPEN_PAUSE APR_USEC_PER_SEC

const char *idem_lmdb_path(const char *dir, const char *name, apr_pool_t *pool)
{
    return apr_pstrcat(pool, dir, "/", name, NULL);
}

/* Every thread of every process may rest in a read transaction, and the command-line tools come on top. */
unsigned idem_lmdb_readers(const idem_env *env)
{
    unsigned processes = env->processes > 0 ? (unsigned)env->processes : 1;
    unsigned threads = env->threads > 0 ? (unsigned)env->threads : 1;
    return processes * (threads + 8) + 128;
}

/* ---- what went wrong --------------------------------------------------------------------------------------------- */

static apr_status_t error_meaning(int rc)
{
    switch (rc) {
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE: return IDEM_EDAMAGED;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT: return IDEM_EFULL;
    default: return rc > 0 ? APR_FROM_OS_ERROR(rc) : APR_EGENERAL;
    }
}

static const char *error_cure(int rc)
{
    switch (rc) {
    case MDB_READERS_FULL: return ": stop foreign readers (mdb_stat, mdb_copy), or stop the server and start it again";
    case ENOSPC:
    case EDQUOT: return ": make room on its file system";
    case MDB_MAP_FULL:
    case MDB_TXN_FULL: return ": raise its option size=";
    case ENOENT: return ": somebody removed it; restart the server, which makes it again";
    case EAGAIN:
        return ": a process with the same number has it open in another PID namespace; only processes of one "
               "namespace can share it, containers need a store that hosts share";
    case EIO: return ": look for disk errors in the kernel's log";
    default:
        return error_meaning(rc) == IDEM_EDAMAGED
                   ? ": its file is damaged; stop the server, move it away, and start again"
                   : "";
    }
}

apr_status_t idem_lmdb_failed(lmdb_base *base, int rc, const char *doing, char *why)
{
    if (rc == MDB_PANIC || rc == MDB_MAP_RESIZED || rc == MDB_BAD_RSLOT)
        atomic_store(&base->broken, rc);
    snprintf(why, LMDB_WHY, "%s the store %s failed: %s%s", doing, base->dir, mdb_strerror(rc), error_cure(rc));
    return error_meaning(rc);
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

int idem_lmdb_open_env(MDB_env **mdb, const char *dir, apr_uint64_t size, unsigned readers, unsigned flags)
{
    int rc = 0;

    /* An environment that failed to open cannot be tried again, and another process may be closing its own just now. */
    for (int i = 0; i < OPEN_TRIES; i++) {
        rc = mdb_env_create(mdb);
        if (rc != 0)
            return rc;
        rc = mdb_env_set_maxdbs(*mdb, 3);
        if (rc == 0)
            rc = mdb_env_set_mapsize(*mdb, (size_t)size);
        if (rc == 0)
            rc = mdb_env_set_maxreaders(*mdb, readers);
        if (rc == 0)
            rc = mdb_env_open(*mdb, dir, MDB_NOTLS | flags, 0600);
        if (rc == 0)
            return 0;
        mdb_env_close(*mdb);
        *mdb = NULL;
        if (rc != EAGAIN && rc != EBUSY)
            return rc;
        apr_sleep(OPEN_PAUSE);
    }
    return rc;
}

static int check_layout(MDB_txn *txn, MDB_dbi meta, int create, const char *dir, char *why)
{
    MDB_val key = {6, (void *)(apr_uintptr_t) "layout"}, data;
    int rc = mdb_get(txn, meta, &key, &data);

    if (rc == MDB_NOTFOUND && create) {
        data.mv_size = sizeof(LAYOUT) - 1;
        data.mv_data = (void *)(apr_uintptr_t)LAYOUT;
        return mdb_put(txn, meta, &key, &data, 0);
    }
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    if (rc == 0 && data.mv_size == sizeof(LAYOUT) - 1 && memcmp(data.mv_data, LAYOUT, data.mv_size) == 0)
        return 0;
    snprintf(why, LMDB_WHY,
             "%s/" LMDB_DATA " was written by another version of this module (\"%.*s\", this one writes \"" LAYOUT
             "\"): use that version, or stop the server and move the file away",
             dir, rc == 0 ? (int)(data.mv_size < 40 ? data.mv_size : 40) : 0,
             rc == 0 ? (const char *)data.mv_data : "");
    return MDB_INCOMPATIBLE;
}

static int open_tables(MDB_txn *txn, MDB_dbi dbi[3], int create, const char *dir, char *why)
{
    static const char *const names[] = {"slots", "times", "meta"};
    MDB_stat main_table;
    int rc = mdb_stat(txn, 1, &main_table);

    create = create && rc == 0 && main_table.ms_entries == 0;
    for (int i = 0; rc == 0 && i < 3; i++)
        rc = mdb_dbi_open(txn, names[i], create ? MDB_CREATE : 0, &dbi[i]);
    if (rc == MDB_NOTFOUND)
        snprintf(why, LMDB_WHY, "%s/" LMDB_DATA " is no store of this module: name another directory", dir);
    if (rc == 0)
        rc = check_layout(txn, dbi[2], create, dir, why);
    return rc;
}

apr_status_t idem_lmdb_open_tables(MDB_env *mdb, MDB_dbi dbi[3], int create, const char *dir, char *why)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(mdb, NULL, create ? 0 : MDB_RDONLY, &txn);

    why[0] = '\0';
    if (rc == 0) {
        rc = open_tables(txn, dbi, create, dir, why);
        if (rc == 0)
            rc = mdb_txn_commit(txn); /* a reader's commit keeps the table handles */
        else
            mdb_txn_abort(txn);
    }
    if (rc == 0)
        return APR_SUCCESS;
    if (why[0] == '\0')
        snprintf(why, LMDB_WHY, "cannot open the tables in %s/" LMDB_DATA ": %s%s", dir, mdb_strerror(rc),
                 error_cure(rc));
    return rc == MDB_NOTFOUND ? IDEM_EDAMAGED : error_meaning(rc);
}

/* Under turn, and alone under env_lock. */
apr_status_t idem_lmdb_open_base(lmdb_base *base, char *why)
{
    struct stat st;
    MDB_dbi dbi[3] = {0, 0, 0};
    apr_status_t status;
    const char *data = idem_lmdb_path(base->dir, LMDB_DATA, base->pool);
    int rc = stat(data, &st) == 0 ? 0 : errno; /* LMDB would make a missing file, as whoever we are now */

    if (rc == 0)
        rc = idem_lmdb_open_env(&base->mdb, base->dir, base->map, base->readers, base->sync ? 0 : MDB_NOSYNC);
    if (rc != 0)
        return idem_lmdb_failed(base, rc, "opening", why);
    status = idem_lmdb_open_tables(base->mdb, dbi, 0, base->dir, why);
    if (status != APR_SUCCESS) {
        mdb_env_close(base->mdb);
        base->mdb = NULL;
        return status;
    }
    base->slots = dbi[0];
    base->times = dbi[1];
    base->meta = dbi[2];
    atomic_store(&base->broken, 0);
    return APR_SUCCESS;
}

/* Alone under env_lock. */
void idem_lmdb_close_base(lmdb_base *base)
{
    while (base->idle_count > 0)
        mdb_txn_abort(base->idle[--base->idle_count]);
    if (base->mdb)
        mdb_env_close(base->mdb);
    base->mdb = NULL;
}

static int env_alone_until(lmdb_base *base, apr_time_t deadline)
{
    struct timespec until = {(time_t)apr_time_sec(deadline), (long)apr_time_usec(deadline) * 1000};
    return pthread_rwlock_timedwrlock(&base->env_lock, &until);
}

/* Under turn. */
static apr_status_t reopen_env(lmdb_base *base, apr_time_t deadline, char *why)
{
    apr_status_t status;
    apr_time_t uptime = idem_clock_uptime();
    int was = atomic_load(&base->broken);

    if (was == MDB_PANIC && uptime < base->may_reopen) {
        snprintf(why, LMDB_WHY, "the store %s failed to write and is opened again every second: look for disk errors",
                 base->dir);
        return APR_EGENERAL;
    }
    if (env_alone_until(base, deadline) != 0) {
        snprintf(why, LMDB_WHY, "the store %s failed to write and waits for its readers to open again", base->dir);
        return APR_TIMEUP;
    }
    base->may_reopen = uptime + REOPEN_PAUSE;
    if (was == MDB_MAP_RESIZED)
        base->map = 0; /* a newer generation has a larger size=: take what the file says */
    idem_lmdb_close_base(base);
    status = idem_lmdb_open_base(base, why);
    if (status != APR_SUCCESS)
        atomic_store(&base->broken, MDB_PANIC);
    pthread_rwlock_unlock(&base->env_lock);
    return status;
}

/* ---- entering ---------------------------------------------------------------------------------------------------- */

apr_status_t idem_lmdb_turn(lmdb_base *base, apr_time_t deadline, char *why)
{
    apr_status_t status = idem_filelock_acquire(base->turn, deadline);

    if (status == APR_TIMEUP)
        snprintf(why, LMDB_WHY,
                 "another process kept the store %s locked until the deadline: one is stopped, or the disk is too slow",
                 base->dir);
    else if (status != APR_SUCCESS)
        snprintf(why, LMDB_WHY, "the lock of the store %s failed (error %d)", base->dir, APR_TO_OS_ERROR(status));
    return status;
}

apr_status_t idem_lmdb_enter(lmdb_base *base, apr_time_t deadline, char *why)
{
    for (int tries = 0; tries < 2; tries++) {
        apr_status_t status;
        pthread_rwlock_rdlock(&base->env_lock);
        if (!atomic_load(&base->broken))
            return APR_SUCCESS;
        pthread_rwlock_unlock(&base->env_lock);
        status = reopen_env(base, deadline, why);
        if (status != APR_SUCCESS)
            return status;
    }
    snprintf(why, LMDB_WHY, "the store %s failed again right after it was opened again", base->dir);
    return APR_EGENERAL;
}

void idem_lmdb_leave(lmdb_base *base)
{
    pthread_rwlock_unlock(&base->env_lock);
}

static MDB_txn *take_idle(lmdb_base *base)
{
    MDB_txn *txn = NULL;
    pthread_mutex_lock(&base->idle_lock);
    if (base->idle_count > 0)
        txn = base->idle[--base->idle_count];
    pthread_mutex_unlock(&base->idle_lock);
    return txn;
}

/* Holds env_lock on success, and only then. */
static int renew_idle(lmdb_base *base, MDB_txn **txn)
{
    int rc = 0;

    pthread_rwlock_rdlock(&base->env_lock);
    *txn = atomic_load(&base->broken) ? NULL : take_idle(base);
    if (*txn) {
        rc = mdb_txn_renew(*txn);
        if (rc == 0)
            return 0;
        mdb_txn_abort(*txn);
        *txn = NULL;
        atomic_store(&base->broken, rc); /* whatever it was, a fresh environment answers it */
    }
    pthread_rwlock_unlock(&base->env_lock);
    return 0;
}

/* Under turn and env_lock: a place in LMDB's table of readers is taken under a lock of LMDB's. */
static int begin_new(lmdb_base *base, MDB_txn **txn)
{
    int dead, rc = mdb_txn_begin(base->mdb, NULL, MDB_RDONLY, txn);
    if (rc == MDB_READERS_FULL && mdb_reader_check(base->mdb, &dead) == 0 && dead > 0)
        rc = mdb_txn_begin(base->mdb, NULL, MDB_RDONLY, txn);
    return rc;
}

apr_status_t idem_lmdb_read_begin(lmdb_base *base, apr_time_t deadline, MDB_txn **txn, char *why)
{
    apr_status_t status;
    int rc;

    renew_idle(base, txn);
    if (*txn)
        return APR_SUCCESS;

    status = idem_lmdb_turn(base, deadline, why);
    if (status != APR_SUCCESS)
        return status;
    status = idem_lmdb_enter(base, deadline, why);
    if (status == APR_SUCCESS) {
        rc = begin_new(base, txn);
        if (rc != 0) {
            status = idem_lmdb_failed(base, rc, "reading", why);
            idem_lmdb_leave(base);
        }
    }
    idem_filelock_release(base->turn);
    return status;
}

void idem_lmdb_read_end(lmdb_base *base, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    pthread_mutex_lock(&base->idle_lock);
    if (base->idle_count < base->idle_room) {
        base->idle[base->idle_count++] = txn;
        txn = NULL;
    }
    pthread_mutex_unlock(&base->idle_lock);
    if (txn)
        mdb_txn_abort(txn);
    idem_lmdb_leave(base);
}
