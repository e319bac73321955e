/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytelock.c - locks of single bytes of a file, see bytelock.h. Called by liveness.c and filelock.c.
 */
#define _FILE_OFFSET_BITS 64 /* owners' bytes lie beyond what 32 bits count; no other file sees this off_t */

#include "bytelock.h"

#include <errno.h>
#include <string.h>

#ifdef F_OFD_SETLK
#define SET_LOCK F_OFD_SETLK
#define GET_LOCK F_OFD_GETLK
#else
#define SET_LOCK F_SETLK
#define GET_LOCK F_GETLK
#endif

static int ask_kernel(int fd, int what, struct flock *lock, apr_uint64_t from, apr_uint64_t bytes)
{
    int rc;

    lock->l_whence = SEEK_SET;
    lock->l_start = (off_t)from;
    lock->l_len = (off_t)bytes;
    do
        rc = fcntl(fd, what, lock);
    while (rc < 0 && errno == EINTR);
    return rc < 0 ? errno : 0;
}

int idem_bytelock_set(int fd, apr_uint64_t at, short type)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock)); /* l_pid must be 0 for these locks */
    lock.l_type = type;
    return ask_kernel(fd, SET_LOCK, &lock, at, 1);
}

int idem_bytelock_is_set(int fd, apr_uint64_t from, apr_uint64_t bytes)
{
    struct flock lock;

    memset(&lock, 0, sizeof(lock));
    lock.l_type = F_WRLCK;
    if (ask_kernel(fd, GET_LOCK, &lock, from, bytes) != 0)
        return -1;
    return lock.l_type != F_UNLCK;
}
