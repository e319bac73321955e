/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_interposer.c - a preloaded library that knows what of a data.mdb would survive a loss of power.
 *
 * Each write to a file of that name is remembered. A flush of the file, or a write through a descriptor with O_DSYNC,
 * moves the writes from before its beginning to the shadow file. What LMDB never flushes never gets there. It can also
 * make a write or flush fail, or stop the process in front of it. Everything is done under one lock, so that a snapshot
 * is of one instant. Not for children that inherit unflushed writes: they begin with none.
 */
#include "durability.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

/* The library's own names, for dlsym; declared in durability.h under the names the test uses. */
EXPORT durability *durability_interposed(void);
EXPORT int durability_interposed_snapshot(const char *from, const char *to);
EXPORT long durability_interposed_unflushed(void);

typedef struct piece {
    struct piece *next;
    char path[PATH_MAX];
    off_t at;
    size_t len;
    unsigned char bytes[];
} piece;

static durability control;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static piece *pending, **pending_end = &pending;
static pid_t owner; /* of pending */

/* ---- the C library's own ----------------------------------------------------------------------------------------- */

#define REAL(name, type)                                \
    static type real_##name(void)                       \
    {                                                   \
        static type found;                              \
        if (!found)                                     \
            *(void **)&found = dlsym(RTLD_NEXT, #name); \
        return found;                                   \
    }

typedef ssize_t pwrite_type(int, const void *, size_t, off_t);
typedef ssize_t write_type(int, const void *, size_t);
typedef ssize_t writev_type(int, const struct iovec *, int);
typedef int flush_type(int);
REAL(pwrite, pwrite_type *)
REAL(write, write_type *)
REAL(writev, writev_type *)
REAL(fsync, flush_type *)
REAL(fdatasync, flush_type *)

/* ---- what is watched --------------------------------------------------------------------------------------------- */

/* A test forks while other threads write: the child must find the lock free. */
static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&lock);
}

__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

/* Nonzero and the path if fd is a data file. */
static int watched(int fd, char path[PATH_MAX])
{
    static const char name[] = "/data.mdb";
    char link[64];
    ssize_t len;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    len = readlink(link, path, PATH_MAX - 1);
    if (len < (ssize_t)sizeof(name))
        return 0;
    path[len] = '\0';
    return strcmp(path + len - (sizeof(name) - 1), name) == 0;
}

static int is_synchronous(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && (flags & O_DSYNC);
}

/* Counts down; nonzero when it strikes. */
static int strikes(atomic_int *count)
{
    int now = atomic_load(count);
    if (now < 0)
        return 1;
    while (now > 0) {
        if (atomic_compare_exchange_strong(count, &now, now - 1))
            return now == 1;
    }
    return 0;
}

/* ---- the shadow; under lock -------------------------------------------------------------------------------------- */

static void shadow(const char *path, const unsigned char *bytes, size_t len, off_t at)
{
    char name[PATH_MAX + 16];
    int fd;

    snprintf(name, sizeof(name), "%s" DURABILITY_SHADOW, path);
    fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || real_pwrite()(fd, bytes, len, at) != (ssize_t)len)
        abort();
    close(fd);
}

static void forget_parents(void)
{
    if (owner == getpid())
        return;
    owner = getpid();
    pending = NULL; /* the parent still has them */
    pending_end = &pending;
}

static void remember(const char *path, const void *bytes, size_t len, off_t at)
{
    piece *p = malloc(sizeof(*p) + len);

    if (!p)
        abort();
    p->next = NULL;
    strcpy(p->path, path);
    p->at = at;
    p->len = len;
    memcpy(p->bytes, bytes, len);
    forget_parents();
    *pending_end = p;
    pending_end = &p->next;
}

