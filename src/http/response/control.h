/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - Idempotency-Control, the application's word about its own response.
 */
#ifndef IDEM_CONTROL_H
#define IDEM_CONTROL_H

#include <apr_tables.h>
#include <apr_time.h>

#define IDEM_CONTROL_HEADER "Idempotency-Control"
#define IDEM_ERROR_HEADER "Idempotency-Error"

typedef struct idem_control {
    int no_store;
    apr_interval_time_t ttl; /* 0: nothing said */
    int invalid;             /* members that mean nothing */
} idem_control;

/*
 * Fills control from a response's two tables of fields. Every field of that name is a comma list; of all members the
 * last valid one wins, those in errors coming last. An Idempotency-Error by which another guard says that nothing was
 * done counts as no-store, and has the last word.
 */
void idem_control_read(const apr_table_t *fields, const apr_table_t *errors, apr_interval_time_t max_ttl,
                       apr_pool_t *pool, idem_control *control);

#endif
