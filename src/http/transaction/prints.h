/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prints.h - the fingerprint of a transaction's request: only the parts that are needed, in the form that is asked for.
 */
#ifndef IDEM_PRINTS_H
#define IDEM_PRINTS_H

#include "txn.h"

/* Condenses count values into txn->head.print. They are kept, for what is told later; the strings are not copied. */
apr_status_t idem_prints_take(idem_txn *txn, const idem_part_value *values, int count);

/* Before the print is written: the digest of each part is in it. */
apr_status_t idem_prints_tell(idem_txn *txn);

/* txn's print in the form of kept, without what is said of the body; with the parts. NULL where none could be made. */
const idem_print *idem_prints_like(idem_txn *txn, const idem_print *kept);

#endif
