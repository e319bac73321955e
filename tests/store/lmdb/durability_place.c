/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_place.c - directories that are missing, closed or unsuitable, options, generations with different sizes,
 * and the mark of sync=off. What the administrator reads is part of what is checked.
 */
#include "durability_kit.h"
#include "lmdb_private.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAMILY 23
#define NOBODY 65534
#define MEMORY "/dev/shm"

static const char *const options[] = {"size=4M", NULL};
static const char *const larger[] = {"size=64M", NULL};
static const char *const off[] = {"size=4M", "sync=off", NULL};

static void expect_refused(kit *k, const char *part, const char *also)
{
    const char *why;
    apr_status_t status = disk_open(k, &why);
    if (status == APR_SUCCESS)
        kit_fail(k, __FILE__, __LINE__, "it was opened");
    EXPECT_SAYS(k, why, part);
    EXPECT_SAYS(k, why, also);
}

/* ---- directories ------------------------------------------------------------------------------------------------- */

static void missing_parent_case(kit *k)
{
    disk_use(k, "nowhere/store", options);
    expect_refused(k, "nowhere/store", "make the directory that should contain it");
}

static void file_in_the_way_case(kit *k)
{
    int fd;
    disk_use(k, "place-file", options);
    fd = open(k->rest, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(k, fd >= 0);
    close(fd);
    expect_refused(k, "place-file", "is a file");
}

/* Root reads everything, so the server's user is another one then. */
static void closed_case(kit *k)
{
    idem_env env = *k->env;

    disk_use(k, "place-closed", options);
    CHECK(k, mkdir(k->rest, geteuid() == 0 ? 0700 : 0500) == 0);
    if (geteuid() == 0) {
        CHECK(k, chmod(apr_pstrmemdup(k->pool, k->rest, (apr_size_t)(strrchr(k->rest, '/') - k->rest)), 0755) == 0);
        env.uid = env.gid = NOBODY;
    }
    k->env = &env;
    expect_refused(k, "chown", "httpd_var_lib_t");
}

static void owner_case(kit *k)
{
    idem_env env = *k->env;
    struct stat st;

    if (geteuid() != 0)
        kit_skip(k, "only root can give a directory away");
    disk_use(k, "place-owner", options);
    CHECK(k, chmod(apr_pstrmemdup(k->pool, k->rest, (apr_size_t)(strrchr(k->rest, '/') - k->rest)), 0755) == 0);
    env.uid = env.gid = NOBODY;
    k->env = &env;
    disk_open_well(k);
    CHECK(k, stat(k->rest, &st) == 0 && st.st_uid == NOBODY && st.st_gid == NOBODY && (st.st_mode & 07777) == 0700);
    CHECK(k, stat(disk_path(k, "data.mdb"), &st) == 0 && st.st_uid == NOBODY && (st.st_mode & 07777) == 0600);
    CHECK(k, stat(disk_path(k, "lock.mdb"), &st) == 0 && st.st_uid == NOBODY && (st.st_mode & 07777) == 0600);
    CHECK(k, stat(disk_path(k, "owners.lock"), &st) == 0 && st.st_uid == NOBODY && (st.st_mode & 07777) == 0600);
    CHECK(k, stat(disk_path(k, "write.lock"), &st) == 0 && st.st_uid == NOBODY && (st.st_mode & 07777) == 0600);
}

static void warning_case(kit *k)
{
    disk_use(k, "place-open", options);
    CHECK(k, mkdir(k->rest, 0700) == 0 && chmod(k->rest, 0755) == 0);
    disk_open_well(k);
    if (strncmp(k->rest, "/tmp/", 5) == 0)
        EXPECT_SAYS(k, k->store->warning, "PrivateTmp");
    else
        EXPECT_SAYS(k, k->store->warning, "chmod 700");
}

static void memory_case(kit *k)
{
    char dir[] = MEMORY "/durability-XXXXXX";

    if (!mkdtemp(dir))
        kit_skip(k, "no " MEMORY " to write in");
    k->rest = dir;
    k->options = options;
    disk_open_well(k);
    unlink(disk_path(k, "data.mdb"));
    unlink(disk_path(k, "lock.mdb"));
    unlink(disk_path(k, "owners.lock"));
    unlink(disk_path(k, "write.lock"));
    rmdir(dir);
    EXPECT_SAYS(k, k->store->warning, "in memory");
}

/* Errors that a test cannot bring about everywhere. */
static void sentences_case(kit *k)
{
    static const struct {
        int err;
        const char *part;
    } wanted[] = {
        {EROFS, "ReadWritePaths=/var/lib/place"},  {ENOSPC, "make room"}, {EDQUOT, "make room"},
        {EACCES, "chown -R 33:34 /var/lib/place"}, {EPERM, "restorecon"}, {ENOMEM, "ulimit -v"},
    };
    idem_env env = {.uid = 33, .gid = 34};
    lmdb_store store = {.dir = "/var/lib/place", .env = &env};
    char why[LMDB_WHY];

    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        idem_lmdb_complain(why, &store, "open", wanted[i].err);
        EXPECT_SAYS(k, why, "/var/lib/place");
        EXPECT_SAYS(k, why, wanted[i].part);
    }
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static void expect_option(kit *k, const char *option, const char *part)
{
    const char *const list[] = {option, NULL};
    const char *why = NULL;
    idem_store *store;
    apr_status_t status = k->driver->configure(&store, k->env, "somewhere", list, k->pool, &why);

    if (!part)
        CHECK_NUMBER(k, status, APR_SUCCESS);
    else
        EXPECT_SAYS(k, why, part);
}

static void options_case(kit *k)
{
    static const char *const wrong_sizes[] = {"size=",  "size=1K",  "size=0",   "size=-1M", "size=1T",
                                              "size=M", "size=1MB", "size=1M ", "size= 1M", "size=99999999999G"};
    idem_env env = *k->env;

    env.state_dir = "/var/lib/apache2";
    k->env = &env;
    for (size_t i = 0; i < sizeof(wrong_sizes) / sizeof(wrong_sizes[0]); i++)
        expect_option(k, wrong_sizes[i], "size= must be between 1M and");
    expect_option(k, "size=1M", NULL);
    expect_option(k, "size=1024k", NULL);
    expect_option(k, "size=3G", NULL);
    expect_option(k, "sync=on", NULL);
    expect_option(k, "sync=off", NULL);
    expect_option(k, "sync=maybe", "sync= must be on or off");
    expect_option(k, "sync", "knows the options size= and sync=");
    expect_option(k, "speed=1", "knows the options size= and sync=");
}

/* ---- generations and instances ----------------------------------------------------------------------------------- */

enum { OLD_READY, OLD_GO };

static void old_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 1), token = kit_token(FAMILY, 1), last = kit_slot(FAMILY, 1000);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    kit_open_gate(w->k, OLD_READY);
    kit_pass_gate(w->k, OLD_GO);
    EXPECT(w, kit_fetch(w, &last), APR_SUCCESS); /* beyond the end of the map it began with */
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_RECORD, &slot, &token));
}

