/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bytelock.h - locks of single bytes of a file, which the kernel gives back when their owner dies.
 *
 * Open file description locks where there are any. Unlike the older POSIX locks they survive that someone else in the
 * process opens and closes the same file; a forked child shares them.
 */
#ifndef IDEM_BYTELOCK_H
#define IDEM_BYTELOCK_H

#include <fcntl.h>

#include <apr.h>

/* type: F_RDLCK, F_WRLCK or F_UNLCK. Waits for nobody. Returns 0 or an errno: EAGAIN or EACCES if another has it. */
int idem_bytelock_set(int fd, apr_uint64_t at, short type);

/* Has somebody else locked one of these bytes? 1 yes, 0 no, -1 the system does not say. */
int idem_bytelock_is_set(int fd, apr_uint64_t from, apr_uint64_t bytes);

#endif
