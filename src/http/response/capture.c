/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.c - takes a response's head before its first byte leaves, and the application's word on the response.
 *
 * Called by the recorder while a response comes, and by conclude.c at its end. What always holds: head and control are
 * taken once, as the handler made them.
 */
#include "capture.h"

#include "chain.h"
#include "compat.h"
#include "identity.h"
#include "log.h"
#include "replay.h"

#include <http_core.h>
#include <http_protocol.h>

void idem_recorder_control(idem_txn *txn, request_rec *r)
{
    idem_control *control = &txn->recorder->control;

    if (txn->recorder->controlled)
        return;
    txn->recorder->controlled = 1;
    idem_control_read(r->headers_out, r->err_headers_out, txn->settings->ttl, r->pool, control);
    if (control->invalid)
        IDEM_LOG(txn, APLOG_WARNING, 33, "ignored %d member(s) of the application's " IDEM_CONTROL_HEADER,
                 control->invalid);
    if (control->ttl)
        txn->head.ttl = control->ttl;
}

/* The response's head as the handler made it: filters further on change the tables with the first brigade. */
void idem_recorder_capture(idem_txn *txn, request_rec *r)
{
    idem_recorder *rec = txn->recorder;

    if (rec->captured)
        return;
    rec->captured = 1;
    idem_recorder_control(txn, r);
    idem_response_strip(txn, r);
    memset(&rec->response, 0, sizeof(rec->response));
    idem_response_of(txn, r, &rec->response);
    if (rec->maker)
        idem_chain_note(&rec->response, rec->maker);
    if (idem_parts_have(txn->settings->fingerprint, IDEM_PART_CREDENTIALS))
        idem_identity_note(&txn->asked, idem_keyring_print_key(txn->ring), &rec->response);
}

apr_off_t idem_recorder_declared(request_rec *r)
{
    const char *field = apr_table_get(r->headers_out, "Content-Length");
    apr_off_t length;

    if (!field)
        field = apr_table_get(r->err_headers_out, "Content-Length");
    return field && ap_parse_strict_length(&length, field) ? length : -1;
}

void idem_recorder_unframe(idem_txn *txn, request_rec *r)
{
    if (txn->recorder->framed)
        r->chunked = txn->recorder->framed = 0;
}
