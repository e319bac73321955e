/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conclude.h - the verdict on a response that has come to its end.
 */
#ifndef IDEM_CONCLUDE_H
#define IDEM_CONCLUDE_H

#include "txn.h"

#include <util_filter.h>

/*
 * The handler of r has returned rv. Settles what it answered and passes it on, or leaves the settlement to the error
 * page that is to come. Returns what the handler hook must return.
 */
int idem_recorder_conclude(idem_txn *txn, request_rec *r, int rv);

/* Is status one of IdempotencyReleaseStatus? */
int idem_is_release_status(const idem_txn *txn, int status);

/* The end of a page that httpd made of an error status after the handler's return. Settles it and lets it go. */
apr_status_t idem_recorder_finish_page(idem_txn *txn, ap_filter_t *f);

#endif
