/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.h - what the module counts, for SetHandler idempotency-metrics.
 *
 * Counters and gauges lie in memory that all children share and that outlives restarts, graceful or not, as long as the
 * server's parent lives. Counting takes no lock and never fails. Nothing of a request but its outcome is counted: no
 * key, scope, user or path comes here. Gauges, the numbers of a process at the moment, are kept under its process
 * number. They go when the process ends, however it ends.
 */
#ifndef IDEM_METRICS_H
#define IDEM_METRICS_H

#include "front.h"
#include "outcome.h"

#include <httpd.h>

#include <ap_mpm.h>

typedef enum idem_gauge {
    IDEM_GAUGE_LEASES,  /* slots that requests hold */
    IDEM_GAUGE_WAITERS, /* duplicates that wait */
    IDEM_GAUGE_JOBS,    /* of the keeper, unfinished */
    IDEM_GAUGE_BYTES,   /* …, their size */
    IDEM_GAUGES
} idem_gauge;

typedef enum idem_job_end {
    IDEM_JOB_ACKNOWLEDGED,
    IDEM_JOB_REFUSED, /* the slot is another's by now */
    IDEM_JOB_DROPPED, /* nobody repeats it any more */
    IDEM_JOB_ENDS
} idem_job_end;

/* post_config, when the stores are configured: finds or makes the memory, and watches every store. */
apr_status_t idem_metrics_open(server_rec *s);

/* child_init: from here on this process has gauges. */
void idem_metrics_attach(void);

/* The hook child_status: a child that has ended leaves no gauge behind. */
void idem_metrics_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot, mpm_child_status state);

/* Any thread, also inside a signal handler. */
void idem_metrics_change(idem_gauge gauge, long by);
void idem_metrics_job(idem_job_end end);

/* This process sends the store nothing until it answers again, or sends it calls again. */
void idem_metrics_breaker(const idem_front *front, int is_open);

/* How many processes of the server leave the store of this name out at the moment. */
unsigned long idem_metrics_open_breakers(const char *url);

/* A guarded request has ended; detecting: it was only watched. */
void idem_metrics_request(int detecting, idem_outcome outcome, idem_settlement settlement);

/* The handler idempotency-metrics. */
int idem_metrics_handler(request_rec *r);

/* The same numbers for mod_status, where that is loaded. */
void idem_metrics_status_register(void);

#endif
