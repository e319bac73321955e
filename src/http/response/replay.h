/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay.h - a record becomes a response again; and a response becomes a record.
 */
#ifndef IDEM_REPLAY_H
#define IDEM_REPLAY_H

#include "txn.h"

#include <util_filter.h>

/*
 * The answer of r, as the record keeps it: status, reason, type, and the fields of both tables in order. Fields that
 * are never kept (docs/manual.md) are left out. The body is the caller's. Lives in r->pool.
 */
void idem_response_of(const idem_txn *txn, request_rec *r, idem_response *response);

/* Is the record coded in a way that r's client refuses and nobody here can undo? Then txn->problem and txn->detail say
 * so. */
int idem_replay_refused(idem_txn *txn, request_rec *r);

/* Answers r from txn->seen.response through the output filters from next on. Returns OK. */
int idem_replay(idem_txn *txn, request_rec *r, ap_filter_t *next);

/* Removes from r's response what only the module may send: the control header, and a handler's own replay marker. */
void idem_response_strip(const idem_txn *txn, request_rec *r);

#endif
