/* SPDX-License-Identifier: Apache-2.0 */
/*
 * places.c - the places of an execution: noted as its handlers are entered, asked again for each replay.
 *
 * Called by the gate and by conclude.c. A sub-request look-up asks a place. It ends when httpd has run access,
 * authentication and authorization: nothing is rewritten or negotiated, no handler runs. These checks see a look-up as
 * they saw the place at first: a request that httpd redirected internally. It has a predecessor, whose variables are
 * named REDIRECT_…, and the status and method of then. A place that was taken in place (DirectoryIndex) was a look-up
 * at first, too.
 *
 * Limits: IDEM_PLACES_MAX places; an execution that went further leaves a tombstone. Variables that a place's own
 * configuration sets behind the checks (SetEnv) are not there for the next place's.
 */
#include "places.h"

#include "intake.h"
#include "log.h"

#include <apr_strings.h>
#include <http_config.h>
#include <http_protocol.h>
#include <http_request.h>

/* One look-up while it is under way. */
struct idem_look_up {
    const idem_place *place;
    request_rec *from;        /* whence httpd was led there: the request itself, or the look-up before */
    const request_rec *asked; /* the look-up's request, once it has begun */
    int passed;
};

/* ---- noting ------------------------------------------------------------------------------------------------------ */

static void note_place(idem_txn *txn, const char *uri, const char *method, int status)
{
    idem_place *place;

    if (!txn->places)
        txn->places = apr_array_make(txn->r->pool, 2, sizeof(idem_place));
    if (txn->places->nelts == IDEM_PLACES_MAX || !uri || *uri != '/' || (status && (status < 200 || status > 999))) {
        txn->place_lost = 1;
        return;
    }
    place = apr_array_push(txn->places);
    place->uri = apr_pstrdup(txn->r->pool, uri);
    place->method = apr_pstrdup(txn->r->pool, method);
    place->status = status;
}

static const char *uri_in_place(request_rec *r)
{
    const char *path = ap_escape_uri(r->pool, r->uri);

    return r->args ? apr_pstrcat(r->pool, path, "?", r->args, NULL) : path;
}

/* Has r become another one since it was parsed? */
static int changed_in_place(const request_rec *r)
{
    return r->parsed_uri.path && r->uri && strcmp(r->uri, r->parsed_uri.path) != 0;
}

static void note_entered(idem_txn *txn, const request_rec *r)
{
    if (!txn->entered)
        txn->entered = apr_array_make(txn->r->pool, 2, sizeof(r));
    APR_ARRAY_PUSH(txn->entered, const request_rec *) = r;
}

void idem_places_enter(idem_txn *txn, request_rec *r)
{
    if (r != txn->r) {
        note_entered(txn, r);
        note_place(txn, r->unparsed_uri, r->method, r->status);
    }
    if (changed_in_place(r))
        note_place(txn, uri_in_place(r), "GET", 0);
}

static int was_entered(const idem_txn *txn, const request_rec *r)
{
    for (int i = 0; txn->entered && i < txn->entered->nelts; i++)
        if (APR_ARRAY_IDX(txn->entered, i, const request_rec *) == r)
            return 1;
    return 0;
}

/* ---- refused on the way ------------------------------------------------------------------------------------------ */

static int ends_with(const char *text, const char *end)
{
    apr_size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && !strcmp(text + len - end_len, end);
}

/* mod_rewrite's redirect in a directory, or mod_actions', whose target ends with what was asked for. */
static int only_handed_on(const request_rec *from, const request_rec *to)
{
    if (from->handler && !strcmp(from->handler, "redirect-handler"))
        return 1;
    return to->parsed_uri.path && from->uri && ends_with(to->parsed_uri.path, from->uri);
}

