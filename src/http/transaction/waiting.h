/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waiting.h - duplicates that wait for the outcome of the request that has their slot (IdempotencyConcurrent wait).
 */
#ifndef IDEM_WAITING_H
#define IDEM_WAITING_H

#include "txn.h"

/*
 * Waits until the slot holds something else than somebody's lease, or settings->wait has passed since the first call.
 * Returns the event for the lease's table; txn->seen and txn->problem are filled.
 */
idem_event idem_wait(idem_txn *txn);

/* The client cannot be answered any more, as far as httpd can tell without waiting. */
int idem_client_gone(request_rec *r);

#endif
