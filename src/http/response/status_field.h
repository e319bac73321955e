/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status_field.h - the response field that says what the module did with a request (IdempotencyStatusHeader).
 *
 * One member of a structured field's list (RFC 8941), in the manner of Cache-Status (RFC 9211): whose word it is, and
 * parameters. docs/manual.md lists them. All of it is made here, of words of the module's and of numbers.
 */
#ifndef IDEM_STATUS_FIELD_H
#define IDEM_STATUS_FIELD_H

#include "txn.h"

/* The engine has looked at r and does not guard it: why. Where no such field is configured, nothing is done. */
void idem_status_unused(request_rec *r, const char *why);

/* …, of a request that was seen to have no key before anything else of it was read. DECLINED. */
int idem_status_keyless(request_rec *r);

/* Has something been noted for r's chain by idem_status_unused()? */
int idem_status_is_noted(request_rec *r);

/*
 * r's response is about to leave: puts the field there, and drops one of that name that somebody else has made. txn is
 * NULL where r is not guarded. Returns the field's name where there is one, else NULL.
 */
const char *idem_status_put(const idem_txn *txn, request_rec *r);

/* Drops a backend's own field of that name, so that it is not recorded. */
void idem_status_strip(const idem_txn *txn, request_rec *r);

#endif
