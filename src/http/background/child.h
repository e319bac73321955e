/*
 * child.h - the beginning and the end of what runs in a child beside its requests.
 */
#ifndef IDEM_CHILD_H
#define IDEM_CHILD_H

#include <httpd.h>

/* child_init, after the stores were attached: starts keeper, renewer and outage watches, and ends them with pchild. */
void idem_child_start(apr_pool_t *pchild, server_rec *s);

/* child_stopping: after an ungraceful one no cleanup does store I/O any more (docs/design.md). */
void idem_child_stopping(apr_pool_t *pchild, int graceful);

/* An ungraceful end is under way. Any thread. */
int idem_child_is_stopping(void);

#endif
