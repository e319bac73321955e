/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kinds.c - what is particular about each provider of httpd's small object caches that can be used.
 *
 * Called by open.c. What always holds: root makes the files where it can, never through a symbolic link. They belong to
 * the user of the children alone, since a cache keeps whole responses. Limits: sizes follow the sources of
 * mod_socache_shmcb and mod_socache_dbm in httpd 2.4; open() puts them to the test.
 */
#include "socache_private.h"

#include <apr_dbm.h>
#include <apr_strings.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "digest.h"
#include "record.h"

/* What a response itself may take of a value. */
#define AROUND_RESPONSE (IDEM_HEAD_LEN + IDEM_SUM_LEN)

/* ---- files ------------------------------------------------------------------------------------------------------- */

static apr_status_t blame_file(const char *doing, const char *path, int err, apr_pool_t *pool, const char **why)
{
    *why = apr_psprintf(pool, "cannot %s %s: %s", doing, path, strerror(err));
    return APR_FROM_OS_ERROR(err);
}

static int give_to_children(int fd, const idem_env *env)
{
    if (fchmod(fd, 0600) != 0)
        return errno;
    if (geteuid() == 0 && fchown(fd, env->uid, env->gid) != 0)
        return errno;
    return 0;
}

apr_status_t idem_socache_share_file(const idem_socache *store, const char *path, apr_pool_t *pool, const char **why)
{
    int err, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

    if (fd < 0)
        return blame_file("open", path, errno, pool, why);
    err = give_to_children(fd, store->env);
    close(fd);
    return err ? blame_file("change the owner of", path, err, pool, why) : APR_SUCCESS;
}

/* ---- shmcb ------------------------------------------------------------------------------------------------------- */

/* httpd's own default holds 500 records; memory that is not used is not taken from the system. */
#define SEGMENT_DEFAULT 33554432
#define SEGMENT_HTTPD 524288

/* Generous: the bookkeeping of mod_socache_shmcb per segment, per part of it, per entry. */
#define SEGMENT_HEADER 256
#define PART_HEADER 64
#define PART_INDEX 32

static apr_size_t segment_size(const idem_socache *store)
{
    const char *paren = strrchr(store->args, '(');
    return paren ? (apr_size_t)strtoul(paren + 1, NULL, 10) : SEGMENT_HTTPD;
}

static apr_status_t configure_shmcb(idem_socache *store, const char *args, apr_pool_t *pool, const char **why)
{
    unsigned char digest[IDEM_DIGEST_LEN];
    apr_status_t rv;

    if (!*args)
        args = apr_psprintf(pool, "%s/idempotency-shmcb(%d)", store->env->run_dir, SEGMENT_DEFAULT);
    store->args = args;
    rv = idem_digest_of(NULL, idem_blob_str(args), digest);
    store->lock_path = apr_psprintf(pool, "%s/idempotency-shmcb-%08x.lock", store->env->run_dir,
                                    (unsigned)idem_value_number(digest, 4));
    if (rv != APR_SUCCESS)
        *why = "libcrypto has no SHA-256";
    return rv;
}

/*
 * The segment is divided into a power of two of parts, and a slot belongs to one of them. An entry may fill its whole
 * part, but then it drives out all others there. A quarter of a part is allowed.
 */
static apr_size_t largest_shmcb(const idem_socache *store)
{
    apr_size_t size = segment_size(store) - SEGMENT_HEADER;
    apr_size_t entries = size / (IDEM_SOCACHE_AVERAGE + IDEM_SLOT_LEN), parts = 256, room;

    while (parts > 1 && entries / parts < 2 * parts)
        parts /= 2;
    room = size / parts - PART_HEADER - entries / parts * PART_INDEX;
    return room / 4 - IDEM_SLOT_LEN - IDEM_SOCACHE_EXPIRY_LEN;
}

