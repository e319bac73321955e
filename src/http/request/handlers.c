/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handlers.c - tells what the server's configuration says from what an .htaccess file says.
 *
 * Called by the handlers that show what belongs to the whole server. A merged configuration does not say where a value
 * came from. But httpd keeps the .htaccess files that it read for a request (r->htaccess), and merging copies pointers.
 * So a handler from an .htaccess file is the very string in that file's configuration, or in one of its sections.
 * A handler that something else has named (AddHandler, RewriteRule, a type, an expression) is the server's where no
 * such file has a directive by which it could have been named. Limits: where one has, the handler counts as the file's.
 */
#include "handlers.h"

#include <http_config.h>
#include <http_core.h>

#define SECTIONS_DEEP 8

typedef int finds_in(const ap_conf_vector_t *layer, const core_dir_config *merged);

static core_dir_config *core_of(const ap_conf_vector_t *layer)
{
    return ap_get_core_module_config(layer);
}

static int any_section(const ap_conf_vector_t *layer, const core_dir_config *merged, finds_in *finds, int deep);

static int any_of(const apr_array_header_t *sections, const core_dir_config *merged, finds_in *finds, int deep)
{
    for (int i = 0; sections && i < sections->nelts; i++)
        if (any_section(APR_ARRAY_IDX(sections, i, const ap_conf_vector_t *), merged, finds, deep))
            return 1;
    return 0;
}

/* Is it in this layer, or in a <Files> or <If> inside it? Beyond SECTIONS_DEEP it is taken to be. */
static int any_section(const ap_conf_vector_t *layer, const core_dir_config *merged, finds_in *finds, int deep)
{
    const core_dir_config *core = core_of(layer);

    if (!deep || finds(layer, merged))
        return 1;
    return core && (any_of(core->sec_file, merged, finds, deep - 1) || any_of(core->sec_if, merged, finds, deep - 1));
}

static int any_htaccess(request_rec *r, finds_in *finds)
{
    const core_dir_config *merged = core_of(r->per_dir_config);

    for (const struct htaccess_result *one = r->htaccess; one; one = one->next)
        if (one->htaccess && any_section(one->htaccess, merged, finds, SECTIONS_DEEP))
            return 1;
    return 0;
}

static int names_handler(const ap_conf_vector_t *layer, const core_dir_config *merged)
{
    const core_dir_config *core = core_of(layer);

    if (!core)
        return 0;
    if (merged->expr_handler)
        return core->expr_handler == merged->expr_handler;
    return core->handler && core->handler == merged->handler;
}

static int is_module_of(const module *m, const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (!strcmp(m->name, names[i]))
            return 1;
    return 0;
}

/* May a directive of this layer have named a handler, or a type, which httpd takes for one? Not one of these modules,
 * and not the core's but for SetHandler and ForceType. */
static int may_name_handler(const ap_conf_vector_t *layer, const core_dir_config *merged)
{
    static const char *const nameless[] = {"core.c",
                                           "http_core.c",
                                           "mod_authz_core.c",
                                           "mod_authz_host.c",
                                           "mod_authz_user.c",
                                           "mod_authn_core.c",
                                           "mod_auth_basic.c",
                                           "mod_authn_file.c",
                                           "mod_headers.c",
                                           "mod_expires.c",
                                           "mod_deflate.c",
                                           "mod_autoindex.c",
                                           NULL};
    const core_dir_config *core = core_of(layer);

    (void)merged;
    if (core && (core->handler || core->expr_handler || core->mime_type))
        return 1;
    for (const module *m = ap_top_module; m; m = m->next)
        if (!is_module_of(m, nameless) && ap_get_module_config(layer, m))
            return 1;
    return 0;
}

/* A script that redirects internally hands its Content-Type on to the new request. httpd before 2.4.60 takes it for a
 * handler. */
static int is_type_of_redirect(const request_rec *r)
{
    return r->prev && r->handler && r->content_type && !strncmp(r->content_type, r->handler, strlen(r->handler));
}

/* Some versions of httpd keep each SetHandler as an expression, and that may have said "none". */
static int is_from_sethandler(request_rec *r, const core_dir_config *merged)
{
    const char *wrong = NULL, *named = merged->handler;

    if (merged->expr_handler)
        named = ap_expr_str_exec(r, merged->expr_handler, &wrong);
    return named && !wrong && r->handler && !strcasecmp(named, r->handler);
}

int idem_handler_is_the_servers(request_rec *r)
{
    const core_dir_config *merged = core_of(r->per_dir_config);

    if (is_from_sethandler(r, merged))
        return !any_htaccess(r, names_handler);
    return !is_type_of_redirect(r) && !any_htaccess(r, may_name_handler);
}

/* Modules whose directives in an .htaccess file have no say in who the user is. */
static int is_harmless(const module *m)
{
    static const char *const names[] = {
        "core.c",          "http_core.c",   "mod_rewrite.c",     "mod_dir.c",      "mod_mime.c",        "mod_expires.c",
        "mod_headers.c",   "mod_deflate.c", "mod_brotli.c",      "mod_setenvif.c", "mod_env.c",         "mod_alias.c",
        "mod_autoindex.c", "mod_filter.c",  "mod_negotiation.c", "mod_include.c",  "mod_substitute.c",  "mod_actions.c",
        "mod_cgi.c",       "mod_cgid.c",    "mod_php.c",         "mod_php7.c",     "mod_idempotency.c", NULL};

    return is_module_of(m, names);
}

/* httpd makes a module's part of such a layer when the first directive of the module comes. */
static int has_a_say(const ap_conf_vector_t *layer, const core_dir_config *merged)
{
    (void)merged;
    for (const module *m = ap_top_module; m; m = m->next)
        if (!is_harmless(m) && ap_get_module_config(layer, m))
            return 1;
    return 0;
}

int idem_htaccess_meddles(request_rec *r)
{
    return any_htaccess(r, has_a_say);
}
