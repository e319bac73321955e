/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.c - the handler idempotency-admin: which path and method is which verb, and who may.
 *
 * Called by httpd where the server's configuration has set it. Paths are read behind the last "/v1/" of the URI,
 * wherever the handler is. What always holds: only an authenticated user reaches a verb that changes something, only
 * from a page of our own or from no page, and only by POST or DELETE. Reading never changes anything.
 */
#include "admin_private.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <http_request.h>

/* ASKS: reads, but what is asked for stands in a body. TAKES: reads what only an authenticated user may have. */
typedef enum kind { READS, ASKS, TAKES, ACTS } kind;

static const struct route {
    const char *method, *pattern; /* * stands for one word between slashes */
    kind kind;
    idem_admin_verb *verb;
} routes[] = {
    {"GET", "", READS, idem_admin_index},
    {"GET", "entries", READS, idem_admin_list},
    {"GET", "entries/*", READS, idem_admin_show},
    {"DELETE", "entries/*", ACTS, idem_admin_forget},
    {"POST", "entries/*/resolve", ACTS, idem_admin_resolve},
    {"POST", "find", ASKS, idem_admin_find},
    {"POST", "sweep", ACTS, idem_admin_sweep},
    {"GET", "export", TAKES, idem_admin_export},
    {"GET", "stats", READS, idem_admin_stats},
    {"GET", "history", READS, idem_admin_history},
    {"GET", "events", READS, idem_admin_events},
    {"GET", "repeats", READS, idem_admin_again},
    {"GET", "token", READS, idem_admin_token},
    {"GET", "openapi.json", READS, idem_admin_description},
};
#define ROUTES ((int)(sizeof(routes) / sizeof(routes[0])))

/* Does path go with the pattern? The word that stands for * goes to *word. */
static int path_matches(idem_admin_call *call, const char *pattern)
{
    const char *star = ap_strchr_c(pattern, '*'), *path = call->path, *slash;
    apr_size_t before = star ? (apr_size_t)(star - pattern) : 0;

    call->word = "";
    if (!star)
        return !strcmp(path, pattern);
    if (strncmp(path, pattern, before) || !path[before] || path[before] == '/')
        return 0;
    slash = ap_strchr_c(path + before, '/');
    if (strcmp(slash ? slash : "", star + 1))
        return 0;
    call->word =
        slash ? apr_pstrmemdup(call->r->pool, path + before, (apr_size_t)(slash - path) - before) : path + before;
    return 1;
}

/* NULL, and the problem is filled. HEAD is a GET. */
static const struct route *find_route(idem_admin_call *call)
{
    const char *allowed = NULL;

    for (int i = 0; i < ROUTES; i++) {
        if (!path_matches(call, routes[i].pattern))
            continue;
        if (!strcmp(call->r->method, routes[i].method) || (call->r->header_only && !strcmp(routes[i].method, "GET")))
            return &routes[i];
        allowed = allowed ? apr_pstrcat(call->r->pool, allowed, ", ", routes[i].method, NULL) : routes[i].method;
    }
    if (!allowed) {
        idem_admin_say(call, HTTP_NOT_FOUND, "no-such-path", "v1/openapi.json describes the paths of this API.");
        return NULL;
    }
    apr_table_setn(call->r->headers_out, "Allow", allowed);
    idem_admin_say(call, HTTP_METHOD_NOT_ALLOWED, "method",
                   apr_pstrcat(call->r->pool, "Here is only: ", allowed, NULL));
    return NULL;
}

/* Everything that can speak against it, in this order: who, how, from where. */
static int admin_is_refused(idem_admin_call *call, const struct route *route)
{
    if (idem_admin_refused(call, route->kind >= TAKES) || idem_admin_read_query(call))
        return 1;
    if (!strcmp(route->method, "POST") && idem_admin_read_body(call))
        return 1;
    return route->kind == ACTS && idem_admin_is_foreign(call);
}

static int answer_api(idem_admin_call *call)
{
    const struct route *route;

    if (idem_admin_refused(call, 0)) /* nobody else is told what there is */
        return idem_admin_answer_problem(call);
    route = find_route(call);
    if (!route || admin_is_refused(call, route))
        return idem_admin_answer_problem(call);
    return route->verb(call);
}

/* What stands behind the last "/v1/"; NULL if there is none. */
static const char *path_of(request_rec *r)
{
    const char *path = NULL;

    for (const char *at = r->uri; (at = ap_strstr_c(at, "/v1/")) != NULL; at++)
        path = at + strlen("/v1/");
    return path;
}

int idem_admin_handler(request_rec *r)
{
    idem_admin_call call = {.r = r};

    if (!r->handler || strcmp(r->handler, "idempotency-admin"))
        return DECLINED;
    call.front = idem_stores_front(r->server);
    call.path = path_of(r);
    return call.path ? answer_api(&call) : idem_admin_page(&call);
}
