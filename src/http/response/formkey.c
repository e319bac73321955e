/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formkey.c - the output filter IDEMPOTENCY_FORM: a hidden field with a fresh key in each form of a page.
 *
 * Called by httpd where an administrator, or a tenant, has named the filter. It needs no guard where it runs: it makes
 * pages, whose forms lead to guards. It stands behind generators and rewriters and before the recorder, so a recorded
 * page holds its keys. A client that gets that page again gets the same form, and submits the same operation.
 *
 * What always holds: a page that is not understood leaves as it came, head and all. In one that is, no byte changes or
 * moves: fields are put between them, nothing else. A page that holds a key of its own says that no cache may keep it.
 *
 * The head leaves before the page has been seen to its end. So up to LOOK_MOST bytes wait for a form, for the end, or
 * for a flush. A page that goes on without a form gets the head of a page with one. Memory is bounded by LOOK_MOST and
 * the bucket under hand.
 */
#include "formkey.h"

#include "compat.h"
#include "config.h"
#include "digest.h"
#include "htmlscan.h"
#include "log.h"

#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <util_filter.h>

#define LOOK_MOST 65536
#define PASS_AT 32768
#define ONCE "idempotency-form" /* the note of a response that has an instance of the filter */

/* Behind generators and rewriters, before the recorder (chain.h). */
#define FORM_PLACE ((ap_filter_type)(AP_FTYPE_CONTENT_SET - 4))

typedef struct form_page {
    idem_htmlscan scan;
    int is_xml;
    const char *own[3];       /* authorities that the page's forms may lead to */
    apr_bucket_brigade *done; /* looked at, and not passed on */
    apr_size_t waiting;       /* bytes in it */
    apr_off_t added;          /* bytes of fields in it */
    int has_field, has_data;
    int is_open; /* the head is as it leaves */
} form_page;

/* ---- is it a page ------------------------------------------------------------------------------------------------ */

static const char *out_field(const request_rec *r, const char *name)
{
    const char *value = apr_table_get(r->err_headers_out, name); /* which wins, in the end */
    return value ? value : apr_table_get(r->headers_out, name);
}

/* The charset parameter of a media type, NULL for none. */
static char *charset_of(char *parameters)
{
    char *last, *value;

    for (char *one = apr_strtok(parameters, ";", &last); one; one = apr_strtok(NULL, ";", &last)) {
        one += strspn(one, " \t");
        if (ap_cstr_casecmpn(one, "charset=", 8) != 0)
            continue;
        value = one + 8;
        value += *value == '"';
        value[strcspn(value, "\" \t")] = '\0';
        return value;
    }
    return NULL;
}

/* Whether r's media type is a page's, and in a character set that can be read. *is_known: the type says which. */
static int is_page_type(request_rec *r, int *is_xml, int *is_known)
{
    const char *type = r->content_type ? ap_make_content_type(r, r->content_type) : NULL;
    char *text, *charset;
    apr_size_t len;

    if (!type)
        return 0;
    text = apr_pstrdup(r->pool, type);
    len = strcspn(text, "; \t");
    *is_xml = len == 21 && !ap_cstr_casecmpn(text, "application/xhtml+xml", len);
    if (!*is_xml && (len != 9 || ap_cstr_casecmpn(text, "text/html", len) != 0))
        return 0;
    charset = charset_of(text + len);
    *is_known = charset != NULL;
    return !charset || idem_html_is_plain_charset(charset);
}

static int page_is_coded(request_rec *r)
{
    const char *coding = r->content_encoding ? r->content_encoding : out_field(r, "Content-Encoding");
    return coding && ap_cstr_casecmp(coding, "identity") != 0;
}

/* A part of a page cannot be read, and a file to be saved is no page. An application that says no-transform means it
 * (RFC 9111 5.2.2.6). */
