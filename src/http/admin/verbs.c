/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verbs.c - the admin API's verbs on entries: list, show, find, forget, resolve.
 *
 * Called by the handler, when it is known that the client may. Each change is logged with who made it. Limits: a list
 * stops after LIST_TIME, however much of the store it has seen, and says where it goes on.
 */
#include "admin_private.h"

#include "log.h"
#include "repeats.h"

#include <apr_strings.h>

#define LIMIT_USUAL 100
#define LIMIT_MOST 1000
#define LIST_TIME apr_time_from_sec(2)

static const char *user_of(const idem_admin_call *call)
{
    return call->r->user ? call->r->user : "-";
}

static idem_shown_detail detail_of(const idem_admin_call *call, int body)
{
    if (!idem_admin_may_show(call))
        return IDEM_SHOWN_ROW;
    return body ? IDEM_SHOWN_BODY : IDEM_SHOWN_HEADERS;
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

typedef struct rows {
    idem_admin_call *call;
    json_t *list;
    apr_size_t most;
} rows;

static int add_row(void *baton, const idem_view *view)
{
    rows *r = baton;
    apr_pool_t *pool;

    apr_pool_create(&pool, r->call->r->pool);
    json_array_append_new(r->list, idem_shown_view(view, IDEM_SHOWN_ROW, pool));
    apr_pool_destroy(pool);
    return json_array_size(r->list) < r->most;
}

static int read_states(idem_admin_call *call, idem_filter *filter)
{
    const char *text = apr_table_get(call->query, "state");
    char *at = apr_pstrdup(call->r->pool, text ? text : ""), *state = NULL;

    for (char *word = apr_strtok(at, ",", &state); word; word = apr_strtok(NULL, ",", &state)) {
        idem_shown shown;

        if (!idem_shown_of(word, &shown))
            return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                                  "state is a list of running, record, tombstone, unknown, damaged.");
        filter->states |= 1U << shown;
    }
    return 0;
}

/* Whole seconds. */
static int read_seconds(idem_admin_call *call, const char *name, apr_interval_time_t *age)
{
    const char *text = apr_table_get(call->query, name);
    char *end;
    apr_int64_t n = text ? apr_strtoi64(text, &end, 10) : 0;

    if (text && (n < 1 || n > 1000000000 || *end))
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                              apr_pstrcat(call->r->pool, name, " is a number of seconds from 1 on.", NULL));
    *age = apr_time_from_sec(n);
    return 0;
}

/* More than so many times. */
static int read_replayed(idem_admin_call *call, apr_uint64_t *least)
{
    const char *text = apr_table_get(call->query, "replayed_more_than");
    char *end;
    apr_int64_t n = text ? apr_strtoi64(text, &end, 10) : -1;

    if (text && (n < 0 || n > 1000000000 || *end || !*text))
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "replayed_more_than is a number from 0 on.");
    *least = (apr_uint64_t)(n + 1);
    return 0;
}

/* How often keys were sent again: what it costs to know that nobody pays but who asks. Without it all else is shown. */
static apr_hash_t *load_again(const idem_admin_call *call)
{
    apr_hash_t *all;
    const char *why = NULL;
    apr_status_t rv = idem_repeats_load(call->front, call->r->pool, &all, &why);

    return rv == APR_SUCCESS ? all : NULL;
}

int idem_admin_read_filter(idem_admin_call *call, idem_filter *filter)
{
    const char *prefix = apr_table_get(call->query, "prefix"), *wrong;

    if (read_replayed(call, &filter->replayed_least) || read_states(call, filter) ||
        read_seconds(call, "older", &filter->older_than) || read_seconds(call, "newer", &filter->newer_than))
        return 1;
    wrong = prefix ? idem_filter_prefix(filter, prefix) : NULL;
    return wrong ? idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                                  apr_pstrcat(call->r->pool, "prefix ", wrong, ".", NULL))
                 : 0;
}

/* Which entries, how many, and from where on. */
static int read_part(idem_admin_call *call, idem_list *list, apr_size_t *most)
{
    const char *limit = apr_table_get(call->query, "limit"), *cursor = apr_table_get(call->query, "cursor");
    int n = limit ? atoi(limit) : LIMIT_USUAL;

    if (idem_admin_read_filter(call, &list->filter))
        return 1;
    if (n < 1 || n > LIMIT_MOST)
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                              "limit is a number from 1 to " APR_STRINGIFY(LIMIT_MOST) ".");
    if (cursor && strlen(cursor) >= sizeof(list->place))
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "cursor is none that this API has given.");
    apr_cpystrn(list->place, cursor ? cursor : "", sizeof(list->place));
    *most = (apr_size_t)n;
    return 0;
}

