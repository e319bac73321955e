/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark.c - sync=off: knowing that a file may not have reached the disk whole. For open.c.
 *
 * Without flushes a crash of the machine (not of a process) can leave any mixture of old and new pages. While such a
 * store is in use, its directory holds a file with the id of the running boot. Found at a start with another boot's
 * id, it means that the machine went down with the store in use: the data file is set aside, not trusted. Within the
 * same boot the kernel still has every page, so a killed server needs none of this.
 *
 * The mark goes when the configuration that opened the store ends and nobody uses the store any more, after a flush.
 */
#include "lmdb_private.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET_ASIDE_MOST 1000

/* dir is always a descriptor of the store's directory. */

static void write_through(int dir)
{
    fsync(dir); /* so that names made and removed in it last; where it cannot be done nothing else would help */
}

/* 1 with the id in boot, 0 where there is no mark, -1 with errno. */
static int read_mark(int dir, char boot[IDEM_BOOT_ID_LEN + 1])
{
    ssize_t got;
    int fd = openat(dir, LMDB_UNCLEAN, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    memset(boot, 0, IDEM_BOOT_ID_LEN + 1);
    got = read(fd, boot, IDEM_BOOT_ID_LEN);
    close(fd);
    return got < 0 ? -1 : 1; /* a torn mark is some other boot's */
}

static int write_boot(int dir, const char *boot)
{
    int err = 0;
    int fd = openat(dir, LMDB_UNCLEAN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno;
    errno = 0;
    if (write(fd, boot, IDEM_BOOT_ID_LEN) != IDEM_BOOT_ID_LEN || fsync(fd) != 0)
        err = errno ? errno : ENOSPC; /* a short write */
    close(fd);
    write_through(dir);
    return err;
}

static int flush_data(int dir)
{
    int err = 0;
    int fd = openat(dir, LMDB_DATA, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    if (fsync(fd) != 0)
        err = errno;
    close(fd);
    return err;
}

/* Only when nobody uses the store. */
static int lift_mark(int dir)
{
    int err = flush_data(dir);
    if (err == 0 && unlinkat(dir, LMDB_UNCLEAN, 0) != 0 && errno != ENOENT)
        err = errno;
    write_through(dir);
    return err;
}

/* ---- in the probe, as the user the server runs as ---------------------------------------------------------------- */

static int set_aside(int dir, const lmdb_store *store, char *warning)
{
    char said[LMDB_WHY], name[64];
    struct stat st;

    if (fstatat(dir, LMDB_DATA, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? 0 : errno;
    for (int n = 1; n <= SET_ASIDE_MOST; n++) {
        snprintf(name, sizeof(name), LMDB_DATA ".unclean-%d", n);
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            continue;
        if (renameat(dir, LMDB_DATA, dir, name) != 0)
            return errno;
        snprintf(said, sizeof(said),
                 "was in use with sync=off when the machine went down: its file cannot be trusted and was renamed %s; "
                 "keys used before can run again",
                 name);
        idem_lmdb_warn(warning, store, said);
        return 0;
    }
    return EEXIST;
}

/* boot: this one's id, or NULL. */
static int begin_mark(int dir, const lmdb_store *store, const char *boot, char *warning)
{
    char marked[IDEM_BOOT_ID_LEN + 1];
    int found = read_mark(dir, marked);
    int err = found < 0 ? errno : 0;

    if (found > 0 && (!boot || strcmp(boot, marked) != 0)) {
        err = set_aside(dir, store, warning);
        if (err == 0)
            err = lift_mark(dir);
        found = 0;
    }
    if (err == 0 && !store->sync && found == 0)
        err = write_boot(dir, boot);
    /* No longer used so; while processes of the old configuration are, their end will lift it. */
    if (err == 0 && store->sync && found > 0 && !idem_liveness_any(LMDB_OWNERS))
        err = lift_mark(dir);
    return err;
}

apr_status_t idem_lmdb_mark_begin(const lmdb_store *store, char *why, char *warning)
{
    char boot[IDEM_BOOT_ID_LEN + 1];
    int known = idem_clock_boot_id(boot) == APR_SUCCESS;
    int dir, err;

    if (!known && !store->sync) {
        snprintf(why, LMDB_WHY, "sync=off needs a system that names its boots (/proc/sys/kernel/random/boot_id)");
        return APR_ENOTIMPL;
    }
    dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    err = dir < 0 ? errno : begin_mark(dir, store, known ? boot : NULL, warning);
    if (dir >= 0)
        close(dir);
    if (err == 0)
        return APR_SUCCESS;
    idem_lmdb_complain(why, store, "keep the mark of sync=off in", err);
    return APR_FROM_OS_ERROR(err);
}

/* ---- in a process that attaches ---------------------------------------------------------------------------------- */

/* A configuration of another process (a command-line tool's) may have ended and lifted it before we came. */
int idem_lmdb_mark_keep(const char *path, const char *boot)
{
    int err = 0, dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

    if (dir < 0)
        return errno;
    if (faccessat(dir, LMDB_UNCLEAN, F_OK, 0) != 0)
        err = write_boot(dir, boot);
    close(dir);
    return err;
}

/* ---- in the parent, at the end of a configuration ---------------------------------------------------------------- */

typedef struct ending {
    pid_t pid; /* other processes may end their copies of the pool whenever they like */
    const char *dir, *owners;
} ending;

/* The parent may be root in a directory of another user: nothing here follows a link in it. */
static apr_status_t lift_mark_at_end(void *data)
{
    const ending *end = data;
    int dir;

    if (end->pid != getpid() || idem_liveness_any(end->owners))
        return APR_SUCCESS; /* a graceful restart: children of this configuration still run */
    dir = open(end->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return APR_SUCCESS;
    lift_mark(dir);
    close(dir);
    return APR_SUCCESS;
}

void idem_lmdb_mark_end_with(const lmdb_store *store, apr_pool_t *pool)
{
    ending *end = apr_palloc(pool, sizeof(*end));
    char *real = realpath(store->dir, NULL);

    end->pid = getpid();
    end->dir = apr_pstrdup(pool, real ? real : store->dir);
    end->owners = idem_lmdb_path(end->dir, LMDB_OWNERS, pool);
    free(real);
    apr_pool_cleanup_register(pool, end, lift_mark_at_end, apr_pool_cleanup_null);
}