static int is_whole_page(request_rec *r)
{
    const char *disposition = out_field(r, "Content-Disposition"), *caching = out_field(r, "Cache-Control");

    if (r->status < 200 || r->status == HTTP_NO_CONTENT || r->status == HTTP_PARTIAL_CONTENT ||
        r->status == HTTP_NOT_MODIFIED || out_field(r, "Content-Range") || page_is_coded(r))
        return 0;
    if (disposition && !ap_cstr_casecmpn(disposition, "attachment", 10))
        return 0;
    return !caching || !ap_find_token(r->pool, caching, "no-transform");
}

/* "HOST:PORT" in lower case, without the port that its scheme has anyway. */
static const char *authority_of_host(request_rec *r, const char *host)
{
    char *authority = apr_pstrdup(r->pool, host);
    apr_size_t len = strlen(authority);

    ap_str_tolower(authority);
    if (len > 3 && !strcmp(authority + len - 3, ":80"))
        authority[len - 3] = '\0';
    else if (len > 4 && !strcmp(authority + len - 4, ":443"))
        authority[len - 4] = '\0';
    return authority;
}

static void name_own(form_page *page, request_rec *r)
{
    const char *host = apr_table_get(r->headers_in, "Host"), *name = r->server->server_hostname;
    int n = 0;

    if (host && *host)
        page->own[n++] = authority_of_host(r, host);
    if (name)
        page->own[n++] = authority_of_host(
            r, r->server->port ? apr_psprintf(r->pool, "%s:%u", name, (unsigned)r->server->port) : name);
    page->own[n] = NULL;
}

/* NULL for what is not understood, a part of a page, or a page that another instance of the filter looks at. */
static form_page *page_begin(ap_filter_t *f)
{
    request_rec *r = f->r;
    form_page *page;
    int is_xml, is_known;

    if (!r || r->main || apr_table_get(r->notes, ONCE) || !is_page_type(r, &is_xml, &is_known) || !is_whole_page(r))
        return NULL;
    apr_table_setn(r->notes, ONCE, "1");
    page = apr_pcalloc(r->pool, sizeof(*page));
    page->is_xml = is_xml;
    page->done = apr_brigade_create(r->pool, f->c->bucket_alloc);
    name_own(page, r);
    idem_htmlscan_begin(&page->scan, is_xml, is_known, page->own);
    f->ctx = page;
    return page;
}

/* A copy from before the filter was there must not be found to be good still. Only where the type is known before: for
 * files. */
static int formkey_init(ap_filter_t *f)
{
    int is_xml, is_known;

    if (f->r && !f->r->main && f->r->method_number == M_GET && is_page_type(f->r, &is_xml, &is_known))
        f->r->no_local_copy = 1;
    return OK;
}

/* ---- the head ---------------------------------------------------------------------------------------------------- */

static void unset_out(request_rec *r, const char *name)
{
    apr_table_unset(r->headers_out, name);
    apr_table_unset(r->err_headers_out, name);
}

/* Cache-Control for one kind of cache: CDN-Cache-Control and the like (RFC 9213). */
static void unset_targeted(request_rec *r, const apr_table_t *fields)
{
    static const char suffix[] = "-Cache-Control";
    const apr_array_header_t *elts = apr_table_elts(apr_table_copy(r->pool, fields));

    for (int i = 0; i < elts->nelts; i++) {
        const char *name = APR_ARRAY_IDX(elts, i, const apr_table_entry_t).key;
        apr_size_t len = name ? strlen(name) : 0;

        if (len >= sizeof(suffix) && !ap_cstr_casecmp(name + len - (sizeof(suffix) - 1), suffix))
            unset_out(r, name);
    }
}

/* is_whole: all of it is at hand, fields and all. */
static void set_length(const form_page *page, request_rec *r, int is_whole)
{
    const char *field = out_field(r, "Content-Length");
    apr_off_t length;

    if (!field)
        return;
    if (is_whole && ap_parse_strict_length(&length, field)) {
        apr_table_unset(r->err_headers_out, "Content-Length");
        ap_set_content_length(r, length + page->added);
        return;
    }
    unset_out(r, "Content-Length");
    r->clength = 0;
}

