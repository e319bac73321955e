/* SPDX-License-Identifier: Apache-2.0 */
/*
 * liveness.c - owner numbers as byte locks, see liveness.h. Called by the drivers of stores that live on one host.
 *
 * Open file description locks where there are any: unlike the older POSIX locks they survive that someone else in the
 * process opens and closes the same file. A forked child shares them, though. A child that never execs (an
 * interpreter's fork()) would keep a dead parent alive, so a fork handler closes our descriptors there.
 */
#include "liveness.h"

#include "bytelock.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* Offsets of a file are 63 bits; one more is left so that a number plus a length never overflows. */
#define OWNER_BITS 62
#define OWNER_END ((apr_uint64_t)1 << OWNER_BITS)

/* The low bits are the process's number (Linux has no larger ones), for a person who asks; the others are random. */
#define PROCESS_BITS 22
#define PROCESS_MASK (((apr_uint64_t)1 << PROCESS_BITS) - 1)

/* More stores than anybody configures in one process; beyond it only the closing after a fork is lost. */
#define MOST_HELD 64

struct idem_liveness {
    int fd;
    int place; /* in held, -1 for none */
    apr_uint64_t owner;
};

/* Descriptor + 1 of every open handle, 0 for a free place. Atomic because the fork handler may take no lock. */
static atomic_int held[MOST_HELD];
static pthread_once_t fork_handler_once = PTHREAD_ONCE_INIT;

static void close_after_fork(void)
{
    for (int i = 0; i < MOST_HELD; i++) {
        int fd = atomic_exchange(&held[i], 0) - 1;
        if (fd >= 0)
            close(fd);
    }
}

static void install_fork_handler(void)
{
    pthread_atfork(NULL, NULL, close_after_fork);
}

static int remember_fd(int fd)
{
    pthread_once(&fork_handler_once, install_fork_handler);
    for (int i = 0; i < MOST_HELD; i++) {
        int none = 0;
        if (atomic_compare_exchange_strong(&held[i], &none, fd + 1))
            return i;
    }
    return -1;
}

/* Draws numbers until one is free: with 40 random bits for each process the first is. */
static int take_number(int fd, apr_uint64_t *owner)
{
    int err = EAGAIN;
    for (int i = 0; i < 8 && (err == EAGAIN || err == EACCES); i++) {
        if (apr_generate_random_bytes((unsigned char *)owner, sizeof(*owner)) != APR_SUCCESS)
            return EIO;
        *owner = (*owner & (OWNER_END - 1) & ~PROCESS_MASK) | ((apr_uint64_t)getpid() & PROCESS_MASK);
        if (*owner != 0)
            err = idem_bytelock_set(fd, *owner, F_WRLCK);
    }
    return err;
}

apr_status_t idem_liveness_open(idem_liveness **liveness, const char *path, apr_pool_t *pool, const char **why)
{
    idem_liveness *mine = apr_pcalloc(pool, sizeof(*mine));
    int err;

    mine->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    err = mine->fd < 0 ? errno : take_number(mine->fd, &mine->owner);
    if (err != 0) {
        *why = apr_psprintf(pool, "cannot take an owner number in %s: %s", path, strerror(err));
        if (mine->fd >= 0)
            close(mine->fd);
        return APR_FROM_OS_ERROR(err);
    }
    mine->place = remember_fd(mine->fd);
    *liveness = mine;
    return APR_SUCCESS;
}

void idem_liveness_close(idem_liveness *liveness)
{
    /* A forked child has already closed what its parent held: the place is then no longer ours. */
    int mine = liveness->fd + 1;
    if (liveness->place < 0 || atomic_compare_exchange_strong(&held[liveness->place], &mine, 0))
        close(liveness->fd);
}

apr_uint64_t idem_liveness_owner(const idem_liveness *liveness)
{
    return liveness->owner;
}

unsigned long idem_liveness_process(apr_uint64_t owner)
{
    return (unsigned long)(owner & PROCESS_MASK);
}

int idem_liveness_alive(const idem_liveness *liveness, apr_uint64_t owner)
{
    if (owner == liveness->owner)
        return 1;
    if (owner == 0 || owner >= OWNER_END)
        return 0; /* no process can have drawn it */
    return idem_bytelock_is_set(liveness->fd, owner, 1) != 0;
}

apr_status_t idem_liveness_create(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return APR_FROM_OS_ERROR(errno);
    close(fd);
    return APR_SUCCESS;
}

int idem_liveness_any(const char *path)
{
    int answer;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0)
        return errno != ENOENT;
    answer = idem_bytelock_is_set(fd, 0, OWNER_END);
    close(fd);
    return answer != 0;
}