static void new_job(worker *w)
{
    kit_name slot, token = kit_token(FAMILY, 2);
    for (unsigned long i = 0; i < 12; i++) { /* 12 M into what was 4 */
        slot = kit_slot(FAMILY, i == 11 ? 1000 : 10 + i);
        kit_value v = {IDEM_STATE_RECORD, slot.bytes, token.bytes, 1, KIT_LONG, 1 << 20};
        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, kit_make(&v, w->pool)), APR_SUCCESS);
        apr_pool_clear(w->pool);
    }
}

static void larger_case(kit *k)
{
    pid_t old;

    disk_use(k, "place-larger", options);
    disk_open_well(k);
    old = kit_start(k, 0, old_job, NULL);
    kit_pass_gate(k, OLD_READY);
    k->options = larger;
    disk_open_well(k);
    kit_alone(k, new_job, NULL);
    kit_open_gate(k, OLD_GO);
    kit_join(k, old);
}

static void two_instances_job(worker *w)
{
    const idem_driver *d = w->k->driver;
    kit_name slot = kit_slot(FAMILY, 20), token = kit_token(FAMILY, 20);
    idem_store *second, *odd;
    const char *why = NULL, *same = apr_pstrcat(w->pool, w->k->rest, "/../place-two/", NULL);

    EXPECT(w, d->configure(&second, w->k->env, same, options, w->pool, &why), APR_SUCCESS);
    EXPECT(w, d->attach(second, w->pool, &why), APR_SUCCESS);
    CHECK(w->k, second->owner == w->store->owner);
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, d->fetch(second, kit_call(w), slot.bytes, &w->found), APR_SUCCESS);
    d->detach(second);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);

    EXPECT(w, d->configure(&odd, w->k->env, w->k->rest, larger, w->pool, &why), APR_SUCCESS);
    CHECK(w->k, d->attach(odd, w->pool, &why) != APR_SUCCESS);
    EXPECT_SAYS(w->k, why, "other options");
}

