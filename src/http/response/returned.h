/* SPDX-License-Identifier: Apache-2.0 */
/*
 * returned.h - what it says about a request when its handler returns a status instead of a response.
 */
#ifndef IDEM_RETURNED_H
#define IDEM_RETURNED_H

#include "txn.h"

/* A handler of r returned status, neither OK nor DONE: what was done? txn->heard is what was logged while it ran. */
idem_returned idem_returned_means(const idem_txn *txn, request_rec *r, int status);

/* A handler of r returned rv. Was it mod_proxy, and does rv mean that its backend broke, or that it stopped for a
 * client that left? */
int idem_proxy_broke(const request_rec *r, int rv);

#endif
