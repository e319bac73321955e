/* SPDX-License-Identifier: Apache-2.0 */
/*
 * open.c - the parent's part of a start: the directory, and files that can be trusted. For driver.c.
 *
 * The parent may be root and must not die. So it makes the directory at most, and forks a probe, which becomes the
 * server's user and does the rest. Files that the probe creates have the right owner, and it has the server's rights. A
 * damaged file that makes LMDB read wild pointers kills only the probe. Its verdict, with its sentences, comes through
 * a pipe; a probe that dies without one has given it.
 *
 * Leaves nothing open, so nothing of LMDB crosses a fork.
 */
#include "lmdb_private.h"

#include "probe.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_PATIENCE 60000 /* milliseconds: a thorough walk of a large file, not a hung disk */
#define TURN_PATIENCE apr_time_from_sec(5)

typedef struct verdict {
    apr_status_t status;
    int is_made; /* where it is only looked: there is a store */
    char why[LMDB_WHY];
    char warning[LMDB_WARNING];
} verdict;

/* ---- sentences --------------------------------------------------------------------------------------------------- */

static apr_status_t complain_of_open(verdict *v, const lmdb_store *store, const char *doing, int err)
{
    idem_lmdb_complain(v->why, store, doing, err);
    return APR_FROM_OS_ERROR(err);
}

/* ---- the probe's checks; the working directory is the store's ---------------------------------------------------- */

/* File systems whose locks or shared maps do not hold what LMDB and the liveness of owners rest on. */
static apr_status_t check_place(const lmdb_store *store, verdict *v)
{
    struct statfs fs;
    struct stat st;

    if (statfs(".", &fs) != 0 || stat(".", &st) != 0)
        return complain_of_open(v, store, "look at", errno);
    switch ((unsigned long)fs.f_type) {
    case 0x6969UL:     /* NFS */
    case 0x517BUL:     /* SMB */
    case 0xFF534D42UL: /* CIFS */
    case 0xFE534D42UL: /* SMB2 */
    case 0x5346414FUL: /* AFS */
    case 0x00C36400UL: /* Ceph */
        snprintf(v->why, LMDB_WHY,
                 "%s is on a network file system, which lacks the locks and memory maps that the store needs: "
                 "name a directory on a local disk",
                 store->dir);
        return APR_ENOTIMPL;
    case 0x01021994UL: /* tmpfs */
    case 0x858458F6UL: /* ramfs */
        idem_lmdb_warn(v->warning, store, "is on a file system in memory: a reboot forgets every key");
        break;
    default: break;
    }
    if (strncmp(store->dir, "/tmp/", 5) == 0 || strncmp(store->dir, "/var/tmp/", 9) == 0)
        idem_lmdb_warn(
            v->warning, store,
            "is under a temporary directory: with PrivateTmp= systemd gives the service another one at each start, and "
            "cleaners remove old files; name a directory under /var/lib");
    if (st.st_mode & 077)
        idem_lmdb_warn(v->warning, store,
                       "is in a directory open to other users, and recorded responses are in it: chmod 700");
    return APR_SUCCESS;
}

/*
 * LMDB makes its lock file as long as its table of readers, but without blocks; on a full file system touching them
 * kills. Only while nobody uses it: LMDB's own lock says so, and a longer file would confuse those who do.
 */
static int allocate_lock_file(unsigned readers)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    const off_t bytes = (off_t)(readers + 2) * 64; /* a cache line each, two for the head */
    int err = 0;
    int fd = open(LMDB_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return errno;
    if (fcntl(fd, F_SETLK, &lock) == 0)
        err = posix_fallocate(fd, 0, bytes);
    close(fd); /* drops the lock; before LMDB opens the file, or it would drop LMDB's too */
    return err;
}

static apr_status_t make_lock_files(const lmdb_store *store, verdict *v)
{
    apr_status_t status = idem_liveness_create(LMDB_OWNERS);

    if (status == APR_SUCCESS)
        status = idem_filelock_create(LMDB_TURN);
    if (status != APR_SUCCESS)
        complain_of_open(v, store, "write in", APR_TO_OS_ERROR(status));
    return status;
}

