/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expose.c - the last look at the headers, behind mod_headers' filters (AP_FTYPE_CONTENT_SET) and before the
 * protocol's.
 *
 * It acts at the first brigade of a response, then it removes itself. An empty brigade counts, too: a response that
 * flows begins with one, and httpd sends the head behind it.
 */
#include "expose.h"

#include "config.h"
#include "control.h"
#include "execution.h"
#include "lookup.h"
#include "status_field.h"
#include "txn.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#define EXPOSE "Access-Control-Expose-Headers"
#define APPLIED "Preference-Applied"

static ap_filter_rec_t *expose_handle;
static char inserted_by_us; /* its address is the context of each filter of ours */

static const char *header_out(request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->err_headers_out, name);

    return value ? value : apr_table_get(r->headers_out, name);
}

static void expose_one(request_rec *r, const char *name)
{
    apr_table_t *table = apr_table_get(r->err_headers_out, EXPOSE) ? r->err_headers_out : r->headers_out;
    const char *listed = apr_table_get(table, EXPOSE);

    if (listed && (ap_find_token(r->pool, listed, name) || !strcmp(listed, "*")))
        return;
    apr_table_setn(table, EXPOSE, listed ? apr_pstrcat(r->pool, listed, ", ", name, NULL) : name);
}

/* Nobody else sees the response of a request that is only watched. */
static void note_control(idem_txn *txn, request_rec *r)
{
    idem_control control;

    idem_control_read(r->headers_out, r->err_headers_out, txn->settings->ttl, r->pool, &control);
    txn->app_says_no_store = control.no_store;
}

static void expose_ours(const idem_txn *txn, request_rec *r, const char *status)
{
    if (status)
        expose_one(r, status);
    if (!txn || txn->detecting)
        return;
    if (txn->settings->replayed_header)
        expose_one(r, txn->settings->replayed_header);
    expose_one(r, IDEM_ERROR_HEADER);
    expose_one(r, "Retry-After");
    if (txn->lookup)
        expose_one(r, APPLIED);
}

static apr_status_t expose_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    const char *status;
    idem_txn *txn;

    if (f->ctx !=
        &inserted_by_us) { /* named by somebody else (.htaccess, mod_filter), perhaps where the engine is off */
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, bb);
    }
    txn = idem_txn_of(r);
    if (txn && txn->unguarded)
        txn = NULL;
    if (!txn && idem_execution_passing(r)) { /* what the application says is for the guard that decided */
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, bb);
    }
    if (txn && txn->detecting)
        note_control(txn, r);
    apr_table_unset(r->headers_out, IDEM_CONTROL_HEADER);
    apr_table_unset(r->err_headers_out, IDEM_CONTROL_HEADER);
    if (txn && txn->lookup) /* beside those that the record may have */
        apr_table_addn(r->err_headers_out, APPLIED, IDEM_LOOKUP_APPLIED);
    status = idem_status_put(txn, r);
    if (header_out(r, "Access-Control-Allow-Origin"))
        expose_ours(txn, r, status);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void idem_expose_join(request_rec *r)
{
    for (ap_filter_t *f = r->output_filters; f; f = f->next)
        if (f->frec == expose_handle && f->ctx == &inserted_by_us && f->r == r)
            return;
    ap_add_output_filter_handle(expose_handle, &inserted_by_us, r, r->connection);
}

/* Where the engine is off, only a chain that began elsewhere or a place with a status header can have a note. */
static int may_be_noted(request_rec *r)
{
    return r->prev || idem_settings_of(r)->status_header;
}

static void insert_expose(request_rec *r)
{
    if (!r->main &&
        (idem_engine_of(r) != IDEM_ENGINE_OFF || idem_txn_of(r) || (may_be_noted(r) && idem_status_is_noted(r))))
        idem_expose_join(r);
}

void idem_expose_register(apr_pool_t *pool)
{
    (void)pool;
    expose_handle = ap_register_output_filter("IDEMPOTENCY_EXPOSE", expose_filter, NULL,
                                              (ap_filter_type)(AP_FTYPE_CONTENT_SET + 2));
    ap_hook_insert_filter(insert_expose, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(insert_expose, NULL, NULL, APR_HOOK_LAST);
}
