/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread.c - threads that call a client library: how they start, and meet the end of the process.
 *
 * The workers and their pool call it. What always holds: when the process takes its libraries down, no thread is in the
 * client library but one that has hung there for longer than ENDING_TIME. Limits: such a thread may wake in the moment
 * between that and the end.
 */
#include "dbd_private.h"
#include "threads.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define STACK_SIZE ((size_t)512 << 10)
#define ENDING_TIME 500 /* milliseconds that the end of the process waits for calls under way */

/* ---- the end of the process -------------------------------------------------------------------------------------- */

/*
 * At exit OpenSSL and other libraries free memory that a thread in the client library may be using. So the thread that
 * ends the process waits a little for those inside, and no other thread enters. No locks: prefork ends a child in a
 * signal handler.
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

/* ---- starting ---------------------------------------------------------------------------------------------------- */

int idem_dbd_thread_start(void *(*run)(void *), void *data)
{
    static pthread_once_t prepared = PTHREAD_ONCE_INIT;

    pthread_once(&prepared, await_at_exit);
    return idem_thread_start(run, data, STACK_SIZE);
}