static void flush_directory(const char *name)
{
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

/* An assertion in LMDB means the same as a crash, and needs no line on stderr. */
static void die_of_assertion(MDB_env *mdb, const char *text)
{
    (void)mdb;
    (void)text;
    raise(SIGABRT);
}

/*
 * Pages that were allocated and freed in one transaction are never written, so a sound file can end before its last
 * page. Such a file is read to its end; if that goes well its length is mended.
 */
static apr_status_t check_contents(const lmdb_store *store, MDB_env *mdb, const MDB_dbi dbi[3], verdict *v)
{
    MDB_envinfo info;
    MDB_stat stats;
    struct stat st;
    apr_uint64_t wanted;
    apr_status_t status;
    int rc = mdb_env_info(mdb, &info);

    if (rc == 0)
        rc = mdb_env_stat(mdb, &stats);
    if (rc == 0 && stat(LMDB_DATA, &st) != 0)
        rc = errno;
    if (rc != 0)
        return complain_of_open(v, store, "look at", rc > 0 ? rc : EIO);
    wanted = ((apr_uint64_t)info.me_last_pgno + 1) * stats.ms_psize;
    status = idem_lmdb_walk(mdb, dbi, store->dir, (apr_uint64_t)st.st_size < wanted, v->why);
    if (status == APR_SUCCESS && (apr_uint64_t)st.st_size < wanted && truncate(LMDB_DATA, (off_t)wanted) != 0)
        return complain_of_open(v, store, "write in", errno);
    return status;
}

/* Under turn. */
static apr_status_t check_file(const lmdb_store *store, verdict *v)
{
    MDB_env *mdb;
    MDB_dbi dbi[3];
    apr_status_t status;
    unsigned readers = idem_lmdb_readers(store->env);
    int rc = allocate_lock_file(readers);

    if (rc == 0)
        rc = idem_lmdb_open_env(&mdb, ".", store->size, readers, 0);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH) {
        snprintf(v->why, LMDB_WHY,
                 "%s/" LMDB_DATA
                 " is damaged, no LMDB file, or of a machine with another word size or byte order (%s): "
                 "stop the server and move it away",
                 store->dir, mdb_strerror(rc));
        return IDEM_EDAMAGED;
    }
    if (rc != 0)
        return complain_of_open(v, store, "open the file in", rc > 0 ? rc : EIO);
    mdb_env_set_assert(mdb, die_of_assertion);
    status = idem_lmdb_open_tables(mdb, dbi, 1, store->dir, v->why);
    if (status == APR_SUCCESS)
        status = check_contents(store, mdb, dbi, v);
    mdb_env_close(mdb);
    flush_directory(".");
    flush_directory("..");
    return status;
}

static apr_status_t check_under_turn(const lmdb_store *store, verdict *v, apr_pool_t *pool)
{
    idem_filelock *turn;
    const char *said = "";
    apr_time_t deadline = apr_time_now() + TURN_PATIENCE;
    apr_status_t status = idem_filelock_open(&turn, LMDB_TURN, deadline, pool, &said);

    if (status == APR_SUCCESS)
        status = idem_filelock_acquire(turn, deadline);
    if (status == APR_TIMEUP) {
        idem_lmdb_warn(v->warning, store, "could not be checked, another process keeps it locked: is one stopped?");
        return APR_SUCCESS;
    }
    if (status != APR_SUCCESS) {
        snprintf(v->why, LMDB_WHY, "the store %s: %s", store->dir, said);
        return status;
    }
    status = check_file(store, v);
    idem_filelock_release(turn);
    return status;
}

static apr_status_t probe_store(const lmdb_store *store, verdict *v, apr_pool_t *pool)
{
    apr_status_t status;

    if (chdir(store->dir) != 0)
        return complain_of_open(v, store, "enter", errno);
    if (access(".", R_OK | W_OK | X_OK) != 0)
        return complain_of_open(v, store, "write in", errno);
    status = check_place(store, v);
    if (store->env->look_only) {
        v->is_made = access(LMDB_DATA, F_OK) == 0 && access(LMDB_TURN, F_OK) == 0;
        return status == APR_SUCCESS && v->is_made ? check_under_turn(store, v, pool) : status;
    }
    if (status == APR_SUCCESS)
        status = make_lock_files(store, v);
    if (status == APR_SUCCESS)
        status = idem_lmdb_mark_begin(store, v->why, v->warning);
    return status == APR_SUCCESS ? check_under_turn(store, v, pool) : status;
}

/* ---- the probe's process ----------------------------------------------------------------------------------------- */

static void run_probe(const lmdb_store *store, int to_parent, apr_pool_t *pool)
{
    verdict v;
    int err;

    memset(&v, 0, sizeof(v));
    idem_probe_alone();
    err = idem_probe_become(store->env->uid, store->env->gid);
    v.status = err ? complain_of_open(&v, store, "become the user of", err) : probe_store(store, &v, pool);
    _exit(write(to_parent, &v, sizeof(v)) == (ssize_t)sizeof(v) ? 0 : 1);
}

