/* SPDX-License-Identifier: Apache-2.0 */
/*
 * respond.h - a problem becomes an answer: problem+json, or for a client that prefers HTML the server's error page.
 */
#ifndef IDEM_RESPOND_H
#define IDEM_RESPOND_H

#include "txn.h"

#include <util_filter.h>

/*
 * Answers r with txn->problem. Writes through the filters from next on and returns OK. With may_return, that is, in a
 * handler, it may return the status instead, and httpd makes its error page.
 */
int idem_respond(idem_txn *txn, request_rec *r, ap_filter_t *next, int may_return);

#endif
