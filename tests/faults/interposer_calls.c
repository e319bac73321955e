/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interposer_calls.c - the calls that stand in for the C library's: each asks interposer.c, then fails or goes on.
 *
 * Called by whoever calls the C library by name. What always holds: a call that is not to fail goes to the C library,
 * with the caller's arguments. One that fails has done nothing, as in the system. 64-bit names are the same functions
 * on this system and stand beside them. Limits: Linux and glibc, whose own names for memory are used.
 */
#include "interposer.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#define CALLER __builtin_return_address(0)

/* The C library's function of that name, looked up once. */
#define REAL(name)                              \
    (__extension__({                            \
        static void *real_one;                  \
        if (!real_one)                          \
            real_one = dlsym(RTLD_NEXT, #name); \
        (__typeof__(&name))real_one;            \
    }))

/* For functions that say -1 and errno; for those that say the error itself. */
#define FAIL_WITH_ERRNO(what)                                   \
    do {                                                        \
        int failed = idem_faults_error(what, __func__, CALLER); \
        if (failed) {                                           \
            errno = failed;                                     \
            return -1;                                          \
        }                                                       \
    } while (0)
#define FAIL_WITH_ERROR(what)                                   \
    do {                                                        \
        int failed = idem_faults_error(what, __func__, CALLER); \
        if (failed)                                             \
            return failed;                                      \
    } while (0)
#define FAIL_OR_SHORTEN(what, len)                                         \
    do {                                                                   \
        int failed = idem_faults_transfer(what, __func__, CALLER, &(len)); \
        if (failed) {                                                      \
            errno = failed;                                                \
            return -1;                                                     \
        }                                                                  \
    } while (0)

/* ---- memory ------------------------------------------------------------------------------------------------------ */

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

EXPORT void *malloc(size_t size)
{
    if (!idem_faults_memory("malloc", CALLER))
        return __libc_malloc(size);
    errno = ENOMEM;
    return NULL;
}

EXPORT void *calloc(size_t count, size_t size)
{
    if (!idem_faults_memory("calloc", CALLER))
        return __libc_calloc(count, size);
    errno = ENOMEM;
    return NULL;
}

EXPORT void *realloc(void *old, size_t size)
{
    if (!idem_faults_memory("realloc", CALLER))
        return __libc_realloc(old, size);
    errno = ENOMEM;
    return NULL;
}

EXPORT int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *made = idem_faults_memory("posix_memalign", CALLER) ? NULL : __libc_memalign(alignment, size);

    if (!made)
        return ENOMEM;
    *memory = made;
    return 0;
}

/* Without a file it is memory: what APR's allocator asks for. */
EXPORT void *mmap(void *wish, size_t len, int protection, int flags, int fd, off_t at)
{
    int failed = fd < 0 ? idem_faults_memory("mmap", CALLER) : idem_faults_error(FAULT_FILE, __func__, CALLER);

    if (!failed)
        return REAL(mmap)(wish, len, protection, flags, fd, at);
    errno = fd < 0 ? ENOMEM : failed;
    return MAP_FAILED;
}

/* ---- open -------------------------------------------------------------------------------------------------------- */

