/* SPDX-License-Identifier: Apache-2.0 */
/*
 * found.h - what a request found in its slot, in words for the log.
 */
#ifndef IDEM_FOUND_H
#define IDEM_FOUND_H

#include "txn.h"

/*
 * "; the slot holds a lease since 2026-11-30T20:15:00.123Z, attempt 2, its owner lives: 1f…": the entry, its beginning
 * and its owner, as far as the store knows them. "" where the slot was not looked at, or was empty.
 */
const char *idem_found_text(const idem_txn *txn);

#endif