/* 1 a verdict, 0 the probe ended without one, -1 it takes too long. */
static int await_verdict(int from_probe, verdict *v)
{
    struct pollfd p = {.fd = from_probe, .events = POLLIN};
    int ready;

    do
        ready = poll(&p, 1, PROBE_PATIENCE);
    while (ready < 0 && errno == EINTR);
    if (ready <= 0)
        return -1;
    /* Smaller than a pipe's atomic write, so it comes whole. */
    return read(from_probe, v, sizeof(*v)) == (ssize_t)sizeof(*v);
}

static apr_status_t judge_death(const lmdb_store *store, int outcome, int wait_status, verdict *v)
{
    if (outcome < 0) {
        snprintf(v->why, LMDB_WHY, "checking the store %s took longer than %d seconds: does its disk answer?",
                 store->dir, PROBE_PATIENCE / 1000);
        return APR_TIMEUP;
    }
    snprintf(v->why, LMDB_WHY,
             "%s/" LMDB_DATA " is damaged (reading it ended with %s): stop the server and move the file away; keys "
             "used before can then run again",
             store->dir, WIFSIGNALED(wait_status) ? strsignal(WTERMSIG(wait_status)) : "no answer");
    return IDEM_EDAMAGED;
}

static apr_status_t ask_probe(const lmdb_store *store, apr_pool_t *pool, verdict *v)
{
    int ends[2], outcome, wait_status = 0;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return complain_of_open(v, store, "ask about", errno);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        run_probe(store, ends[1], pool);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return complain_of_open(v, store, "ask about", errno);
    }
    outcome = await_verdict(ends[0], v);
    close(ends[0]);
    if (outcome < 0)
        kill(pid, SIGKILL); /* a disk that does not answer may keep it from dying: do not wait for that either */
    while (waitpid(pid, &wait_status, outcome < 0 ? WNOHANG : 0) < 0 && errno == EINTR)
        ;
    return outcome == 1 ? v->status : judge_death(store, outcome, wait_status, v);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

/*
 * Made here because the server's user may not write in the directory above; given away by descriptor, so to nobody's
 * link.
 */
static int make_directory(const lmdb_store *store)
{
    int fd, err = 0;

    if (mkdir(store->dir, 0700) != 0)
        return errno == EEXIST ? 0 : errno;
    if (geteuid() != 0)
        return 0;
    fd = open(store->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fchown(fd, store->env->uid, store->env->gid) != 0)
        err = errno;
    if (fd >= 0)
        close(fd);
    return err;
}

/* Could it be made? 0, or why not; *there: it has been. */
static int look_at_directory(const lmdb_store *store, int *there)
{
    struct stat st;
    const char *end = strrchr(store->dir, '/');
    char above[PATH_MAX];

    *there = stat(store->dir, &st) == 0;
    if (*there)
        return S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (errno != ENOENT || lstat(store->dir, &st) == 0)
        return errno ? errno : ENOENT;
    snprintf(above, sizeof(above), "%.*s", end > store->dir ? (int)(end - store->dir) : 1, store->dir);
    if (stat(above, &st) != 0)
        return errno;
    return !S_ISDIR(st.st_mode) ? ENOTDIR : access(above, W_OK | X_OK) != 0 ? errno : 0;
}

/*
 * A configuration is being checked: nothing is made, and where attach() would make something it is not called. A user
 * who is neither root nor the server's user cannot read the directory, and so cannot tell.
 */
static apr_status_t look_at_store(lmdb_store *store, apr_pool_t *pool, verdict *v)
{
    int there, err = look_at_directory(store, &there), may_look = geteuid() == 0 || geteuid() == store->env->uid;
    apr_status_t status = APR_SUCCESS;

    if (err && !(err == EACCES && !may_look))
        return complain_of_open(v, store, there ? "enter" : "make", err);
    if (there && may_look)
        status = ask_probe(store, pool, v);
    if (!v->is_made || !store->sync)
        store->store.flags &= ~(unsigned)IDEM_LOOKS;
    return status;
}

apr_status_t idem_lmdb_open(idem_store *store, apr_pool_t *pool, const char **why)
{
    lmdb_store *mine = (lmdb_store *)store;
    verdict v;
    apr_status_t status;
    int err;

    memset(&v, 0, sizeof(v));
    if (mine->env->look_only) {
        status = look_at_store(mine, pool, &v);
        *why = status == APR_SUCCESS ? NULL : apr_pstrdup(pool, v.why);
        return status;
    }
    err = make_directory(mine);
    status = err ? complain_of_open(&v, mine, "make", err) : ask_probe(mine, pool, &v);
    *why = status == APR_SUCCESS ? NULL : apr_pstrdup(pool, v.why);
    store->warning = v.warning[0] ? apr_pstrdup(pool, v.warning) : NULL;
    if (status == APR_SUCCESS)
        idem_lmdb_mark_end_with(mine, pool);
    return status;
}
