/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volatile_auth.h - Authorization values that change with every request make every retry look like another request.
 */
#ifndef IDEM_VOLATILE_AUTH_H
#define IDEM_VOLATILE_AUTH_H

#include "txn.h"

/* Warns once per location and child, if the fingerprint holds credentials of a scheme that is not known to be
 * stable. */
void idem_warn_volatile_auth(idem_txn *txn);

#endif
