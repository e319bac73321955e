/*
 * driver_dbd_thread.c - threads that call a client library: how they start, wait, and meet forks and the end of the process.
 *
 * Called by the desks and their pool. What always holds: such a thread takes no signals; a fork finds malloc() as it
 * is; nobody is in the client library when the process's libraries are taken down, or has been for longer than
 * ENDING_TIME. Limits: a thread that hangs for longer may wake in the moment between that and the end.
 */
#include "driver_dbd_private.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)512 << 10)
#define ENDING_TIME 500 /* milliseconds that the end of the process waits for calls under way */

/* ---- waiting --------------------------------------------------------------------------------------------------------- */

void idem_dbd_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

apr_status_t idem_dbd_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, apr_int64_t until)
{
    struct timespec moment = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
    return pthread_cond_timedwait(cond, lock, &moment) == ETIMEDOUT ? APR_TIMEUP : APR_SUCCESS;
}

/* ---- the end of the process ----------------------------------------------------------------------------------------- */

/*
 * At exit OpenSSL and others take down what a thread may be using in the client library just then. So whoever ends the process
 * waits a little for those inside, and nobody enters any more. No locks: prefork ends a child in a signal handler.
 */
static atomic_int inside, ending;

void idem_dbd_enter(void)
{
    atomic_fetch_add(&inside, 1);
    if (!atomic_load(&ending))
        return;
    atomic_fetch_sub(&inside, 1);
    for (;;)
        pause();
}

static void await_empty_library(void)
{
    const struct timespec pause_between = {0, 1000000};

    if (atomic_exchange(&ending, 1))
        return;
    for (int ms = 0; ms < ENDING_TIME && atomic_load(&inside) > 0; ms++)
        nanosleep(&pause_between, NULL);
}

static void await_at_exit(void)
{
    atexit(await_empty_library);
}

/* Handlers run in reverse order, and the client library may bring its own with its first connection. */
void idem_dbd_leave(int connected)
{
    static pthread_once_t first = PTHREAD_ONCE_INIT;

    if (connected)
        pthread_once(&first, await_at_exit);
    atomic_fetch_sub(&inside, 1);
}

/* ---- starting -------------------------------------------------------------------------------------------------------- */

/*
 * A process with several threads forks with malloc() locked. Under prefork the signals that end a child are handled by its one
 * other thread, and the handlers free: they must not run on either side of a fork before it is unlocked again. Elsewhere
 * this does nothing.
 */
static __thread sigset_t mask_at_fork;

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

static void prepare_process(void)
{
    pthread_atfork(before_fork, after_fork, after_fork);
    await_at_exit();
}

int idem_dbd_thread_start(void *(*run)(void *), void *data)
{
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;
    sigset_t every, before;
    pthread_attr_t attr;
    pthread_t thread;
    int failed;

    pthread_once(&prepared, prepare_process);
    sigfillset(&every);
    pthread_sigmask(SIG_SETMASK, &every, &before);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, STACK_SIZE);
    failed = pthread_create(&thread, &attr, run, data);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed;
}