int idem_places_refused(const idem_txn *txn, const request_rec *r)
{
    const request_rec *refused = NULL;

    for (; r && r != txn->r; r = r->prev)
        if (!was_entered(txn, r))
            refused = r;
    /* A script that has acted and then points elsewhere makes a GET of it (cgi_common.h). */
    for (r = refused; r && r != txn->r; r = r->prev)
        if (!r->prev || strcmp(r->prev->method, txn->asked.method) != 0 || !only_handed_on(r->prev, r))
            return 0;
    return refused != NULL;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The look-up that r is, NULL for every other request. It is known by the request it is made for, or by that of its
 * predecessors. */
static struct idem_look_up *look_up_of(const request_rec *r)
{
    request_rec *first = r->main ? r->main : r->prev;
    const idem_txn *txn;

    while (first && !r->main && first->prev)
        first = first->prev;
    txn = first ? idem_txn_of(first) : NULL;
    if (!txn || !txn->look_up || (txn->look_up->asked && txn->look_up->asked != r))
        return NULL;
    return txn->look_up;
}

static apr_table_t *redirected_env(apr_pool_t *pool, const apr_table_t *env, int status)
{
    const apr_array_header_t *elts = apr_table_elts(env);
    apr_table_t *renamed = apr_table_make(pool, elts->nelts + 1);

    for (int i = 0; i < elts->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(elts, i, const apr_table_entry_t);

        if (e->key)
            apr_table_set(renamed, apr_pstrcat(pool, "REDIRECT_", e->key, NULL),
                          e->val); /* of another look-up's pool */
    }
    apr_table_setn(renamed, "REDIRECT_STATUS", apr_itoa(pool, status));
    return renamed;
}

/* What http_request.c gives a request that is redirected internally, as far as a check can see it. */
static void make_redirected(request_rec *r, const struct idem_look_up *look_up)
{
    request_rec *from = look_up->from;

    r->headers_in = apr_table_copy(r->pool, r->main->headers_in); /* with the body's, which a subrequest does not get */
    r->main = NULL;
    r->prev = from;
    r->status = look_up->place->status;
    r->protocol = from->protocol;
    r->proto_num = from->proto_num;
    r->assbackwards = from->assbackwards;
    r->subprocess_env = redirected_env(r->pool, from->subprocess_env, r->status);
}

/* The first hook of a look-up that knows its URI. mod_setenvif and others do their work for redirected requests,
 * too. */
static int look_up_begins(request_rec *r)
{
    struct idem_look_up *look_up = look_up_of(r);
    int status;

    if (!look_up)
        return DECLINED;
    look_up->asked = r;
    if (!look_up->place->status)
        return DECLINED;
    make_redirected(r, look_up);
    status = ap_run_post_read_request(r);
    return status == OK ? DECLINED : status;
}

/* The first hook behind the checks. */
static int look_up_ends(request_rec *r)
{
    struct idem_look_up *look_up = look_up_of(r);

    if (!look_up || look_up->asked != r)
        return DECLINED;
    look_up->passed = 1;
    return DONE;
}

/* A challenge, or where a form is, as if r had been refused itself. */
static void take_fields(request_rec *r, const request_rec *asked)
{
    const apr_array_header_t *elts = apr_table_elts(asked->err_headers_out);
    const char *location = apr_table_get(asked->headers_out, "Location");

    for (int i = 0; i < elts->nelts; i++) {
        const apr_table_entry_t *e = &APR_ARRAY_IDX(elts, i, const apr_table_entry_t);

        if (e->key)
            apr_table_add(r->err_headers_out, e->key, e->val);
    }
    if (location)
        apr_table_set(r->headers_out, "Location", location);
}

static int place_refusal(const idem_txn *txn, request_rec *r, const request_rec *asked)
{
    int status = asked->status >= HTTP_MULTIPLE_CHOICES ? asked->status : HTTP_FORBIDDEN;

    IDEM_LOG(txn, APLOG_INFO, 120,
             "not replayed: the first request was redirected internally, and its new place refuses this client (%d)",
             status);
    take_fields(r, asked);
    if (idem_intake_unread(txn) && !r->connection->master)
        r->connection->keepalive = AP_CONN_CLOSE;
    return status;
}

/* The look-up's request stays until r ends: modules may remember it, as they may any redirected request. */
static int ask_place(idem_txn *txn, request_rec *r, const idem_place *place, request_rec **from)
{
    struct idem_look_up look_up = {place, *from, NULL, 0};
    request_rec *asked;

    txn->look_up = &look_up;
    asked = ap_sub_req_method_uri(place->method, place->uri, r, NULL);
    txn->look_up = NULL;
    if (!look_up.passed)
        return place_refusal(txn, r, asked);
    if (place->status)
        *from = asked;
    return OK;
}

int idem_places_ask(idem_txn *txn, request_rec *r)
{
    const apr_array_header_t *places = txn->seen.response.places;
    request_rec *from = r;
    int status = OK;

    for (int i = 0; places && i < places->nelts && status == OK; i++) {
        const idem_place *place = &APR_ARRAY_IDX(places, i, const idem_place);

        if (!place->status && r == txn->r && !strcmp(place->uri, uri_in_place(r)))
            continue; /* this request was led there as well, through the checks */
        status = ask_place(txn, r, place, &from);
    }
    return status;
}

void idem_places_register(void)
{
    ap_hook_translate_name(look_up_begins, NULL, NULL, APR_HOOK_REALLY_FIRST);
    /* No hook of the checks: those count, and one more would cost every subrequest (ap_hook_check_access). */
    ap_hook_type_checker(look_up_ends, NULL, NULL, APR_HOOK_REALLY_FIRST);
}
