/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sent.c - keeps the header fields of a request before any module can change them.
 *
 * Called for each request as soon as its head is read, and by whoever needs a field for key, scope, credentials or
 * fingerprint. What always holds: the copy stands with the first request of a chain, which lives as long as the chain
 * does. The copy shares its strings with httpd's own table: modules replace strings there, and never write into them.
 * Where keys come in header fields only, a request that has none of these is noted to have no key; nothing is copied.
 * Limits: httpd has joined repeated lines of one name before, with ", " (a cookie's with "; " on HTTP/2).
 */
#include "sent.h"

#include <string.h>

#include <http_config.h>
#include <http_core.h>

extern module AP_MODULE_DECLARE_DATA idempotency_module;

typedef struct kept {
    apr_table_t *fields;
    int was_checked; /* Authorization was as sent when httpd's modules came to look at it */
} kept;

/* Of a request without a key: nothing of it is asked for, and a field that a module adds later is no key. */
static kept keyless;

/* Written while the configuration is read, by one thread. */
static int may_be_guarded;
static const apr_array_header_t *key_fields; /* of const char *; NULL: a key may come in another way, too */

/* May an .htaccess file below one of these sections turn the engine on? */
static int tenants_may(const apr_array_header_t *sections)
{
    for (int i = 0; sections && i < sections->nelts; i++) {
        const core_dir_config *dir = ap_get_core_module_config(APR_ARRAY_IDX(sections, i, ap_conf_vector_t *));

        if (dir->override & OR_FILEINFO ||
            (dir->override_list && apr_table_get(dir->override_list, "IdempotencyEngine")))
            return 1;
    }
    return 0;
}

void idem_sent_begin(server_rec *main_server, int engine_named, const apr_array_header_t *fields)
{
    int tenants = 0;

    for (const server_rec *s = main_server; s && !tenants; s = s->next) {
        const core_server_config *core = ap_get_core_module_config(s->module_config);
        tenants = tenants_may(core->sec_dir);
    }
    may_be_guarded = engine_named || tenants;
    key_fields = tenants ? NULL : fields;
}

/* IdempotencyMethods takes none of these; HEAD is M_GET. */
static int is_safe(const request_rec *r)
{
    return r->method_number == M_GET || r->method_number == M_OPTIONS || r->method_number == M_TRACE ||
           r->method_number == M_CONNECT;
}

static kept *kept_of(const request_rec *r)
{
    while (r->prev)
        r = r->prev;
    return r->request_config ? ap_get_module_config(r->request_config, &idempotency_module) : NULL;
}

static int has_no_key(const request_rec *r)
{
    if (!key_fields)
        return 0;
    for (int i = 0; i < key_fields->nelts; i++)
        if (apr_table_get(r->headers_in, APR_ARRAY_IDX(key_fields, i, const char *)))
            return 0;
    return 1;
}

int idem_sent_keep(request_rec *r)
{
    kept *k;

    if (!may_be_guarded || is_safe(r) || kept_of(r))
        return DECLINED;
    if (has_no_key(r)) {
        ap_set_module_config(r->request_config, &idempotency_module, &keyless);
        return DECLINED;
    }
    k = apr_pcalloc(r->pool, sizeof(*k));
    k->fields = apr_table_copy(r->pool, r->headers_in);
    ap_set_module_config(r->request_config, &idempotency_module, k);
    return DECLINED;
}

int idem_sent_check(request_rec *r)
{
    kept *k = r->main ? NULL : kept_of(r);
    const char *sent, *now;

    if (!k || k == &keyless)
        return DECLINED;
    sent = apr_table_get(k->fields, "Authorization");
    now = apr_table_get(r->headers_in, "Authorization");
    k->was_checked = sent && now && !strcmp(sent, now);
    return DECLINED;
}

int idem_sent_was_checked(const request_rec *r)
{
    const kept *k = kept_of(r);
    return k && k->was_checked;
}

const apr_table_t *idem_sent_of(const request_rec *r)
{
    const kept *k = kept_of(r);
    return k && k->fields ? k->fields : r->headers_in; /* which a chain of internal redirects shares */
}

int idem_sent_is_keyless(const request_rec *r)
{
    return kept_of(r) == &keyless;
}