static mode_t mode_of(int flags, va_list args)
{
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPENS(name)                                   \
    EXPORT int name(const char *path, int flags, ...) \
    {                                                 \
        va_list args;                                 \
        mode_t mode;                                  \
        va_start(args, flags);                        \
        mode = mode_of(flags, args);                  \
        va_end(args);                                 \
        FAIL_WITH_ERRNO(FAULT_OPEN);                  \
        return REAL(name)(path, flags, mode);         \
    }
OPENS(open)
OPENS(open64)

EXPORT int openat(int folder, const char *path, int flags, ...)
{
    va_list args;
    mode_t mode;

    va_start(args, flags);
    mode = mode_of(flags, args);
    va_end(args);
    FAIL_WITH_ERRNO(FAULT_OPEN);
    return REAL(openat)(folder, path, flags, mode);
}

EXPORT int mkstemp(char *template)
{
    FAIL_WITH_ERRNO(FAULT_OPEN);
    return REAL(mkstemp)(template);
}

EXPORT int pipe(int ends[2])
{
    FAIL_WITH_ERRNO(FAULT_OPEN);
    return REAL(pipe)(ends);
}

EXPORT int dup(int fd)
{
    FAIL_WITH_ERRNO(FAULT_OPEN);
    return REAL(dup)(fd);
}

/* ---- read -------------------------------------------------------------------------------------------------------- */

EXPORT ssize_t read(int fd, void *to, size_t len)
{
    FAIL_OR_SHORTEN(FAULT_READ, len);
    return REAL(read)(fd, to, len);
}

EXPORT ssize_t pread(int fd, void *to, size_t len, off_t at)
{
    FAIL_OR_SHORTEN(FAULT_READ, len);
    return REAL(pread)(fd, to, len, at);
}

EXPORT ssize_t recv(int fd, void *to, size_t len, int flags)
{
    FAIL_OR_SHORTEN(FAULT_READ, len);
    return REAL(recv)(fd, to, len, flags);
}

EXPORT ssize_t recvfrom(int fd, void *restrict to, size_t len, int flags, __SOCKADDR_ARG from, socklen_t *restrict room)
{
    FAIL_OR_SHORTEN(FAULT_READ, len);
    return REAL(recvfrom)(fd, to, len, flags, from, room);
}

/* ---- write ------------------------------------------------------------------------------------------------------- */

EXPORT ssize_t write(int fd, const void *from, size_t len)
{
    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    return REAL(write)(fd, from, len);
}

EXPORT ssize_t pwrite(int fd, const void *from, size_t len, off_t at)
{
    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    return REAL(pwrite)(fd, from, len, at);
}

EXPORT ssize_t writev(int fd, const struct iovec *parts, int count)
{
    struct iovec first = *parts;
    size_t len = first.iov_len;

    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    if (len == first.iov_len)
        return REAL(writev)(fd, parts, count);
    first.iov_len = len;
    return REAL(writev)(fd, &first, 1);
}

EXPORT ssize_t send(int fd, const void *from, size_t len, int flags)
{
    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    return REAL(send)(fd, from, len, flags);
}

EXPORT ssize_t sendto(int fd, const void *from, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t room)
{
    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    return REAL(sendto)(fd, from, len, flags, to, room);
}

EXPORT ssize_t sendfile(int to, int from, off_t *at, size_t len)
{
    FAIL_OR_SHORTEN(FAULT_WRITE, len);
    return REAL(sendfile)(to, from, at, len);
}

/* ---- flush ------------------------------------------------------------------------------------------------------- */

EXPORT int fsync(int fd)
{
    FAIL_WITH_ERRNO(FAULT_FLUSH);
    return REAL(fsync)(fd);
}

EXPORT int fdatasync(int fd)
{
    FAIL_WITH_ERRNO(FAULT_FLUSH);
    return REAL(fdatasync)(fd);
}

EXPORT int msync(void *from, size_t len, int flags)
{
    FAIL_WITH_ERRNO(FAULT_FLUSH);
    return REAL(msync)(from, len, flags);
}

/* ---- connect ----------------------------------------------------------------------------------------------------- */

EXPORT int socket(int family, int type, int protocol)
{
    FAIL_WITH_ERRNO(FAULT_CONNECT);
    return REAL(socket)(family, type, protocol);
}

EXPORT int connect(int fd, __CONST_SOCKADDR_ARG to, socklen_t len)
{
    FAIL_WITH_ERRNO(FAULT_CONNECT);
    return REAL(connect)(fd, to, len);
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    FAIL_WITH_ERRNO(FAULT_CONNECT);
    return REAL(setsockopt)(fd, level, name, value, len);
}

EXPORT int getaddrinfo(const char *restrict host, const char *restrict service, const struct addrinfo *restrict hints,
                       struct addrinfo **restrict found)
{
    if (idem_faults_strike(FAULT_CONNECT, __func__, CALLER))
        return EAI_AGAIN;
    return REAL(getaddrinfo)(host, service, hints, found);
}

/* ---- lock -------------------------------------------------------------------------------------------------------- */

static int is_lock(int command)
{
    return command == F_SETLK || command == F_SETLKW || command == F_GETLK || command == F_OFD_SETLK ||
           command == F_OFD_SETLKW || command == F_OFD_GETLK;
}

/* Whatever the third argument is, it fits a pointer. */
EXPORT int fcntl(int fd, int command, ...)
{
    va_list args;
    void *argument;

    va_start(args, command);
    argument = va_arg(args, void *);
    va_end(args);
    if (is_lock(command))
        FAIL_WITH_ERRNO(FAULT_LOCK);
    return REAL(fcntl)(fd, command, argument);
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    FAIL_WITH_ERROR(FAULT_LOCK);
    return REAL(pthread_mutex_clocklock)(mutex, clock, until);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict until)
{
    FAIL_WITH_ERROR(FAULT_LOCK);
    return REAL(pthread_mutex_timedlock)(mutex, until);
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    FAIL_WITH_ERROR(FAULT_LOCK);
    return REAL(pthread_mutex_trylock)(mutex);
}

EXPORT int semop(int set, struct sembuf *operations, size_t count)
{
    FAIL_WITH_ERRNO(FAULT_LOCK);
    return REAL(semop)(set, operations, count);
}

/* ---- wait -------------------------------------------------------------------------------------------------------- */

EXPORT int poll(struct pollfd *ready, nfds_t count, int limit)
{
    FAIL_WITH_ERRNO(FAULT_WAIT);
    return REAL(poll)(ready, count, limit);
}

EXPORT int epoll_wait(int set, struct epoll_event *events, int most, int limit)
{
    FAIL_WITH_ERRNO(FAULT_WAIT);
    return REAL(epoll_wait)(set, events, most, limit);
}

EXPORT int select(int most, fd_set *restrict in, fd_set *restrict out, fd_set *restrict odd,
                  struct timeval *restrict limit)
{
    FAIL_WITH_ERRNO(FAULT_WAIT);
    return REAL(select)(most, in, out, odd, limit);
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

EXPORT int unlink(const char *path)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(unlink)(path);
}

EXPORT int rename(const char *from, const char *to)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(rename)(from, to);
}

EXPORT int stat(const char *restrict path, struct stat *restrict found)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(stat)(path, found);
}

EXPORT int fstat(int fd, struct stat *found)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(fstat)(fd, found);
}

EXPORT int statvfs(const char *restrict path, struct statvfs *restrict found)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(statvfs)(path, found);
}

EXPORT off_t lseek(int fd, off_t at, int from)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(lseek)(fd, at, from);
}

EXPORT int ftruncate(int fd, off_t len)
{
    FAIL_WITH_ERRNO(FAULT_FILE);
    return REAL(ftruncate)(fd, len);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

EXPORT int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attr, void *(*run)(void *),
                          void *restrict data)
{
    FAIL_WITH_ERROR(FAULT_THREAD);
    return REAL(pthread_create)(thread, attr, run, data);
}