int idem_admin_list(idem_admin_call *call)
{
    rows r = {.call = call};
    idem_list list = {.front = call->front, .viewer = add_row, .baton = &r};
    apr_time_t until = apr_time_now() + LIST_TIME;
    const char *why = NULL;
    idem_done done;
    json_t *answer;

    if (read_part(call, &list, &r.most))
        return idem_admin_answer_problem(call);
    r.list = json_array();
    list.again = load_again(call);
    do
        done = idem_list_part(&list, call->r->pool, &why);
    while (done == IDEM_DONE_OK && *list.place && json_array_size(r.list) < r.most && apr_time_now() < until);
    if (done != IDEM_DONE_OK) {
        json_decref(r.list);
        return idem_admin_answer_failed(call, done, why);
    }
    answer = json_object();
    json_object_set_new(answer, "entries", r.list);
    json_object_set_new(answer, "next", *list.place ? json_string(list.place) : json_null());
    json_object_set_new(answer, "looked_at", json_integer((json_int_t)list.looked_at));
    return idem_admin_answer(call, HTTP_OK, answer);
}

/* ---- show, find -------------------------------------------------------------------------------------------------- */

static int read_slot(idem_admin_call *call, unsigned char *slot)
{
    if (idem_slot_parse(call->word, slot))
        return 0;
    return idem_admin_say(call, HTTP_NOT_FOUND, "no-such-entry", "A slot has 64 hexadecimal digits.");
}

static json_t *shown_with_names(idem_admin_call *call, const idem_view *view, int body)
{
    json_t *entry = idem_shown_view(view, detail_of(call, body), call->r->pool);

    idem_admin_name_parts(call, entry, view);
    return entry;
}

int idem_admin_show(idem_admin_call *call)
{
    unsigned char slot[IDEM_SLOT_LEN];
    idem_view view;
    const char *why = NULL;
    int body = idem_admin_flag(call, "body");
    idem_done done;

    if (read_slot(call, slot))
        return idem_admin_answer_problem(call);
    if (body && !idem_admin_may_show(call)) {
        idem_admin_say_hidden(call);
        return idem_admin_answer_problem(call);
    }
    done = idem_entry_show(call->front, slot, call->r->pool, &view, &why);
    if (done != IDEM_DONE_OK)
        return idem_admin_answer_failed(call, done, why);
    idem_view_tell(&view, load_again(call));
    if (!call->taken)
        apr_table_setn(call->r->headers_out, "ETag",
                       apr_pstrcat(call->r->pool, "\"", idem_view_version(&view, call->r->pool), "\"", NULL));
    return idem_admin_answer(call, HTTP_OK, shown_with_names(call, &view, body));
}

/* What the virtual host's own scope is, unless the client names the parts. */
static const char *parts_of_server(const idem_admin_call *call)
{
    const apr_array_header_t *scope = idem_defaults_of(call->r->server)->scope;
    const char *parts = NULL;

    for (int i = 0; i < scope->nelts; i++) {
        const char *part = APR_ARRAY_IDX(scope, i, const idem_part).spelled;

        parts = apr_pstrcat(call->r->pool, parts ? parts : "\"", parts ? "\" \"" : "", part, NULL);
    }
    return parts ? apr_pstrcat(call->r->pool, parts, "\"", NULL) : "none";
}

static const char *admin_read_scope(idem_admin_call *call, idem_scope *scope)
{
    const char *parts = idem_admin_text(call, "parts"), *name, *wrong;
    json_t *values = json_object_get(call->body, "scope"), *value;

    wrong = idem_scope_parts(scope, parts ? parts : parts_of_server(call), call->r->pool);
    if (wrong || !values)
        return wrong;
    if (!json_is_object(values))
        return "scope must be an object: a value for each part";
    json_object_foreach(values, name, value)
    {
        if (!json_is_string(value) && !json_is_null(value))
            return "a part of scope has a text, or null where it is absent";
        wrong = idem_scope_set(scope, name, json_string_value(value), call->r->pool);
        if (wrong)
            return wrong;
    }
    return NULL;
}

