/* SPDX-License-Identifier: Apache-2.0 */
/*
 * detect.h - IdempotencyEngine DetectionOnly: decide, count, log, and let every request execute.
 *
 * A detecting transaction has slots of its own, keeps heads only, reads no body ahead and holds no response back. Its
 * outcome is what it would have done, written as "detected:replayed"; trouble with the store never reaches the client.
 */
#ifndef IDEM_DETECT_H
#define IDEM_DETECT_H

#include "txn.h"

/* The decision would have been an answer: notes it and lets the request go on. Returns DECLINED. */
int idem_detect_pass(idem_txn *txn, idem_outcome outcome);

/* A handler of a detecting owner has returned rv. Settles by what httpd knows; returns rv. */
int idem_detect_conclude(idem_txn *txn, request_rec *r, int rv);

/* At the request's end: a body that was read meanwhile may say that it is another request after all. */
void idem_detect_end(idem_txn *txn);

#endif
