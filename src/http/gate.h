/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate.h - the handler hook: is this request guarded, and what becomes of it.
 */
#ifndef IDEM_GATE_H
#define IDEM_GATE_H

#include <httpd.h>

/* APR_HOOK_REALLY_FIRST among handlers: runs the real handler itself, and knows what it returned. */
int idem_gate(request_rec *r);

/* log_transaction: gives the last request of a chain, which httpd logs, the variables of the decision. */
int idem_gate_log(request_rec *r);

#endif
