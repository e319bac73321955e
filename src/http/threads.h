/*
 * threads.h - how the module starts a thread of its own in a child.
 */
#ifndef IDEM_THREADS_H
#define IDEM_THREADS_H

/*
 * Starts run(data), detached and with every signal masked: no signal of the server is such a thread's to handle (prefork's would
 * destroy the child from it). Returns 0, or the error number.
 */
int idem_thread_start(void *(*run)(void *), void *data);

/* The MPM runs several threads in a child anyway. Where it does not, a child stays alone until there is a need. */
int idem_threads_usual(void);

#endif