/* No two answers are the same bytes: nothing may be compared, put together of ranges, or kept. */
static void change_head(form_page *page, request_rec *r, int is_whole)
{
    static const char *const stale[] = {
        "ETag",        "Last-Modified", "Content-MD5",       "Digest",          "Content-Digest",
        "Repr-Digest", "Expires",       "Surrogate-Control", "X-Accel-Expires", "Cache-Control",
        NULL};
    static const char *const ranges[] = {"Range", "Request-Range", "If-Range", NULL};

    if (page->is_open)
        return;
    page->is_open = 1;
    for (const char *const *name = stale; *name; name++)
        unset_out(r, *name);
    for (const char *const *name = ranges; *name; name++)
        apr_table_unset(r->headers_in, *name); /* which httpd's filter would cut out of this answer */
    unset_targeted(r, r->headers_out);
    unset_targeted(r, r->err_headers_out);
    unset_out(r, "Accept-Ranges");
    apr_table_setn(r->headers_out, "Cache-Control", "private, no-store");
    apr_table_setn(r->subprocess_env, "no-cache", "1"); /* mod_cache's, whatever it was told to store */
    apr_table_setn(r->headers_out, "Accept-Ranges", "none");
    set_length(page, r, is_whole);
}

/* ---- the body ---------------------------------------------------------------------------------------------------- */

static apr_status_t page_pass(ap_filter_t *f, form_page *page)
{
    apr_status_t rv = ap_pass_brigade(f->next, page->done);

    apr_brigade_cleanup(page->done);
    page->waiting = 0;
    return rv;
}

/* A version 4 UUID, which IdempotencyKeyFormat uuid takes. */
static apr_status_t make_form_key(char text[37])
{
    unsigned char b[16];
    apr_status_t rv = idem_random(b, sizeof(b));

    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    apr_snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                 b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return rv;
}

/* Browsers restore what they think a user has typed: autocomplete="off" keeps an old key out of a new page. */
static apr_status_t add_field(ap_filter_t *f, form_page *page)
{
    char key[37], *field;
    apr_size_t len;
    apr_status_t rv = make_form_key(key);

    if (rv != APR_SUCCESS) {
        IDEM_SLOG(f->r->server, APLOG_ERR, 180,
                  "OpenSSL gave no random bytes for a form's key: the forms of this page have no key");
        return rv;
    }
    field = apr_psprintf(f->r->pool, "<input type=\"hidden\" name=\"%s\" value=\"%s\" autocomplete=\"off\"%s>",
                         idem_settings_of(f->r)->form_field, key, page->is_xml ? " /" : "");
    len = strlen(field);
    APR_BRIGADE_INSERT_TAIL(page->done, apr_bucket_pool_create(field, len, f->r->pool, f->c->bucket_alloc));
    page->has_field = 1;
    page->waiting += len;
    page->added += (apr_off_t)len;
    return APR_SUCCESS;
}

/* What the next filter is not to see yet must outlive this call. */
static void hold_page(form_page *page, apr_bucket *b, apr_pool_t *pool)
{
    APR_BUCKET_REMOVE(b);
    APR_BRIGADE_INSERT_TAIL(page->done, b);
    page->waiting += APR_BUCKET_IS_METADATA(b) ? 0 : b->length;
    if (!page->is_open)
        apr_bucket_setaside(b, pool); /* of what was read, no kind refuses */
}

/* Nothing more will be added: the rest goes its way as if there were no filter. */
static apr_status_t leave_page(ap_filter_t *f, form_page *page, apr_bucket_brigade *in)
{
    if (page->has_field)
        change_head(page, f->r, 0);
    APR_BRIGADE_CONCAT(page->done, in);
    ap_remove_output_filter(f);
    return page_pass(f, page);
}

static apr_status_t flush_page(ap_filter_t *f, form_page *page)
{
    change_head(page, f->r, 0);
    APR_BRIGADE_INSERT_TAIL(page->done, apr_bucket_flush_create(f->c->bucket_alloc));
    return page_pass(f, page);
}

