/*
 * threads.c - starts threads, lets them wait for each other, and keeps forks safe where a process had only one before.
 *
 * Called by keeper, renewer and waiters. A process with several threads forks with malloc() locked. Prefork's handlers that end a child, which
 * free, must not run on either side of such a fork before it is unlocked again: glibc calls these around its own locks. Under
 * an MPM with threads those signals are handled elsewhere, and nothing is done about forks.
 */
#include "threads.h"

#include <httpd.h> /* the others do not include it */

#include <ap_mpm.h>
#include <signal.h>
#include <time.h>
#include <time.h>

static sigset_t mask_at_fork; /* only a process's main thread forks where these are used */

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
    if (!idem_threads_usual())
        pthread_atfork(before_fork, after_fork, after_fork);
}

int idem_threads_usual(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS && threaded != AP_MPMQ_NOT_SUPPORTED;
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

int idem_thread_start(void *(*run)(void *), void *data)
{
    static pthread_once_t guarded = PTHREAD_ONCE_INIT;
    sigset_t every, before;
    pthread_attr_t detached;
    pthread_t thread;
    int failed;

    pthread_once(&guarded, guard_forks);
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    failed = pthread_create(&thread, &detached, run, data);
    pthread_attr_destroy(&detached);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}
