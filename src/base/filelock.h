/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filelock.h - a lock between processes that can be waited for with a deadline and outlives no owner.
 *
 * A robust, process-shared mutex in a mapped file. LMDB's own lock for writers has no timeout. One process that is
 * stopped in the middle of a write would stop every other. Before each call that takes LMDB's lock, the caller takes
 * this one.
 *
 * If the owner dies, the next one gets the lock; what it guarded must be able to bear that (LMDB is). The mutex is
 * initialised anew whenever nobody has the file open, so nothing stale outlives a reboot. Not recursive; threads of one
 * process exclude each other like processes.
 */
#ifndef IDEM_FILELOCK_H
#define IDEM_FILELOCK_H

#include <apr_errno.h>
#include <apr_pools.h>
#include <apr_time.h>

typedef struct idem_filelock idem_filelock;

/* Creates the file, with its blocks, if it is not there: a mapped file without blocks kills on a full file system. */
apr_status_t idem_filelock_create(const char *path);

/* path must exist. Waits for others that are opening it, until deadline. Freed by close() or with the process. */
apr_status_t idem_filelock_open(idem_filelock **lock, const char *path, apr_time_t deadline, apr_pool_t *pool,
                                const char **why);
void idem_filelock_close(idem_filelock *lock);

/* APR_TIMEUP if the deadline (apr_time_now() clock) passed; then nothing is held. */
apr_status_t idem_filelock_acquire(idem_filelock *lock, apr_time_t deadline);
void idem_filelock_release(idem_filelock *lock);

#endif
