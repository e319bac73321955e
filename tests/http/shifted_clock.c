/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shifted_clock.c - a wall clock that is wrong, and can be set while programs run: a library to preload.
 *
 * SHIFTED_CLOCK names a file of eight bytes, the number of nanoseconds (of this machine's byte order) by which the
 * clock is ahead. The file is mapped. The next look at the clock sees what a test wrote there, and so do threads that
 * wait for an instant of it: as when an administrator sets a real clock. CLOCK_MONOTONIC goes on as it does then.
 *
 * Used by tests/http/clocks.py, for httpd and for store servers; all that these call for the time of day is here.
 * Children that change their user keep the mapping. Without the variable nothing is changed.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LONGEST_UPTIME (20L * 365 * 86400)
#define SLICE (20 * 1000000LL) /* how soon a waiter sees that the clock was set */

typedef int wait_function(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

static const volatile int64_t *shift;
static wait_function *real_wait;

__attribute__((constructor)) static void map_shift(void)
{
    const char *path = getenv("SHIFTED_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *page;

    *(void **)&real_wait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
    if (file < 0)
        return;
    page = mmap(NULL, sizeof(*shift), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED)
        shift = page;
}

static int64_t nanoseconds(const struct timespec *t)
{
    return t->tv_sec * SECOND + t->tv_nsec;
}

static struct timespec instant(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / SECOND, .tv_nsec = ns % SECOND};
    return t;
}

/* The system's own word, past libc: this library stands in for libc's. */
static int64_t true_time(void)
{
    struct timespec t;

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
    return nanoseconds(&t);
}

static int64_t shifted_time(void)
{
    return true_time() + (shift ? *shift : 0);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *t)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, clock, t);
    *t = instant(shifted_time());
    return 0;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
    int64_t now = shifted_time();

    (void)zone;
    t->tv_sec = now / SECOND;
    t->tv_usec = now % SECOND / 1000;
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *t)
{
    time_t now = (time_t)(shifted_time() / SECOND);

    if (t)
        *t = now;
    return now;
}

/*
 * An instant of the shifted clock is waited for in slices, so that it comes sooner or later when the clock is set
 * meanwhile. A condition that was made for CLOCK_MONOTONIC has deadlines soon after the boot: those are left alone.
 */
__attribute__((visibility("default"))) int pthread_cond_timedwait(pthread_cond_t *restrict condition,
                                                                  pthread_mutex_t *restrict mutex,
                                                                  const struct timespec *restrict deadline)
{
    int64_t left;

    if (!shift || deadline->tv_sec < LONGEST_UPTIME)
        return real_wait(condition, mutex, deadline);
    while ((left = nanoseconds(deadline) - shifted_time()) > 0) {
        struct timespec slice = instant(true_time() + (left < SLICE ? left : SLICE));
        int result = real_wait(condition, mutex, &slice);

        if (result != ETIMEDOUT)
            return result;
    }
    return ETIMEDOUT;
}
