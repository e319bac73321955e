/*
 * threads.h - how the module starts a thread of its own in a child.
 */
#ifndef IDEM_THREADS_H
#define IDEM_THREADS_H

#include <apr_time.h>
#include <pthread.h>

#include <pthread.h>

#include <apr_time.h>

/*
 * Starts run(data), detached and with every signal masked: no signal of the server is such a thread's to handle (prefork's would
 * destroy the child from it). Returns 0, or the error number.
 */
int idem_thread_start(void *(*run)(void *), void *data);

/* The MPM runs several threads in a child anyway. Where it does not, a child stays alone until there is a need. */
int idem_threads_usual(void);

/* A condition by the clock that nobody sets: a wait is neither prolonged nor ended by who sets the other. */
void idem_cond_init(pthread_cond_t *cond);

/* As pthread_cond_timedwait(), until that moment of idem_monotonic(). */
int idem_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, apr_interval_time_t until);

#endif
