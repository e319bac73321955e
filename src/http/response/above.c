/* SPDX-License-Identifier: Apache-2.0 */
/*
 * above.c - sees whether the filters that stand before the recorder let a response through.
 *
 * Called by httpd as an output filter at the top of the chain. A filter may give up in the middle: INCLUDES over a
 * script that hangs, SUBSTITUTE with a line too long. It returns an error to the handler, and many handlers ignore it.
 * Then the recorder would see half a response and an end. Only buffering of small writes (OLD_WRITE) stands above,
 * which must be first to work.
 */
#include "capture.h"

#include <http_protocol.h>

static ap_filter_rec_t *above_handle;

void idem_above_join(idem_txn *txn, request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec == above_handle && f->ctx == txn && f->r == r)
            return;
    ap_add_output_filter_handle(above_handle, txn, r, r->connection);
}

static apr_status_t above_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    idem_txn *txn = f->r ? idem_txn_of(f->r) : NULL;
    apr_status_t rv;

    if (!txn || f->ctx != txn ||
        txn->phase != IDEM_PHASE_RUNNING) { /* done, or somebody else has named it (.htaccess, mod_filter) */
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, in);
    }
    rv = ap_pass_brigade(f->next, in);
    if (rv != APR_SUCCESS && txn->recorder->above == APR_SUCCESS)
        txn->recorder->above = rv;
    return rv;
}

void idem_above_register(void)
{
    above_handle =
        ap_register_output_filter("IDEMPOTENCY_ABOVE", above_filter, NULL, (ap_filter_type)(AP_FTYPE_RESOURCE - 9));
}