static void two_instances_case(kit *k)
{
    disk_use(k, "place-two", options);
    disk_open_well(k);
    kit_alone(k, two_instances_job, NULL);
}

/* A process that forks while it is attached: what the child inherits is its parent's, and it attaches for itself. */
static void forking_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 25), token = kit_token(FAMILY, 25);
    apr_uint64_t mine = w->store->owner;
    idem_store *own;
    const char *why = NULL;
    pid_t pid;

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    pid = fork();
    if (pid == 0) {
        w->k->driver->detach(w->store); /* must leave the parent's alone */
        EXPECT(w, w->k->driver->configure(&own, w->k->env, w->k->rest, options, w->pool, &why), APR_SUCCESS);
        EXPECT(w, w->k->driver->attach(own, w->pool, &why), APR_SUCCESS);
        CHECK(w->k, own->owner != mine);
        w->store = own;
        EXPECT(w, kit_takeover(w, &slot, &token, &slot), IDEM_EALIVE);
        w->k->driver->detach(own);
        _exit(0);
    }
    kit_join(w->k, pid);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
}

static void forking_case(kit *k)
{
    disk_use(k, "place-fork", options);
    disk_open_well(k);
    kit_alone(k, forking_job, NULL);
}

/* Removed while the server runs: whoever starts then must not make one of its own. */
static void removed_case(kit *k)
{
    const char *why = NULL;

    disk_use(k, "place-removed", options);
    disk_open_well(k);
    CHECK(k, unlink(disk_path(k, "data.mdb")) == 0);
    CHECK(k, k->driver->attach(k->store, k->pool, &why) != APR_SUCCESS);
    EXPECT_SAYS(k, why, "restart the server");
    CHECK(k, access(disk_path(k, "data.mdb"), F_OK) != 0);
    CHECK(k, rename(k->rest, disk_path(k, "../place-elsewhere")) == 0);
    CHECK(k, k->driver->attach(k->store, k->pool, &why) != APR_SUCCESS);
    EXPECT_SAYS(k, why, "restart the server");
}

/* ---- sync=off ---------------------------------------------------------------------------------------------------- */

static int exists(kit *k, const char *name)
{
    return access(disk_path(k, name), F_OK) == 0;
}

/* Opens in a pool of its own, as a configuration has one; *end is that pool. */
static void open_for_a_while(kit *k, apr_pool_t **end)
{
    apr_pool_t *pool = k->pool;
    CHECK(k, apr_pool_create(&k->pool, pool) == APR_SUCCESS);
    *end = k->pool;
    disk_open_well(k);
    k->pool = pool;
}

static void keep_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 30), token = kit_token(FAMILY, 30);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    kit_open_gate(w->k, OLD_READY);
    kit_pass_gate(w->k, OLD_GO);
}

static void kept_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 30);
    EXPECT(w, kit_fetch(w, &slot), w->baton ? APR_SUCCESS : APR_NOTFOUND);
}

