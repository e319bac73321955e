/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formstrip.c - the input filter IDEMPOTENCY_FORM: takes the hidden field with the key out of what the application
 * reads.
 *
 * Called by httpd where the filter is named. A handler must know the body's length before it reads. So a hook before it
 * reads the beginning of the body. That hook runs behind the gate, which calls the handlers itself, and has its key and
 * its fingerprint by then. So a guard compares what the client sent, and the application sees what is left.
 *
 * What always holds: the filter stands above all others, also above those that kept or decoded the body. A chain of
 * internal redirects has one state: the next handler goes on where the last one stopped. Limits: the field is looked
 * for in the first WINDOW bytes. The output filter puts it first.
 */
#include "formstrip.h"

#include "compat.h"
#include "config.h"
#include "bodyhash.h"
#include "formcut.h"
#include "intake.h"

#include <apr_strings.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>

#define WINDOW 65536
#define STRIP_STATE "mod_idempotency form"

/* Above RESOURCE, where mod_request and others keep bodies. */
#define STRIP_PLACE ((ap_filter_type)(AP_FTYPE_RESOURCE - 8))

typedef struct form_strip {
    apr_bucket_brigade *kept; /* read ahead, the field taken out, and not handed out */
    int is_whole;             /* the end was seen */
} form_strip;

static ap_filter_rec_t *strip_handle;

/* ---- the beginning of a body ------------------------------------------------------------------------------------- */

/* Reads up to WINDOW bytes of what f's next filter gives. */
static apr_status_t strip_read(form_strip *strip, ap_filter_t *f, char *window, apr_size_t *len)
{
    apr_bucket_brigade *in = apr_brigade_create(f->r->pool, f->c->bucket_alloc);
    apr_status_t rv = APR_SUCCESS;

    *len = 0;
    while (rv == APR_SUCCESS && !strip->is_whole && *len < WINDOW) {
        rv = ap_get_brigade(f->next, in, AP_MODE_READBYTES, APR_BLOCK_READ, (apr_off_t)(WINDOW - *len));
        if (rv == APR_SUCCESS && APR_BRIGADE_EMPTY(in))
            rv = APR_EOF;
        for (apr_bucket *b = APR_BRIGADE_FIRST(in); rv == APR_SUCCESS && b != APR_BRIGADE_SENTINEL(in);
             b = APR_BUCKET_NEXT(b)) {
            const char *data;
            apr_size_t size = 0;

            strip->is_whole |= APR_BUCKET_IS_EOS(b);
            if (AP_BUCKET_IS_ERROR(b))
                rv = APR_EGENERAL;
            else if (!APR_BUCKET_IS_METADATA(b))
                rv = apr_bucket_read(b, &data, &size, APR_BLOCK_READ);
            if (rv == APR_SUCCESS && size > WINDOW - *len)
                rv = APR_EGENERAL; /* more than was asked for */
            if (rv == APR_SUCCESS && size)
                memcpy(window + *len, data, size);
            *len += rv == APR_SUCCESS ? size : 0;
        }
        apr_brigade_cleanup(in);
    }
    apr_brigade_destroy(in);
    return rv;
}

/* boundary NULL: urlencoded. */
static apr_status_t strip_take(form_strip *strip, ap_filter_t *f, const char *boundary)
{
    request_rec *r = f->r;
    const char *name = idem_settings_of(r)->form_field, *field = apr_table_get(r->headers_in, "Content-Length");
    char *window = apr_palloc(r->pool, WINDOW);
    apr_size_t len, left;
    apr_off_t declared;
    apr_status_t rv = strip_read(strip, f, window, &len);

    if (rv != APR_SUCCESS)
        return rv;
    left = boundary ? idem_formcut_multipart(window, len, boundary, name)
                    : idem_formcut_urlencoded(window, len, strip->is_whole, name);
    if (left)
        APR_BRIGADE_INSERT_TAIL(strip->kept, apr_bucket_pool_create(window, left, r->pool, f->c->bucket_alloc));
    if (field && ap_parse_strict_length(&declared, field) && declared >= (apr_off_t)(len - left))
        apr_table_set(r->headers_in, "Content-Length", apr_off_t_toa(r->pool, declared - (apr_off_t)(len - left)));
    return APR_SUCCESS;
}

