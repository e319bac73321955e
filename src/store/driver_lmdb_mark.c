/*
 * driver_lmdb_mark.c - sync=off: knowing that a file may not have reached the disk whole. For driver_lmdb_open.c.
 *
 * Without flushes a crash of the machine (not of a process) can leave any mixture of old and new pages. While such a
 * store is in use, its directory holds a file with the id of the running boot. Found at a start with another boot's
 * id, it means that the machine went down with the store in use: the data file is set aside, not trusted. Within the
 * same boot the kernel still has every page, so a killed server needs none of this.
 *
 * The mark goes when the configuration that opened the store ends and nobody uses the store any more, after a flush.
 */
#include "driver_lmdb.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SET_ASIDE_MOST 1000

/* ---- in the probe, as the user the server runs as; the working directory is the store's -------------------------- */

static void flush_here(void)
{
    int fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* 1 with the id in boot, 0 where there is no mark, -1 with errno. */
static int read_mark(char boot[IDEM_BOOT_ID_LEN + 1])
{
    ssize_t got;
    int fd = open(LMDB_UNCLEAN, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    memset(boot, 0, IDEM_BOOT_ID_LEN + 1);
    got = read(fd, boot, IDEM_BOOT_ID_LEN);
    close(fd);
    return got < 0 ? -1 : 1; /* a torn mark is some other boot's */
}

static int write_mark(const char *boot)
{
    int err = 0;
    int fd = open(LMDB_UNCLEAN, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno;
    if (write(fd, boot, IDEM_BOOT_ID_LEN) != IDEM_BOOT_ID_LEN || fsync(fd) != 0)
        err = errno ? errno : EIO;
    close(fd);
    if (err == 0)
        flush_here();
    return err;
}

static int set_aside(const lmdb_store *store, char *warning)
{
    char said[LMDB_WHY];
    char name[64];
    struct stat st;

    if (stat(LMDB_DATA, &st) != 0)
        return errno == ENOENT ? 0 : errno;
    for (int n = 1; n <= SET_ASIDE_MOST; n++) {
        snprintf(name, sizeof(name), LMDB_DATA ".unclean-%d", n);
        if (lstat(name, &st) == 0)
            continue;
        if (rename(LMDB_DATA, name) != 0)
            return errno;
        flush_here();
        snprintf(said, sizeof(said),
                 "was in use with sync=off when the machine went down: its file cannot be trusted and was renamed %s; "
                 "keys used before can run again",
                 name);
        idem_lmdb_warn(warning, store, said);
        return 0;
    }
    return EEXIST;
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

/* The mark of a store that is no longer used with sync=off. It stays while processes of the old configuration live. */
static int lift_mark(void)
{
    int err;

    if (idem_liveness_any(LMDB_OWNERS))
        return 0;
    err = flush_data(AT_FDCWD);
    if (err == 0 && unlink(LMDB_UNCLEAN) != 0)
        err = errno;
    flush_here();
    return err;
}

apr_status_t idem_lmdb_mark_begin(const lmdb_store *store, char *why, char *warning)
{
    char boot[IDEM_BOOT_ID_LEN + 1], marked[IDEM_BOOT_ID_LEN + 1];
    int known = idem_clock_boot_id(boot) == APR_SUCCESS;
    int found = read_mark(marked);
    int err = found < 0 ? errno : 0;

    if (!known && !store->sync) {
        snprintf(why, LMDB_WHY, "sync=off needs a system that names its boots (/proc/sys/kernel/random/boot_id)");
        return APR_ENOTIMPL;
    }
    if (found > 0 && (!known || strcmp(boot, marked) != 0)) {
        err = set_aside(store, warning);
        if (err == 0 && unlink(LMDB_UNCLEAN) != 0)
            err = errno;
        found = 0;
    }
    if (err == 0 && !store->sync && found == 0)
        err = write_mark(boot);
    if (err == 0 && store->sync && found > 0)
        err = lift_mark();
    if (err == 0)
        return APR_SUCCESS;
    idem_lmdb_complain(why, store, "keep the mark of sync=off in", err);
    return APR_FROM_OS_ERROR(err);
}

/* ---- in the parent, at the end of a configuration ---------------------------------------------------------------- */

typedef struct ending {
    const char *dir, *owners;
} ending;

/* The parent may be root in a directory of another user: nothing here follows a link in it. */
static apr_status_t lift_mark_at_end(void *data)
{
    const ending *end = data;
    int dir;

    if (idem_liveness_any(end->owners))
        return APR_SUCCESS; /* a graceful restart: children of this configuration still run */
    dir = open(end->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (dir < 0)
        return APR_SUCCESS;
    if (flush_data(dir) == 0) {
        unlinkat(dir, LMDB_UNCLEAN, 0);
        fsync(dir);
    }
    close(dir);
    return APR_SUCCESS;
}

void idem_lmdb_mark_end_with(const lmdb_store *store, apr_pool_t *pool)
{
    ending *end = apr_palloc(pool, sizeof(*end));
    char *real = realpath(store->dir, NULL);

    end->dir = apr_pstrdup(pool, real ? real : store->dir);
    end->owners = idem_lmdb_path(end->dir, LMDB_OWNERS, pool);
    free(real);
    apr_pool_cleanup_register(pool, end, lift_mark_at_end, apr_pool_cleanup_null);
}
