/* SPDX-License-Identifier: Apache-2.0 */
/*
 * naming.h - a request's slot, its fingerprint, and its key where it brings none and may be its own.
 */
#ifndef IDEM_NAMING_H
#define IDEM_NAMING_H

#include "txn.h"

/* Names txn's slot and its counter of new keys. Errors are logged. */
apr_status_t idem_name_slot(idem_txn *txn, idem_blob key);

/* Fills txn's fingerprint, as far as the body is known. */
apr_status_t idem_take_print(idem_txn *txn);

/* IdempotencyKey fingerprint: a key that only the same client gets for the same request. The body has been read whole.
 */
apr_status_t idem_key_of_request(idem_txn *txn, idem_blob *key);

#endif