int idem_admin_find(idem_admin_call *call)
{
    apr_pool_t *pool = call->r->pool;
    const char *key = idem_admin_text(call, "key"), *wrong, *why = NULL;
    unsigned char slot[IDEM_SLOT_LEN];
    idem_scope scope;
    idem_view view;
    idem_done done;
    json_t *answer;

    wrong = key ? admin_read_scope(call, &scope) : "the body must have a key";
    if (!wrong)
        wrong = idem_slot_find(idem_front_ring(call->front), &scope, key, idem_admin_flag(call, "raw"), slot, pool);
    if (wrong) {
        idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", wrong);
        return idem_admin_answer_problem(call);
    }
    done = idem_entry_show(call->front, slot, pool, &view, &why);
    if (done != IDEM_DONE_OK && done != IDEM_DONE_ABSENT)
        return idem_admin_answer_failed(call, done, why);
    memcpy(view.slot, slot, IDEM_SLOT_LEN);
    if (done == IDEM_DONE_OK)
        idem_view_tell(&view, load_again(call));
    answer = json_object();
    json_object_set_new(answer, "slot", json_string(idem_view_slot(&view, pool)));
    json_object_set_new(answer, "scope", idem_shown_scope(&scope, pool));
    json_object_set_new(answer, "entry", done == IDEM_DONE_OK ? shown_with_names(call, &view, 0) : json_null());
    return idem_admin_answer(call, HTTP_OK, answer);
}

/* ---- forget, resolve --------------------------------------------------------------------------------------------- */

static int answer_changed(idem_admin_call *call, const idem_view *view, const idem_wish *wish, const char *verb)
{
    json_t *answer = json_object();

    json_object_set_new(answer, "slot", json_string(idem_view_slot(view, call->r->pool)));
    json_object_set_new(answer, "done", json_string(verb));
    json_object_set_new(answer, "dry_run", json_boolean(wish->dry_run));
    json_object_set_new(answer, "before", idem_shown_view(view, IDEM_SHOWN_ROW, call->r->pool));
    return idem_admin_answer(call, HTTP_OK, answer);
}

/* The version in If-Match. A filter that compressed what was shown has written "-gzip" or the like behind it. */
static int read_match(idem_admin_call *call, idem_wish *wish)
{
    const char *match = apr_table_get(call->r->headers_in, "If-Match");
    apr_size_t digits = match && *match == '"' ? strspn(match + 1, "0123456789abcdef") : 0, len;

    if (!match || !strcmp(match, "*"))
        return 0;
    len = strlen(match);
    if (digits != 2 * (apr_size_t)IDEM_VERSION_LEN || match[len - 1] != '"' || strcspn(match + 1, "\"") != len - 2 ||
        !strchr("-\"", match[1 + digits]))
        return idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                              "If-Match takes one entity tag, as GET of this entry has given it, or *.");
    call->has_condition = 1;
    wish->version = apr_pstrmemdup(call->r->pool, match + 1, digits);
    return 0;
}

static int read_wish(idem_admin_call *call, idem_wish *wish, const unsigned char *slot)
{
    wish->slot = slot;
    wish->version = idem_admin_text(call, "version");
    wish->dry_run = idem_admin_flag(call, "dry_run");
    wish->force = idem_admin_flag(call, "force");
    return read_match(call, wish);
}

int idem_admin_forget(idem_admin_call *call)
{
    unsigned char slot[IDEM_SLOT_LEN];
    idem_wish wish = {.force = 0};
    idem_view view;
    const char *why = NULL;
    idem_done done;

    if (read_slot(call, slot) || read_wish(call, &wish, slot))
        return idem_admin_answer_problem(call);
    done = idem_entry_forget(call->front, &wish, call->r->pool, &view, &why);
    if (done != IDEM_DONE_OK)
        return idem_admin_answer_failed(call, done, why);
    if (!wish.dry_run)
        IDEM_SLOG(call->r->server, APLOG_NOTICE, 200, "user %s, from %s: slot %s was forgotten, it was %s",
                  user_of(call), call->r->useragent_ip, idem_view_slot(&view, call->r->pool),
                  idem_shown_word(view.state));
    return answer_changed(call, &view, &wish, "forgotten");
}

int idem_admin_resolve(idem_admin_call *call)
{
    unsigned char slot[IDEM_SLOT_LEN];
    const char *as = idem_admin_text(call, "as"), *why = NULL;
    idem_wish wish = {.force = 0};
    idem_view view;
    idem_done done;

    if (read_slot(call, slot))
        return idem_admin_answer_problem(call);
    if (!as || !idem_resolution_of(as, &wish.as)) {
        idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "The body must have as: done, not-done or retry.");
        return idem_admin_answer_problem(call);
    }
    if (read_wish(call, &wish, slot))
        return idem_admin_answer_problem(call);
    done = idem_entry_resolve(call->front, &wish, call->r->pool, &view, &why);
    if (done != IDEM_DONE_OK)
        return idem_admin_answer_failed(call, done, why);
    if (!wish.dry_run)
        IDEM_SLOG(call->r->server, APLOG_NOTICE, 201,
                  "user %s, from %s: the unknown outcome of slot %s was resolved as %s", user_of(call),
                  call->r->useragent_ip, idem_view_slot(&view, call->r->pool), as);
    return answer_changed(call, &view, &wish, apr_pstrcat(call->r->pool, "resolved as ", as, NULL));
}
