/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.c - sentences about a store's directory: what went wrong there with its cure, and what a person must know of
 * it.
 *
 * Called at the start, and where a process attaches. What always holds: a sentence names the directory. Limits: what
 * does not fit its room is cut.
 */
#include "lmdb_private.h"

#include <errno.h>
#include <stdio.h>

void idem_lmdb_complain(char *why, const lmdb_store *store, const char *doing, int err)
{
    const char *dir = store->dir;
    int n = snprintf(why, LMDB_WHY, "cannot %s the store's directory %s: %s", doing, dir, strerror(err));
    char *to = n > 0 && n < LMDB_WHY ? why + n : why + LMDB_WHY - 1;
    size_t left = (size_t)(why + LMDB_WHY - to);

    switch (err) {
    case EACCES:
    case EPERM:
        snprintf(
            to, left,
            "; it and its files must belong to uid %u with mode 0700 (chown -R %u:%u %s), and under SELinux be of type "
            "httpd_var_lib_t (semanage fcontext, restorecon)",
            store->env->uid, store->env->uid, store->env->gid, dir);
        break;
    case EROFS:
        snprintf(to, left,
                 "; if systemd mounts it so for the service, add ReadWritePaths=%s to the unit (systemctl edit)", dir);
        break;
    case ENOSPC:
    case EDQUOT: snprintf(to, left, "; make room on its file system"); break;
    case ENOENT: snprintf(to, left, "; make the directory that should contain it, it is not made automatically"); break;
    case ENOTDIR: snprintf(to, left, "; a part of the path is a file: name another directory"); break;
    case ENOMEM:
        snprintf(to, left, "; size= is more address space than the process may have: lower it, or raise ulimit -v");
        break;
    default: break;
    }
}

void idem_lmdb_warn(char *warning, const lmdb_store *store, const char *predicate)
{
    size_t len = strlen(warning);
    snprintf(warning + len, LMDB_WARNING - len, "%sthe store %s %s", len ? "; " : "", store->dir, predicate);
}
