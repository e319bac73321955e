/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.c - where a response is recorded in a request's chain of output filters, and where a replay of it enters.
 *
 * Called by the recorder with the first bytes of a response, and by gate and recorder before something is sent that no
 * handler wrote. The types of its filters order a chain, whoever put them there and whenever. So a type is a place
 * that two requests have in common, however their chains differ.
 */
#include "chain.h"

#include <apr_cstr.h>
#include <apr_strings.h>
#include <http_protocol.h>

#define BY_TYPE "BYTYPE:" /* how mod_filter names what AddOutputFilterByType adds */
#define MAKER_NOTE "maker"

/* Filters of httpd that stand behind the recorder: they leave a body as it is, or code it for the client. */
/* clang-format off */
static const char *const leaves_body[] = {
    "DEFLATE", "BROTLI_COMPRESS", "FIXUP_HEADERS_OUT", "FIXUP_HEADERS_ERR", "MOD_EXPIRES", "MOD_SESSION_OUT", "BUFFER",
    "CACHE_SAVE", "CACHE_SAVE_SUBREQ", "CACHE_OUT", "SUBREQ_CORE", "IDEMPOTENCY_OUT", NULL,
};
/* clang-format on */

/* mod_xsendfile: without one of the headers it does nothing. */
#define SENDFILE "XSENDFILE"
static const char *const names_file[] = {"X-Sendfile", "X-Sendfile-Temporary", NULL};

/* ---- what a filter is -------------------------------------------------------------------------------------------- */

typedef enum filter_kind {
    LEAVES_BODY,
    MAKES_OF_HEADER,
    IS_HARNESS, /* mod_filter's: on the server's behalf it is any other filter, and it does not say which */
    IS_UNKNOWN
} filter_kind;

static int is_among(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (!apr_cstr_casecmp(name, *list))
            return 1;
    return 0;
}

static filter_kind filter_kind_of(const ap_filter_t *f)
{
    const char *name = f->frec->name;

    if (!apr_cstr_casecmpn(name, BY_TYPE, strlen(BY_TYPE)))
        name += strlen(BY_TYPE);
    if (is_among(name, leaves_body))
        return LEAVES_BODY;
    if (!apr_cstr_casecmp(name, SENDFILE))
        return MAKES_OF_HEADER;
    return f->frec->providers ? IS_HARNESS : IS_UNKNOWN;
}

/* Is f one of r's own filters, and before expose.c, which looks at what all of them made of the headers? */
static int is_content_filter(const request_rec *r, const ap_filter_t *f)
{
    return f && f->r == r && f->frec->ftype < (ap_filter_type)(AP_FTYPE_CONTENT_SET + 2);
}

/* ---- does the response name a file ------------------------------------------------------------------------------- */

static int file_is_named(request_rec *r)
{
    for (const char *const *name = names_file; *name; name++) {
        const char *out = apr_table_get(r->headers_out, *name), *err = apr_table_get(r->err_headers_out, *name);

        if ((out && *out) || (err && *err))
            return 1;
    }
    return 0;
}

static apr_status_t swallow_brigade(ap_filter_t *f, apr_bucket_brigade *bb)
{
    (void)f;
    return apr_brigade_cleanup(bb);
}

/* Lets mod_headers' filter do its work on a copy of the request: it looks at the head alone, and acts on its first
 * brigade, empty or not. */
static int is_named_by_headers(request_rec *r, const ap_filter_t *fixup)
{
    ap_filter_rec_t end = {.name = "end", .filter_func.out_func = swallow_brigade, .ftype = AP_FTYPE_CONTENT_SET};
    request_rec *copy = apr_pmemdup(r->pool, r, sizeof(*r));
    ap_filter_t last = {.frec = &end, .r = copy, .c = fixup->c}, trial = *fixup;
    apr_bucket_brigade *nothing = apr_brigade_create(r->pool, fixup->c->bucket_alloc);

    copy->headers_out = apr_table_copy(r->pool, r->headers_out);
    copy->err_headers_out = apr_table_copy(r->pool, r->err_headers_out);
    copy->notes = apr_table_copy(r->pool, r->notes);
    copy->output_filters = &trial;
    trial.r = copy;
    trial.next = &last;
    trial.frec->filter_func.out_func(&trial, nothing);
    apr_brigade_destroy(nothing);
    return file_is_named(copy);
}

/* The response names a file as it is, or will when mod_headers has done with it. */
static int file_will_be_named(request_rec *r, ap_filter_t *next)
{
    if (file_is_named(r))
        return 1;
    for (ap_filter_t *f = next; is_content_filter(r, f); f = f->next)
        if (!apr_cstr_casecmp(f->frec->name, "FIXUP_HEADERS_OUT"))
            return is_named_by_headers(r, f);
    return 0;
}

/* ---- makers ------------------------------------------------------------------------------------------------------ */

ap_filter_t *idem_chain_maker(request_rec *r, ap_filter_t *next)
{
    ap_filter_t *maker = NULL;
    int named = -1; /* not looked at */

    for (ap_filter_t *f = next; is_content_filter(r, f); f = f->next) {
        filter_kind kind = filter_kind_of(f);

        if (kind == LEAVES_BODY || (kind == IS_HARNESS && !ap_get_output_filter_handle(SENDFILE)))
            continue;
        if (kind != IS_UNKNOWN && named < 0)
            named = file_will_be_named(r, next);
        if (kind == IS_UNKNOWN || named)
            maker = f;
    }
    return maker;
}

void idem_chain_note(idem_response *response, const char *maker)
{
    idem_field *note = apr_array_push(response->fields);

    note->name = MAKER_NOTE;
    note->value = maker;
    note->flags = IDEM_FIELD_NOTE;
}

static const char *maker_of(const idem_response *record)
{
    for (int i = 0; record->fields && i < record->fields->nelts; i++) {
        const idem_field *field = &APR_ARRAY_IDX(record->fields, i, const idem_field);

        if ((field->flags & IDEM_FIELD_NOTE) && !strcmp(field->name, MAKER_NOTE))
            return field->value;
    }
    return NULL;
}

/* ---- where to enter ---------------------------------------------------------------------------------------------- */

ap_filter_t *idem_chain_entry(request_rec *r)
{
    ap_filter_t *f = r->output_filters;

    while (f && f->r == r && f->frec->ftype <= IDEM_CHAIN_PLACE)
        f = f->next;
    return f;
}

/* Where the maker is not there any more: all that might have stood before it has seen the bytes, too. */
static ap_filter_t *behind_maker(request_rec *r, const char *maker)
{
    ap_filter_t *f = idem_chain_entry(r);

    for (; is_content_filter(r, f) && f->frec->ftype <= AP_FTYPE_CONTENT_SET; f = f->next)
        if (!apr_cstr_casecmp(f->frec->name, maker))
            return f->next;
    return f;
}

ap_filter_t *idem_chain_replay_entry(request_rec *r, const idem_response *record)
{
    const char *maker = maker_of(record);

    if (maker)
        return behind_maker(r, maker);
    for (ap_filter_t *f = idem_chain_entry(r); is_content_filter(r, f); f = f->next)
        if (filter_kind_of(f) == MAKES_OF_HEADER || filter_kind_of(f) == IS_UNKNOWN)
            ap_remove_output_filter(f);
    return idem_chain_entry(r);
}