/* A page that is written slowly is shown slowly: the bytes so far go on before the filter waits for more. */
static apr_status_t read_page(ap_filter_t *f, form_page *page, apr_bucket *b, const char **data, apr_size_t *len)
{
    apr_status_t rv = apr_bucket_read(b, data, len, APR_NONBLOCK_READ);

    if (!APR_STATUS_IS_EAGAIN(rv))
        return rv;
    if (page->is_open || page->waiting) {
        rv = flush_page(f, page);
        if (rv != APR_SUCCESS)
            return rv;
    }
    return apr_bucket_read(b, data, len, APR_BLOCK_READ);
}

/* Moves what b holds into done, with a field behind each tag that wants one. */
static apr_status_t scan_data(ap_filter_t *f, form_page *page, apr_bucket_brigade *in, const char *data, apr_size_t len)
{
    apr_status_t rv = APR_SUCCESS;

    page->has_data |= len > 0;
    do {
        apr_bucket *b = APR_BRIGADE_FIRST(in);
        int due;
        apr_size_t used = idem_htmlscan_feed(&page->scan, data, len, &due);

        if (used && used < len)
            rv = apr_bucket_split(b, used);
        if (rv != APR_SUCCESS)
            return rv;
        if (used || !due) /* an empty bucket goes its way, too */
            hold_page(page, b, f->r->pool);
        if (due)
            rv = add_field(f, page);
        data += used;
        len -= used;
    } while (rv == APR_SUCCESS && len);
    return rv;
}

/* *gone: the filter has left the chain. */
static apr_status_t take_page_data(ap_filter_t *f, form_page *page, apr_bucket_brigade *in, int *gone)
{
    const char *data;
    apr_size_t len;
    apr_status_t rv = read_page(f, page, APR_BRIGADE_FIRST(in), &data, &len);

    /* What cannot be read goes to who would have read it. */
    *gone = rv != APR_SUCCESS || scan_data(f, page, in, data, len) != APR_SUCCESS || idem_htmlscan_is_lost(&page->scan);
    if (*gone)
        return leave_page(f, page, in);
    if (page->waiting > LOOK_MOST)
        change_head(page, f->r, 0);
    return page->is_open && page->waiting > PASS_AT ? page_pass(f, page) : APR_SUCCESS;
}

/* An answer to HEAD has the head of a page that nobody sees: it may have forms. */
static apr_status_t end_page(ap_filter_t *f, form_page *page, apr_bucket_brigade *in)
{
    if (page->has_field)
        change_head(page, f->r, 1);
    else if (!page->has_data && f->r->header_only)
        change_head(page, f->r, 0);
    return leave_page(f, page, in);
}

static apr_status_t form_filter(ap_filter_t *f, apr_bucket_brigade *in)
{
    form_page *page = f->ctx;
    apr_status_t rv = APR_SUCCESS;
    int gone = 0;

    if (APR_BRIGADE_EMPTY(in))
        return APR_SUCCESS;
    if (!page && !(page = page_begin(f))) {
        ap_remove_output_filter(f);
        return ap_pass_brigade(f->next, in);
    }
    while (rv == APR_SUCCESS && !gone && !APR_BRIGADE_EMPTY(in)) {
        apr_bucket *b = APR_BRIGADE_FIRST(in);

        if (!APR_BUCKET_IS_METADATA(b)) {
            rv = take_page_data(f, page, in, &gone);
        }
        else if (APR_BUCKET_IS_EOS(b) || AP_BUCKET_IS_ERROR(b)) {
            return end_page(f, page, in);
        }
        else if (APR_BUCKET_IS_FLUSH(b)) {
            apr_bucket_delete(b);
            rv = flush_page(f, page);
        }
        else {
            hold_page(page, b, f->r->pool);
        }
    }
    if (rv == APR_SUCCESS && !gone && page->is_open && !APR_BRIGADE_EMPTY(page->done))
        rv = page_pass(f, page);
    return rv;
}

void idem_formkey_register(void)
{
    ap_register_output_filter("IDEMPOTENCY_FORM", form_filter, formkey_init, FORM_PLACE);
}
