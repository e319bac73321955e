/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export.c - the admin API's verb export: all entries as lines of JSON, as idemctl export writes them.
 *
 * Called by the handler, for an authenticated user only. What always holds: one entry at a time is in memory; an export
 * that the store or the client broke off has no last line, and is known by that.
 */
#include "admin_private.h"

#include "log.h"
#include "repeats.h"
#include "transfer.h"

#include <apr_strings.h>
#include <http_protocol.h>

#define LINES_TYPE "application/x-ndjson"

typedef struct exported {
    request_rec *r;
    json_t *head; /* the first line, until it is sent */
    apr_uint64_t entries, running, damaged;
} exported;

/* Takes the reference. 0: the client has left. */
static int put_line(request_rec *r, json_t *line)
{
    char *text = json_dumps(line, JSON_COMPACT);
    int good = text && ap_rputs(text, r) >= 0 && ap_rputs("\n", r) >= 0 && !r->connection->aborted;

    free(text);
    json_decref(line);
    return good;
}

static void set_export_fields(request_rec *r)
{
    ap_set_content_type(r, LINES_TYPE);
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'");
    apr_table_setn(r->headers_out, "Content-Disposition", "attachment; filename=\"idempotency.jsonl\"");
}

/* Not before the store has given something: until then a problem can be told as one. */
static int begin_export(exported *e)
{
    json_t *head = e->head;

    if (!head)
        return 1;
    e->head = NULL;
    set_export_fields(e->r);
    return put_line(e->r, head);
}

static int put_exported(void *baton, const idem_view *view)
{
    exported *e = baton;
    apr_pool_t *pool;
    json_t *line;
    int goes_on = begin_export(e);

    apr_pool_create(&pool, e->r->pool);
    line = idem_export_entry(view, pool);
    e->running += view->state == IDEM_SHOWN_RUNNING;
    e->damaged += view->state == IDEM_SHOWN_DAMAGED;
    e->entries += line != NULL;
    if (line)
        goes_on = put_line(e->r, line) && goes_on;
    apr_pool_destroy(pool);
    return goes_on;
}

static json_t *last_line(const exported *e)
{
    return json_pack("{s:b, s:I, s:I, s:I}", "end", 1, "entries", (json_int_t)e->entries, "running",
                     (json_int_t)e->running, "damaged", (json_int_t)e->damaged);
}

static idem_done put_all_entries(idem_list *list, exported *e, const char **why)
{
    request_rec *r = e->r;
    apr_pool_t *part;
    idem_done done;

    apr_pool_create(&part, r->pool);
    do {
        apr_pool_clear(part);
        done = idem_list_part(list, part, why);
        *why = apr_pstrdup(r->pool, *why);
    } while (done == IDEM_DONE_OK && *list->place && !r->connection->aborted);
    apr_pool_destroy(part);
    return done;
}

/* The answer has begun, so what went wrong is told by what is missing. */
static void end_export(idem_admin_call *call, exported *e, idem_done done, const char *why)
{
    request_rec *r = call->r;

    if (done != IDEM_DONE_OK)
        IDEM_SLOG(r->server, APLOG_NOTICE, 204, "user %s, from %s: an export broke off: %s", r->user, r->useragent_ip,
                  why ? why : "the store failed");
    else if (!r->connection->aborted && put_line(r, last_line(e)))
        IDEM_SLOG(r->server, APLOG_NOTICE, 203, "user %s, from %s: %" APR_UINT64_T_FMT " entries were exported",
                  r->user, r->useragent_ip, e->entries);
}

/* 0, or the problem is filled. */
static int may_not_export(idem_admin_call *call, idem_filter *filter)
{
    if (idem_admin_is_elsewhere(call))
        return 1;
    if (!idem_admin_may_show(call))
        return idem_admin_say_hidden(call);
    return idem_admin_read_filter(call, filter);
}

int idem_admin_export(idem_admin_call *call)
{
    request_rec *r = call->r;
    exported e = {.r = r};
    idem_list list = {.front = call->front, .viewer = put_exported, .baton = &e};
    unsigned char mark[IDEM_DIGEST_LEN];
    const char *why = NULL;
    idem_done done;
    apr_status_t rv;

    if (may_not_export(call, &list.filter))
        return idem_admin_answer_problem(call);
    if (list.filter.replayed_least && idem_repeats_load(call->front, r->pool, &list.again, &why) != APR_SUCCESS)
        return idem_admin_answer_failed(call, IDEM_DONE_FAILED, why);
    rv = idem_front_read_mark(call->front, r->pool, mark, &why);
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return idem_admin_answer_failed(call, idem_done_of(rv), why);
    e.head = idem_export_head(idem_front_url(call->front), rv == APR_SUCCESS ? mark : NULL, r->pool);
    done = r->header_only ? IDEM_DONE_OK : put_all_entries(&list, &e, &why);
    if (done != IDEM_DONE_OK && e.head) {
        json_decref(e.head);
        return idem_admin_answer_failed(call, done, why);
    }
    if (begin_export(&e) && !r->header_only)
        end_export(call, &e, done, why);
    return OK;
}
