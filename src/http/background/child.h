/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child.h - the beginning and the end of what runs in a child beside its requests.
 */
#ifndef IDEM_CHILD_H
#define IDEM_CHILD_H

#include <httpd.h>

/* child_init, after the stores were attached: starts keeper, renewer and outage watches, and ends them with pchild. */
void idem_child_start(apr_pool_t *pchild, server_rec *s);

/* post_config: what the children share. */
apr_status_t idem_child_open(apr_pool_t *pconf);

/* child_stopping: after an ungraceful one no cleanup does store I/O any more
 * (docs/internals/children-and-threads.md). */
void idem_child_stopping(apr_pool_t *pchild, int graceful);

/* An ungraceful end is under way. Any thread. */
int idem_child_is_stopping(void);

/*
 * This process was forked from one of httpd's children, and runs httpd's code. Another module serves a connection in
 * it, or a handler's fork() came back. It has the child's memory and none of its threads, locks and leases: it touches
 * nothing of the store's.
 */
int idem_child_is_copy(void);

/* Is it time to say so? Once a minute, whatever number of copies there are. */
int idem_child_may_tell(void);

#endif
