/* SPDX-License-Identifier: Apache-2.0 */
/*
 * httpd_words.c - the few functions of httpd that the parts of a request call, for programs that have no httpd around
 * them.
 *
 * They do what httpd's functions do, for the inputs that get there. Expressions are httpd's own language and are not
 * tried here.
 */
#include <ap_expr.h>
#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_config.h>
#include <httpd.h>

module idempotency_module; /* whose index an expression is parsed with */

ap_expr_info_t *ap_expr_parse_cmd_mi(const cmd_parms *cmd, const char *expr, unsigned int flags, const char **err,
                                     ap_expr_lookup_fn_t *lookup, int module_index)
{
    (void)cmd, (void)expr, (void)flags, (void)lookup, (void)module_index;
    *err = "no expressions here";
    return NULL;
}

const char *ap_expr_str_exec(request_rec *r, const ap_expr_info_t *info, const char **err)
{
    (void)r, (void)info;
    *err = "no expressions here";
    return "";
}

int ap_cstr_casecmp(const char *a, const char *b)
{
    return apr_cstr_casecmp(a, b);
}

/* The first character that is no token's (RFC 9110 5.6.2). */
const char *ap_scan_http_token(const char *text)
{
    while (*text && (apr_isalnum(*text) || strchr("!#$%&'*+-.^_`|~", *text)))
        text++;
    return text;
}

void ap_str_tolower(char *text)
{
    for (; *text; text++)
        *text = (char)apr_tolower(*text);
}

const char *ap_get_server_name(request_rec *r)
{
    return r->hostname;
}