/* Moves to the shadow what was written to path before `until` was the end. */
static void flush_pending(const char *path, piece **until)
{
    piece **at = &pending;

    while (*at && at != until) {
        piece *p = *at;
        if (strcmp(p->path, path) != 0) {
            at = &p->next;
            continue;
        }
        shadow(p->path, p->bytes, p->len, p->at);
        *at = p->next;
        if (pending_end == &p->next)
            pending_end = at;
        if (until == &p->next)
            until = at;
        free(p);
    }
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

static void written(int fd, const char *path, const void *bytes, ssize_t len, off_t at)
{
    if (len <= 0)
        return;
    pthread_mutex_lock(&lock);
    if (is_synchronous(fd)) {
        shadow(path, bytes, (size_t)len, at);
        atomic_fetch_add(&control.metas, 1);
    }
    else {
        remember(path, bytes, (size_t)len, at);
        atomic_fetch_add(&control.writes, 1);
    }
    pthread_mutex_unlock(&lock);
}

/* Nonzero, with errno, if this write is to fail. */
static int refuse_write(int fd)
{
    int synchronous = is_synchronous(fd);

    if (!synchronous && strikes(&control.stop_write))
        raise(SIGSTOP);
    if (!strikes(synchronous ? &control.fail_meta : &control.fail_write))
        return 0;
    errno = atomic_load(&control.error);
    return 1;
}

EXPORT ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at)
{
    char path[PATH_MAX];
    ssize_t done;

    if (!watched(fd, path))
        return real_pwrite()(fd, bytes, len, at);
    if (refuse_write(fd))
        return -1;
    done = real_pwrite()(fd, bytes, len, at);
    written(fd, path, bytes, done, at);
    return done;
}

EXPORT ssize_t write(int fd, const void *bytes, size_t len)
{
    char path[PATH_MAX];
    ssize_t done;
    off_t at;

    if (!watched(fd, path))
        return real_write()(fd, bytes, len);
    if (refuse_write(fd))
        return -1;
    at = lseek(fd, 0, SEEK_CUR);
    done = real_write()(fd, bytes, len);
    written(fd, path, bytes, done, at);
    return done;
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    char path[PATH_MAX];
    ssize_t done, left;
    off_t at;

    if (!watched(fd, path))
        return real_writev()(fd, parts, count);
    if (refuse_write(fd))
        return -1;
    at = lseek(fd, 0, SEEK_CUR);
    done = left = real_writev()(fd, parts, count);
    for (int i = 0; i < count && left > 0; i++) {
        ssize_t here = left < (ssize_t)parts[i].iov_len ? left : (ssize_t)parts[i].iov_len;
        written(fd, path, parts[i].iov_base, here, at);
        at += here;
        left -= here;
    }
    return done;
}

static void hold(void)
{
    atomic_fetch_add(&control.held, 1);
    while (!atomic_load(&control.release))
        usleep(500);
    atomic_store(&control.release, 0);
}

static int flush(int fd, flush_type *real)
{
    char path[PATH_MAX];
    piece **until;
    int rc;

    if (!watched(fd, path))
        return real(fd);
    if (strikes(&control.stop_flush))
        raise(SIGSTOP);
    if (strikes(&control.fail_flush)) {
        errno = atomic_load(&control.error);
        return -1;
    }
    if (strikes(&control.hold_flush))
        hold();
    pthread_mutex_lock(&lock);
    forget_parents();
    until = pending_end;
    pthread_mutex_unlock(&lock);
    rc = real(fd);
    pthread_mutex_lock(&lock);
    if (rc == 0) {
        flush_pending(path, until);
        atomic_fetch_add(&control.flushes, 1);
    }
    pthread_mutex_unlock(&lock);
    return rc;
}

EXPORT int fsync(int fd)
{
    return flush(fd, real_fsync());
}

EXPORT int fdatasync(int fd)
{
    return flush(fd, real_fdatasync());
}

/* ---- for the test ------------------------------------------------------------------------------------------------ */

durability *durability_interposed(void)
{
    return &control;
}

long durability_interposed_unflushed(void)
{
    long n = 0;
    pthread_mutex_lock(&lock);
    forget_parents();
    for (piece *p = pending; p; p = p->next)
        n++;
    pthread_mutex_unlock(&lock);
    return n;
}

static int copy_bytes(int from, int to)
{
    char buffer[65536];
    ssize_t got;

    while ((got = read(from, buffer, sizeof(buffer))) > 0) {
        if (real_write()(to, buffer, (size_t)got) != got)
            return -1;
    }
    return got < 0 ? -1 : 0;
}

int durability_interposed_snapshot(const char *from, const char *to)
{
    char name[PATH_MAX];
    int rc = -1, in, out;

    snprintf(name, sizeof(name), "%s" DURABILITY_SHADOW, from);
    pthread_mutex_lock(&lock);
    in = open(name, O_RDONLY | O_CLOEXEC);
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (in >= 0 && out >= 0)
        rc = copy_bytes(in, out);
    if (in >= 0)
        close(in);
    if (out >= 0)
        close(out);
    pthread_mutex_unlock(&lock);
    return rc;
}
