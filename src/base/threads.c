/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.c - starts threads, lets them wait for each other by one clock, and keeps forks safe where a process had only
 * one before.
 *
 * Called by keeper, renewer, waiters, outages, and by the drivers whose client libraries need threads. A process with
 * several threads forks with malloc() locked. Prefork ends a child in signal handlers, which call free(). They must not
 * run on either side of such a fork before malloc() is unlocked again: glibc calls these functions around its own
 * locks. Under an MPM with threads those signals are handled elsewhere, and it makes no difference.
 */
#include "threads.h"

#include <signal.h>
#include <time.h>

static IDEM_THREADS_OWN sigset_t mask_at_fork;

static void before_fork(void)
{
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &ends, &mask_at_fork);
}

static void after_fork(void)
{
    pthread_sigmask(SIG_SETMASK, &mask_at_fork, NULL);
}

static void guard_forks(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
}

apr_interval_time_t idem_monotonic(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return apr_time_from_sec((apr_interval_time_t)ts.tv_sec) + ts.tv_nsec / 1000;
}

void idem_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int idem_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, apr_interval_time_t until)
{
    struct timespec at = {(time_t)apr_time_sec(until), (long)apr_time_usec(until) * 1000};

    return pthread_cond_timedwait(cond, lock, &at);
}

int idem_thread_start(void *(*run)(void *), void *data, apr_size_t stack)
{
    static pthread_once_t guarded = PTHREAD_ONCE_INIT;
    sigset_t every, before;
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    pthread_once(&guarded, guard_forks);
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack)
        pthread_attr_setstacksize(&attr, stack);
    failed = pthread_create(&thread, &attr, run, data);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}
