/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.c - begins and ends what runs in a child beside its requests.
 *
 * Called by the hooks of a child's life. A dying child stops its threads. It waits a little for a thread that is inside
 * a store. A thread that takes longer never touches anything again. No thread is joined. Prefork ends its child inside
 * a signal handler: a wait there for a lock of the interrupted code would never end. A process that is forked from a
 * child inherits all that and ends none of it.
 */
#include "child.h"

#include "compat.h"
#include "keeper.h"
#include "mpm.h"
#include "outage.h"
#include "processes.h"
#include "renewer.h"
#include "threads.h"

#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include <apr_shm.h>
#include <apr_signal.h>

#define PARK_WAIT_MS 2000
#define TELL_EVERY 60 /* seconds */

static atomic_int stopping; /* an ungraceful end: cleanups do no I/O */
static int threaded;        /* the MPM has threads of its own; asked before a signal may come */
static atomic_uint child;   /* the process that httpd started; 0 in httpd's parent */
static atomic_uint *told;   /* when a copy last spoke: shared, since each may be the last that its own memory sees */

/* Async-signal-safe, and bounded: a store call has a deadline of its own. */
static void park_threads(void)
{
    const struct timespec step = {0, 1000000};

    idem_keeper_stop();
    idem_outage_stop();
    for (int i = 0; (idem_keeper_busy() || idem_outage_busy() || idem_renewer_ending()) && i < PARK_WAIT_MS; i++)
        nanosleep(&step, NULL);
}

/* The server may be told to stop during a graceful end; an MPM does not listen to that any more then. */
static void told_to_die(int signal)
{
    (void)signal;
    atomic_store(&stopping, 1);
}

static apr_status_t child_ends(void *unused)
{
    (void)unused;
    if (idem_child_is_copy())
        return APR_SUCCESS; /* what waits for the store is the child's, which goes on */
    idem_renewer_stop();
    park_threads();
    if (!atomic_load(&stopping) && !idem_keeper_busy()) {
        apr_signal(SIGTERM, told_to_die);
        idem_keeper_last_tries(&stopping);
    }
    return APR_SUCCESS;
}

#if !IDEM_HAS_CHILD_STOPPING
/* A threaded MPM of these versions has joined its workers before it destroys a child's pool: nothing is cut short. */
static apr_status_t child_cleans(void *pchild)
{
    idem_child_stopping(pchild, threaded);
    return APR_SUCCESS;
}
#endif

void idem_child_start(apr_pool_t *pchild, server_rec *s)
{
    threaded = idem_threads_usual();
    atomic_store(&child, idem_this_process());
    idem_keeper_start(s);
    apr_pool_pre_cleanup_register(pchild, NULL, child_ends);
#if !IDEM_HAS_CHILD_STOPPING
    apr_pool_pre_cleanup_register(pchild, pchild, child_cleans); /* runs before the one above */
#endif
    idem_renewer_start(pchild, s);
    idem_outage_start(s);
}

/* Prefork calls every end ungraceful. Told to die at once it comes here from its handler of that signal, which is
 * blocked then. */
static int is_at_once(void)
{
    sigset_t blocked;

    pthread_sigmask(SIG_SETMASK, NULL, &blocked);
    return sigismember(&blocked, SIGTERM) == 1 || sigismember(&blocked, SIGHUP) == 1;
}

void idem_child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    if (graceful || idem_child_is_copy() || (!threaded && !is_at_once()))
        return; /* requests run on, and their settlements with them */
    atomic_store(&stopping, 1);
    if (!threaded)
        idem_renewer_stop(); /* other threads may be in their handlers for seconds yet: they own what they hold */
    park_threads();
}

int idem_child_is_stopping(void)
{
    return atomic_load(&stopping);
}

/* ---- copies ------------------------------------------------------------------------------------------------------ */

apr_status_t idem_child_open(apr_pool_t *pconf)
{
    apr_shm_t *shm;
    apr_status_t rv = apr_shm_create(&shm, sizeof(*told), NULL, pconf);

    if (rv != APR_SUCCESS)
        return rv;
    told = apr_shm_baseaddr_get(shm);
    atomic_init(told, 0);
    return APR_SUCCESS;
}

int idem_child_is_copy(void)
{
    return atomic_load(&child) != idem_this_process();
}

int idem_child_may_tell(void)
{
    unsigned now = (unsigned)apr_time_sec(idem_monotonic()) + TELL_EVERY, last = atomic_load(told);

    return now - last >= TELL_EVERY && atomic_compare_exchange_strong(told, &last, now);
}
