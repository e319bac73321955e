/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.h - the specification of a store driver, in executable form.
 *
 * Runs against any driver within its stated limits: what its flags and its largest value say it cannot do is reported
 * as skipped. main() in conformance.c calls it for drivers that work without httpd. For the others a module calls it
 * from inside httpd. A driver of a third party links conformance_*.c the same way.
 */
#ifndef IDEM_CONFORMANCE_H
#define IDEM_CONFORMANCE_H

#include "idem_store.h"

/* How hard to try; {0} is the default, which takes some seconds. */
typedef struct idem_conformance_effort {
    int rounds;    /* of claimers racing for one slot: 10000 */
    int kills;     /* of writers at random points: 40 */
    unsigned seed; /* of the random points: 1 */
} idem_conformance_effort;

/*
 * Configures and opens a store in this process, which must be single-threaded, attached to nothing and allowed to
 * fork; every case then runs in processes of its own. env must outlive the call. select (may be NULL) is a part of the
 * names of the cases to run. Prints a line for each case and "N passed, N failed, N skipped". Returns how many failed.
 */
int idem_conformance_run(const idem_driver *driver, const idem_env *env, const char *rest, const char *const *options,
                         const char *select);

/* Applies to every later run in this process. */
void idem_conformance_set_effort(const idem_conformance_effort *effort);

#endif
