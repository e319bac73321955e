/* SPDX-License-Identifier: Apache-2.0 */
/*
 * processes.h - about the server's processes, for tables that they share.
 */
#ifndef IDEM_PROCESSES_H
#define IDEM_PROCESSES_H

#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include <apr.h>

static inline apr_uint32_t idem_this_process(void)
{
    return (apr_uint32_t)getpid();
}

/* What it left in a table may be taken back. A number that another process has by now counts as there: that only costs
 * room. */
static inline int idem_process_gone(apr_uint32_t process)
{
    return kill((pid_t)process, 0) != 0 && errno == ESRCH;
}

#endif