static void write_mark(kit *k, const char *boot)
{
    int fd = open(disk_path(k, LMDB_UNCLEAN), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(k, fd >= 0 && write(fd, boot, strlen(boot)) == (ssize_t)strlen(boot));
    close(fd);
}

static void mark_case(kit *k)
{
    apr_pool_t *configuration, *next;
    pid_t child;

    disk_use(k, "place-mark", off);
    open_for_a_while(k, &configuration);
    CHECK(k, exists(k, LMDB_UNCLEAN));
    child = kit_start(k, 0, keep_job, NULL);
    kit_pass_gate(k, OLD_READY);
    apr_pool_destroy(configuration); /* a graceful restart: the child still writes */
    CHECK(k, exists(k, LMDB_UNCLEAN));
    open_for_a_while(k, &next);
    kit_open_gate(k, OLD_GO);
    kit_join(k, child);
    apr_pool_destroy(next); /* a stop */
    CHECK(k, !exists(k, LMDB_UNCLEAN));
    open_for_a_while(k, &next);
    kit_alone(k, kept_job, k);
}

/* Twice, and with a mark torn by the crash: each file is set aside under a name of its own. */
static void unclean_case(kit *k)
{
    static const char *const others[] = {"00000000-1111-2222-3333-444444444444", "0000"};

    disk_use(k, "place-unclean", off);
    for (int i = 0; i < 2; i++) {
        char name[64];
        disk_open_well(k);
        CHECK_NUMBER(k, k->driver->attach(k->store, k->pool, &(const char *){NULL}), APR_SUCCESS);
        k->driver->detach(k->store);
        write_mark(k, others[i]);
        disk_open_well(k);
        snprintf(name, sizeof(name), "data.mdb.unclean-%d", i + 1);
        EXPECT_SAYS(k, k->store->warning, name);
        CHECK(k, exists(k, name) && exists(k, LMDB_UNCLEAN));
        kit_alone(k, kept_job, NULL);
    }
}

/* Whatever the option is now: the file was written without flushes and the machine went down. */
static void unclean_then_on_case(kit *k)
{
    disk_use(k, "place-unclean-on", off);
    disk_open_well(k);
    write_mark(k, "00000000-1111-2222-3333-444444444444");
    k->options = options;
    disk_open_well(k);
    EXPECT_SAYS(k, k->store->warning, "data.mdb.unclean-1");
    CHECK(k, !exists(k, LMDB_UNCLEAN));
}

/* Within one boot the kernel has every page: switched to sync=on, the file is flushed and no longer marked. */
static void off_then_on_case(kit *k)
{
    disk_use(k, "place-off-on", off);
    disk_open_well(k);
    k->options = options;
    disk_open_well(k);
    CHECK(k, !exists(k, LMDB_UNCLEAN) && !exists(k, "data.mdb.unclean-1"));
}

const kit_case durability_cases_place[] = {
    {"a missing parent directory is not made, and named", 0, missing_parent_case},
    {"a file where the directory should be", 0, file_in_the_way_case},
    {"a directory of somebody else: owner, mode and SELinux type are named", 0, closed_case},
    {"directory and files belong to the server's user and to nobody else", 0, owner_case},
    {"an open or temporary directory is warned about", 0, warning_case},
    {"a file system in memory is warned about", 0, memory_case},
    {"every error has its cure", 0, sentences_case},
    {"options out of bounds are refused with their bounds", 0, options_case},
    {"an old generation follows a new one that made the store larger", 0, larger_case},
    {"two instances of one directory share it in one process", 0, two_instances_case},
    {"a forked child attaches for itself and leaves its parent's alone", 0, forking_case},
    {"a store that was removed is not made anew by a child", 0, removed_case},
    {"sync=off is marked while in use and clean after a stop", 0, mark_case},
    {"sync=off and another boot: the file is set aside", 0, unclean_case},
    {"sync=off, another boot, and sync=on: still set aside", 0, unclean_then_on_case},
    {"sync=off, then sync=on in the same boot: kept", 0, off_then_on_case},
    {NULL, 0, NULL},
};