/* ---- before a handler -------------------------------------------------------------------------------------------- */

/* The instance that the configuration has named; it does nothing itself. */
static ap_filter_t *strip_named(const request_rec *r)
{
    ap_filter_t *f = r->input_filters;

    while (f && (f->frec != strip_handle || f->r != r))
        f = f->next;
    return f;
}

/* Is the body a form's? *boundary: NULL for a urlencoded one. */
static int is_form(const request_rec *r, const char **boundary)
{
    const char *type = apr_table_get(r->headers_in, "Content-Type"), *rest;
    apr_size_t len = type ? strcspn(type, "; \t") : 0;

    if (!type)
        return 0;
    *boundary = NULL;
    if (len == 33 && !ap_cstr_casecmpn(type, "application/x-www-form-urlencoded", len))
        return 1;
    if (len != 19 || ap_cstr_casecmpn(type, "multipart/form-data", len) != 0)
        return 0;
    *boundary = idem_multipart_boundary(type, r->pool, &rest);
    return *boundary != NULL;
}

static int has_body(const request_rec *r)
{
    const char *length = apr_table_get(r->headers_in, "Content-Length");

    return (length && strcmp(length, "0") != 0) || apr_table_get(r->headers_in, "Transfer-Encoding") ||
           r->proto_num >= HTTP_VERSION(2, 0);
}

/* The topmost filter of r. */
static ap_filter_t *strip_join(form_strip *strip, request_rec *r)
{
    ap_filter_t *f;

    while ((f = strip_named(r)))
        ap_remove_input_filter(f);
    f = ap_add_input_filter_handle(strip_handle, strip, r, r->connection);
    /* As the intake does: what is left of the body has the length that the field says, so mod_proxy need not store it.
     */
    if (idem_is_proxied(r) && apr_table_get(r->headers_in, "Content-Length") && f->next == r->proto_input_filters)
        r->proto_input_filters = f;
    return f;
}

static int strip_before_handler(request_rec *r)
{
    void *found = NULL;
    const char *boundary;
    ap_filter_t *named;
    form_strip *strip;
    apr_status_t rv;

    if (r->main || r->method_number == M_GET || !r->input_filters)
        return DECLINED;
    if (r->prev)
        apr_pool_userdata_get(&found, STRIP_STATE, r->pool);
    strip = found;
    named = strip_named(r);
    if (strip) {
        if (!named || named->ctx != strip)
            strip_join(strip, r);
        return DECLINED;
    }
    if (!named || !is_form(r, &boundary) || !has_body(r))
        return DECLINED;
    if (named->ctx)
        return DECLINED; /* done: a handler has called the handlers once more */
    strip = apr_pcalloc(r->pool, sizeof(*strip));
    strip->kept = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    apr_pool_userdata_setn(strip, STRIP_STATE, NULL, r->pool);
    rv = strip_take(strip, strip_join(strip, r), boundary);
    return rv == APR_SUCCESS ? DECLINED : ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
}

/* ---- the filter -------------------------------------------------------------------------------------------------- */

static apr_status_t strip_filter(ap_filter_t *f, apr_bucket_brigade *bb, ap_input_mode_t mode, apr_read_type_e block,
                                 apr_off_t bytes)
{
    form_strip *strip = f->ctx;

    if (!strip || mode == AP_MODE_INIT || mode == AP_MODE_EATCRLF)
        return ap_get_brigade(f->next, bb, mode, block, bytes);
    if (!APR_BRIGADE_EMPTY(strip->kept))
        return idem_intake_hand_out(strip->kept, bb, mode, block, bytes);
    if (!strip->is_whole)
        return ap_get_brigade(f->next, bb, mode, block, bytes);
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(f->c->bucket_alloc));
    return APR_SUCCESS;
}

void idem_formstrip_register(void)
{
    strip_handle = ap_register_input_filter("IDEMPOTENCY_FORM", strip_filter, NULL, STRIP_PLACE);
    /* Behind the gate, before every real handler. */
    ap_hook_handler(strip_before_handler, NULL, NULL, APR_HOOK_REALLY_FIRST + 1);
}
