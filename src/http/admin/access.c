/* SPDX-License-Identifier: Apache-2.0 */
/*
 * access.c - who may use the admin API.
 *
 * Called before each verb. What always holds: httpd has authenticated a user who changes something, as the server's
 * configuration says. A reader is authenticated, too, or came through an access control that keeps strangers out. An
 * .htaccess file can neither name this handler, nor have a say in the authentication of the user.
 */
#include "admin_private.h"

#include "handlers.h"

#include <apr_lib.h>
#include <apr_network_io.h>
#include <apr_strings.h>
#include <http_log.h>
#include <http_request.h>

APLOG_USE_MODULE(idempotency);

#define NOBODY "192.0.2.1" /* an address that no host has (RFC 5737) */

#define FORBIDDEN "forbidden"

/* r as it would come from a stranger, without any credentials. Its log lines go nowhere. */
static request_rec *make_stranger(request_rec *r)
{
    request_rec *stranger = apr_pmemdup(r->pool, r, sizeof(*r));
    conn_rec *conn = apr_pmemdup(r->pool, r->connection, sizeof(*conn));
    struct ap_logconf *silence = apr_pcalloc(r->pool, sizeof(*silence));
    const char *host = apr_table_get(r->headers_in, "Host");

    silence->level = APLOG_EMERG;
    conn->client_ip = apr_pstrdup(r->pool, NOBODY);
    conn->remote_host = apr_pstrdup(r->pool, "");
    conn->double_reverse = -1;
    if (apr_sockaddr_info_get(&conn->client_addr, NOBODY, APR_INET, 9, 0, r->pool) != APR_SUCCESS)
        return NULL;
    stranger->connection = conn;
    stranger->useragent_addr = conn->client_addr;
    stranger->useragent_ip = conn->client_ip;
    stranger->log = silence;
    stranger->user = NULL;
    stranger->ap_auth_type = NULL;
    stranger->headers_in = apr_table_make(r->pool, 2);
    if (host)
        apr_table_setn(stranger->headers_in, "Host", host);
    stranger->headers_out = apr_table_make(r->pool, 2);
    stranger->err_headers_out = apr_table_make(r->pool, 2);
    stranger->notes = apr_table_copy(r->pool, r->notes);
    stranger->subprocess_env = apr_table_copy(r->pool, r->subprocess_env);
    return stranger;
}

/*
 * Would anybody be let in here? Asked of httpd's own checks: whatever module decides, and whatever it decides by. A
 * check that wants a user answers DECLINED.
 */
static int lets_strangers_in(request_rec *r)
{
    request_rec *stranger = make_stranger(r);
    int rv;

    if (!stranger)
        return 1;
    rv = ap_run_access_checker(stranger);
    if (rv != OK && rv != DECLINED)
        return 0;
    return ap_run_access_checker_ex(stranger) == OK;
}

static int is_authenticated(const request_rec *r)
{
    return r->user && *r->user && r->ap_auth_type && *r->ap_auth_type;
}

/* NULL: this request may. */
static const char *why_forbidden(request_rec *r, int writes)
{
    if (!idem_handler_is_the_servers(r))
        return "Only the server's configuration may name the handler idempotency-admin, by SetHandler; an "
               ".htaccess file may not.";
    if (idem_htaccess_meddles(r))
        return "An .htaccess file could decide here about the user's authentication. Give the place of this handler an "
               "Alias to a folder of its own, with AllowOverride None.";
    if (is_authenticated(r))
        return NULL;
    if (writes)
        return "Changing something needs an authenticated user: configure AuthType and Require valid-user, or "
               "Require user, for the place of this handler.";
    if (lets_strangers_in(r))
        return "This place is open to everybody: configure Require ip, Require valid-user or the like for the "
               "place of this handler.";
    return NULL;
}

int idem_admin_refused(idem_admin_call *call, int writes)
{
    const char *why = why_forbidden(call->r, writes);

    return why ? idem_admin_say(call, HTTP_FORBIDDEN, FORBIDDEN, why) : 0;
}

int idem_admin_may_show(const idem_admin_call *call)
{
    return idem_front_ring(call->front) || idem_server_settings_of(call->r->server)->admin_responses;
}

int idem_admin_say_hidden(idem_admin_call *call)
{
    return idem_admin_say(
        call, HTTP_FORBIDDEN, "not-shown",
        "Bodies and headers are shown where IdempotencySecret is configured, or IdempotencyAdminResponses On.");
}

/* What stands behind "scheme://". */
static int is_own_origin(request_rec *r, const char *origin)
{
    const char *host = apr_table_get(r->headers_in, "Host"), *authority = ap_strstr_c(origin, "://");

    return host && authority && !strcasecmp(authority + 3, host);
}

int idem_admin_is_elsewhere(idem_admin_call *call)
{
    request_rec *r = call->r;
    const char *site = apr_table_get(r->headers_in, "Sec-Fetch-Site"), *origin = apr_table_get(r->headers_in, "Origin");

    if ((site && strcmp(site, "same-origin") && strcmp(site, "none")) || (origin && !is_own_origin(r, origin)))
        return idem_admin_say(call, HTTP_FORBIDDEN, "foreign-page", "A page of another origin may not act here.");
    return 0;
}

int idem_admin_is_foreign(idem_admin_call *call)
{
    request_rec *r = call->r;
    const char *token = apr_table_get(r->headers_in, "Idempotency-Admin-Token");

    if (idem_admin_is_elsewhere(call))
        return 1;
    if (!token || !idem_admin_is_token(r, token))
        return idem_admin_say(
            call, HTTP_FORBIDDEN, "token",
            "Send the field Idempotency-Admin-Token with the token that v1/token gives to this user on this "
            "server; it is good for twelve hours.");
    return 0;
}
