/* SPDX-License-Identifier: Apache-2.0 */
/*
 * recorder.h - the response: held back while it is copied, settled, and let go.
 *
 * The output filter stands at AP_FTYPE_CONTENT_SET - 3: generators and rewriters have run, negotiated encodings have
 * not. It falls off at internal redirects and canned errors and is put back wherever a transaction is running. It
 * decides nothing while a handler runs: an end of stream is held until the handler's return says whether it was the
 * end.
 */
#ifndef IDEM_RECORDER_H
#define IDEM_RECORDER_H

#include "txn.h"

#include <util_filter.h>

void idem_recorder_register(apr_pool_t *pool);

/* Puts the filter into r's output chain, unless it is there. */
void idem_recorder_join(idem_txn *txn, request_rec *r);

#endif
