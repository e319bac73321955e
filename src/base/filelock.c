/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filelock.c - a timed robust mutex in a file, see filelock.h. Called by the lmdb driver only.
 *
 * Two bytes of the file are locked with open file description locks to know when the mutex may be initialised:
 *   byte 0  exclusively, while somebody opens: openers follow one another
 *   byte 1  shared, for as long as somebody has the file open
 * Under byte 0, an exclusive lock on byte 1 can be had only when nobody uses the mutex: then it is initialised, and
 * the lock turned into a shared one without a gap. An opener that dies loses both bytes, and the next one starts over.
 */
#include "filelock.h"

#include "bytelock.h"
#include "clock.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTE_OPENING 0
#define BYTE_IN_USE 1
#define FILE_BYTES 4096
#define PAUSE_BETWEEN_TRIES 5000 /* microseconds */

/*
 * What the file holds. Both numbers must be ours before the mutex is touched: another build may lay it out
 * differently.
 */
typedef struct lock_page {
    char magic[12]; /* "IDEM-LOCK 1" */
    apr_uint32_t mutex_bytes;
    pthread_mutex_t mutex;
} lock_page;

static const char page_magic[12] = "IDEM-LOCK 1";

struct idem_filelock {
    int fd;
    lock_page *page;
};

/* The kernel's own wait for a lock knows no deadline, so this one asks again; it happens at a process's start only. */
static int lock_byte_until(int fd, unsigned byte, short type, apr_time_t deadline)
{
    for (;;) {
        int err = idem_bytelock_set(fd, byte, type);
        if (err != EAGAIN && err != EACCES)
            return err;
        if (apr_time_now() >= deadline)
            return ETIMEDOUT;
        apr_sleep(PAUSE_BETWEEN_TRIES);
    }
}

static int initialise_page(lock_page *page)
{
    pthread_mutexattr_t attr;
    int err = pthread_mutexattr_init(&attr);

    if (err != 0)
        return err;
    memset(page, 0, sizeof(*page));
    err = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    if (err == 0)
        err = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
    if (err == 0)
        err = pthread_mutex_init(&page->mutex, &attr);
    pthread_mutexattr_destroy(&attr);
    if (err == 0) {
        page->mutex_bytes = sizeof(pthread_mutex_t);
        memcpy(page->magic, page_magic, sizeof(page_magic));
    }
    return err;
}

/* Under byte 0. On success byte 1 is held shared and the mutex can be used. */
static int join_users(idem_filelock *lock)
{
    int err = idem_bytelock_set(lock->fd, BYTE_IN_USE, F_WRLCK);
    if (err == 0) {
        err = initialise_page(lock->page);
        if (err != 0)
            return err;
    }
    else if (err != EAGAIN && err != EACCES)
        return err;
    err = idem_bytelock_set(lock->fd, BYTE_IN_USE, F_RDLCK);
    if (err != 0)
        return err;
    if (memcmp(lock->page->magic, page_magic, sizeof(page_magic)) != 0 ||
        lock->page->mutex_bytes != sizeof(pthread_mutex_t))
        return EPROTO;
    return 0;
}

static int map_and_join(idem_filelock *lock, const char *path, apr_time_t deadline)
{
    struct stat st;
    int err;

    lock->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (lock->fd < 0 || fstat(lock->fd, &st) != 0)
        return errno;
    if (st.st_size < FILE_BYTES)
        return EPROTO;
    lock->page = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, lock->fd, 0);
    if (lock->page == MAP_FAILED) {
        lock->page = NULL;
        return errno;
    }
    err = lock_byte_until(lock->fd, BYTE_OPENING, F_WRLCK, deadline);
    if (err == 0) {
        err = join_users(lock);
        idem_bytelock_set(lock->fd, BYTE_OPENING, F_UNLCK);
    }
    return err;
}

apr_status_t idem_filelock_open(idem_filelock **lock, const char *path, apr_time_t deadline, apr_pool_t *pool,
                                const char **why)
{
    idem_filelock *mine = apr_pcalloc(pool, sizeof(*mine));
    int err = map_and_join(mine, path, deadline);

    if (err == 0) {
        *lock = mine;
        return APR_SUCCESS;
    }
    if (err == EPROTO)
        *why =
            apr_psprintf(pool,
                         "%s was made by another version of this module: stop every process that uses it, then remove "
                         "it",
                         path);
    else if (err == ETIMEDOUT)
        *why = apr_psprintf(pool, "another process has been opening %s for too long: is one of them stopped?", path);
    else
        *why = apr_psprintf(pool, "cannot open the lock %s: %s", path, strerror(err));
    idem_filelock_close(mine);
    return err == ETIMEDOUT ? APR_TIMEUP : APR_FROM_OS_ERROR(err);
}

void idem_filelock_close(idem_filelock *lock)
{
    if (lock->page)
        munmap(lock->page, FILE_BYTES);
    if (lock->fd >= 0)
        close(lock->fd);
    lock->page = NULL;
    lock->fd = -1;
}

apr_status_t idem_filelock_create(const char *path)
{
    int err;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return APR_FROM_OS_ERROR(errno);
    err = posix_fallocate(fd, 0, FILE_BYTES);
    close(fd);
    return err ? APR_FROM_OS_ERROR(err) : APR_SUCCESS;
}

/* CLOCK_MONOTONIC where it can be had: a wall clock set backwards must not prolong the wait. */
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 30)
#define HAVE_CLOCKLOCK
#endif
#endif

static int lock_until(pthread_mutex_t *mutex, apr_time_t deadline)
{
#ifdef HAVE_CLOCKLOCK
    struct timespec until = idem_clock_deadline(deadline);
    return pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &until);
#else
    struct timespec until = {(time_t)apr_time_sec(deadline), (long)apr_time_usec(deadline) * 1000};
    return pthread_mutex_timedlock(mutex, &until);
#endif
}

apr_status_t idem_filelock_acquire(idem_filelock *lock, apr_time_t deadline)
{
    int err = lock_until(&lock->page->mutex, deadline);
    if (err == EOWNERDEAD)
        err = pthread_mutex_consistent(&lock->page->mutex);
    if (err == ETIMEDOUT)
        return APR_TIMEUP;
    return err ? APR_FROM_OS_ERROR(err) : APR_SUCCESS;
}

void idem_filelock_release(idem_filelock *lock)
{
    pthread_mutex_unlock(&lock->page->mutex);
}
