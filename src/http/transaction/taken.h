/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taken.h - a request body that another module has read before the decision: who has it now, and where it is read from.
 */
#ifndef IDEM_TAKEN_H
#define IDEM_TAKEN_H

#include <httpd.h>
#include <util_filter.h>

/* Has anybody asked for r's body yet? */
int idem_body_was_taken(const request_rec *r);

/* Of a body that was taken: has nobody kept it, where one was declared? ours is our filter, which keeps nothing. */
int idem_body_is_lost(const request_rec *r, const ap_filter_t *ours, int declared);

/* Moves ours, one of r's input filters, directly above the topmost one that may have kept some of the body. */
void idem_body_read_through(request_rec *r, ap_filter_t *ours);

#endif
