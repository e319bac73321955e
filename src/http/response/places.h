/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.h - where inside the server an execution went on to, and whether a replay's client may go there.
 *
 * Per-directory rewrites, Action, a script's local Location, type maps and ErrorDocuments lead to other places. Each
 * place has access checks of its own. DirectoryIndex and content negotiation lead there in place. A record remembers
 * them. A replay runs no handler, so it would pass none of these checks: it asks them here. A record of one place has
 * none, and asks nothing.
 */
#ifndef IDEM_PLACES_H
#define IDEM_PLACES_H

#include "txn.h"

/* The handler of r, a request of txn's chain, is about to be entered: notes where that is. */
void idem_places_enter(idem_txn *txn, request_rec *r);

/* Asks httpd's access checks for each place of the record in txn->seen, on behalf of r. OK, or the status they refuse
 * with. */
int idem_places_ask(idem_txn *txn, request_rec *r);

/*
 * A check of httpd's has refused r, the end of a chain, before anything can have acted. Only rewrites and Actions led
 * there, and they hand a request on as it is.
 */
int idem_places_refused(const idem_txn *txn, const request_rec *r);

void idem_places_register(void);

#endif
