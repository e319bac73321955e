/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liveness.h - who is alive, by the operating system's word.
 *
 * Each process that attaches to a local store draws an owner number: its own process number and random bits. It locks
 * the byte at that offset of a lock file. The kernel drops the lock when the process ends, however it ends, and not
 * before. So a stopped process (SIGSTOP, a debugger, a swap storm) still counts as alive, and a killed one is dead at
 * once. No process ids, which are used again; no clocks; after a reboot everyone is dead. The number goes into the head
 * of each lease.
 *
 * The lock file's contents mean nothing and it stays empty; it must not be removed while anyone uses the store. All
 * functions but open and close may be called by any thread. Works within one host (also across PID namespaces that
 * share the file), not on network file systems.
 */
#ifndef IDEM_LIVENESS_H
#define IDEM_LIVENESS_H

#include <apr_errno.h>
#include <apr_pools.h>

typedef struct idem_liveness idem_liveness;

/*
 * Takes an owner number under path, which must exist (idem_liveness_create). Ends with idem_liveness_close() or with
 * the process; deliberately not with the pool, which some servers destroy while handlers still run.
 */
apr_status_t idem_liveness_open(idem_liveness **liveness, const char *path, apr_pool_t *pool, const char **why);
void idem_liveness_close(idem_liveness *liveness);

/* This process's number; never 0. */
apr_uint64_t idem_liveness_owner(const idem_liveness *liveness);

/* The process's number at the operating system, of an owner that lives or is dead. Only to be shown: it is used again.
 */
unsigned long idem_liveness_process(apr_uint64_t owner);

/* Nonzero if the owner lives, or if the system will not say: doubt must never let a second execution happen. */
int idem_liveness_alive(const idem_liveness *liveness, apr_uint64_t owner);

/* Creates the lock file if it is not there. Returns errno's APR status. */
apr_status_t idem_liveness_create(const char *path);

/* Does any process hold a number under path? Nonzero in doubt; 0 if there is no such file. Takes no number itself. */
int idem_liveness_any(const char *path);

#endif