static const char *warning_shmcb(const idem_socache *store, apr_pool_t *pool)
{
    return apr_psprintf(
        pool,
        "socache:shmcb keeps responses of at most %lu bytes, drops its oldest entries when its %lu bytes are "
        "full, and loses everything at each restart, a graceful one included, while requests of the old "
        "generation still run: an operation it has lost is executed again when it is retried",
        (unsigned long)(store->super.max_value - AROUND_RESPONSE), (unsigned long)segment_size(store));
}

static const idem_socache_kind shmcb = {
    .name = "shmcb",
    .flags = IDEM_EVICTS | IDEM_VOLATILE | IDEM_HOST_LOCAL,
    .configure = configure_shmcb,
    .largest = largest_shmcb,
    .capacity = segment_size,
    .warning = warning_shmcb,
};

/* ---- dbm --------------------------------------------------------------------------------------------------------- */

#define DBM_FOLDER "idempotency-socache"
#define DBM_PAIR_MAX 949 /* slot and what is kept under it: mod_socache_dbm refuses 950 */

static apr_status_t configure_dbm(idem_socache *store, const char *args, apr_pool_t *pool, const char **why)
{
    (void)why;
    if (!*args)
        args = DBM_FOLDER "/entries";
    store->args = *args == '/' ? args : apr_pstrcat(pool, store->env->state_dir, "/", args, NULL);
    store->lock_path = apr_pstrcat(pool, store->args, ".lock", NULL);
    return APR_SUCCESS;
}

/* The provider opens its files by name, as root: a link there would be followed. */
static apr_status_t refuse_link(const char *path, apr_pool_t *pool, const char **why)
{
    struct stat st;
    if (!path || lstat(path, &st) != 0 || S_ISREG(st.st_mode))
        return APR_SUCCESS;
    *why = apr_psprintf(pool, "%s is not a regular file: remove it, or name another place", path);
    return APR_EINVAL;
}

/* The default folder stays root's: children need not make files there, and so cannot lay links for the next start. */
static apr_status_t prepare_dbm(idem_socache *store, apr_pool_t *pool, const char **why)
{
    const char *folder = apr_pstrcat(pool, store->env->state_dir, "/" DBM_FOLDER, NULL), *files[2];
    apr_status_t rv = APR_SUCCESS;

    if (strncmp(store->args, folder, strlen(folder)) == 0 && mkdir(folder, 0711) != 0 && errno != EEXIST)
        return blame_file("make the directory", folder, errno, pool, why);
    apr_dbm_get_usednames(pool, store->args, &files[0], &files[1]);
    for (int i = 0; i < 2 && rv == APR_SUCCESS; i++)
        rv = refuse_link(files[i], pool, why);
    return rv;
}

static apr_status_t finish_dbm(idem_socache *store, apr_pool_t *pool, const char **why)
{
    const char *files[2];
    apr_status_t rv = APR_SUCCESS;

    apr_dbm_get_usednames(pool, store->args, &files[0], &files[1]);
    for (int i = 0; i < 2 && rv == APR_SUCCESS; i++)
        if (files[i])
            rv = idem_socache_share_file(store, files[i], pool, why);
    return rv;
}

static apr_size_t largest_dbm(const idem_socache *store)
{
    (void)store;
    return DBM_PAIR_MAX - IDEM_SLOT_LEN - IDEM_SOCACHE_EXPIRY_LEN;
}

static const char *warning_dbm(const idem_socache *store, apr_pool_t *pool)
{
    return apr_psprintf(
        pool,
        "socache:dbm keeps responses of at most %lu bytes, headers included, and may lose entries when the "
        "machine or a process dies while it writes: an operation it has lost is executed again when it is "
        "retried",
        (unsigned long)(store->super.max_value - AROUND_RESPONSE));
}

static const idem_socache_kind dbm = {
    .name = "dbm",
    .flags = IDEM_FRAGILE | IDEM_HOST_LOCAL,
    .nothing_there = APR_EGENERAL,
    .configure = configure_dbm,
    .prepare = prepare_dbm,
    .finish = finish_dbm,
    .largest = largest_dbm,
    .warning = warning_dbm,
};

const idem_socache_kind *const idem_socache_kinds[] = {&shmcb, &dbm, NULL};
