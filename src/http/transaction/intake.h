/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake.h - the request body: read ahead before the decision, handed to the handler afterwards, hashed once.
 *
 * The bytes that are read ahead lie in memory up to IdempotencyPrefetch, then in an unlinked temporary file up to
 * IdempotencySpool. A body known to be longer is not read ahead at all: it is hashed while the handler reads it. The
 * input filter stands at AP_FTYPE_CONTENT_SET + 1: it sees the body as sent, after transfer decoding and before content
 * decoders. If another module has read and kept the body, the filter stands above that module's (taken.h).
 */
#ifndef IDEM_INTAKE_H
#define IDEM_INTAKE_H

#include "bodyhash.h"
#include "txn.h"

#include <util_filter.h>

void idem_intake_register(apr_pool_t *pool);

/* Puts the filter into r's input chain, where it is not yet. boundary: see bodyhash.h; NULL for none. */
apr_status_t idem_intake_begin(idem_txn *txn, const char *boundary);
void idem_intake_join(idem_txn *txn, request_rec *r);

/*
 * Reads ahead; where txn->needs_body, also for who only watches, and txn->asked.body is filled. DECLINED where that
 * cannot go on watching. OK, or the HTTP status of a body that could not be read. Nothing is claimed then. txn->problem
 * is set where the fault is not the client's, and a problem is the answer.
 */
int idem_intake_prefetch(idem_txn *txn);

/* Copies what is known of the body into print (a no-op unless the body is one of its parts). */
apr_status_t idem_intake_print(idem_txn *txn, idem_print *print);

/*
 * Makes print's body comparable with kept: reads on, keeping nothing, until as much is hashed as kept has. OK, or the
 * HTTP status of a body that broke off.
 */
int idem_intake_reach(idem_txn *txn, const idem_print *kept, idem_print *print);

int idem_intake_cut(const idem_txn *txn);    /* it broke off while the handler read it */
int idem_intake_unread(const idem_txn *txn); /* its end has not been seen */

/* An input filter hands out its kept bytes, which are not empty, in the way that httpd asks for. */
apr_status_t idem_intake_hand_out(apr_bucket_brigade *kept, apr_bucket_brigade *bb, ap_input_mode_t mode,
                                  apr_read_type_e block, apr_off_t bytes);

#endif
