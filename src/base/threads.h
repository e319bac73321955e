/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads.h - how a thread of our own starts in a child, and how threads wait for each other.
 */
#ifndef IDEM_THREADS_H
#define IDEM_THREADS_H

#include <apr_time.h>
#include <pthread.h>

/*
 * Starts run(data), detached and with every signal masked: no signal of the server is such a thread's to handle
 * (prefork's would destroy the child from it). stack in bytes, 0 for the usual one. Returns 0, or the error number.
 */
int idem_thread_start(void *(*run)(void *), void *data, apr_size_t stack);

/*
 * A variable that each thread has from its beginning. Any other thread-local variable of a library is made when a
 * thread first uses it, and where there is no memory for it the C library ends the process. There is little room for
 * these in all of a process, so such a variable is a few bytes.
 */
#define IDEM_THREADS_OWN _Thread_local __attribute__((tls_model("initial-exec")))

/* Microseconds of a clock that nobody sets. */
apr_interval_time_t idem_monotonic(void);

/* A condition by the clock that nobody sets: a wait is neither prolonged nor ended by who sets the other. */
void idem_cond_init(pthread_cond_t *cond);

/* As pthread_cond_timedwait(), until that moment of idem_monotonic(). */
int idem_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, apr_interval_time_t until);

#endif
