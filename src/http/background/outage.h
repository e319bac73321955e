/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outage.h - what a child does when a store stops answering, and when it answers again.
 */
#ifndef IDEM_OUTAGE_H
#define IDEM_OUTAGE_H

#include <httpd.h>

/* child_init, after the stores were attached: each front is watched. */
void idem_outage_start(server_rec *s);

/* Async-signal-safe: the threads touch nothing more once their call under way has ended. */
void idem_outage_stop(void);

/* Is a thread inside a store? */
int idem_outage_busy(void);

#endif
