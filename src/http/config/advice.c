/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice.c - warnings at start about lists of parts that do not see what they are meant to.
 *
 * Called once by post_config. It looks at the settings of each server, and of each <Directory> and <Location> in it
 * that has settings of its own. Sections in sections, and .htaccess files, are not seen beforehand.
 */
#include "advice.h"

#include "config.h"
#include "log.h"

#include <http_core.h>

static int has_part(const apr_array_header_t *parts, idem_part_kind kind)
{
    return idem_parts_have(parts, kind);
}

static int looks_into_body(const idem_settings *settings)
{
    return has_part(settings->key_sources, IDEM_PART_FINGERPRINT) || idem_parts_in_body(settings->key_sources) ||
           idem_parts_in_body(settings->scope) || idem_parts_in_body(settings->fingerprint);
}

static void advise_server(server_rec *s, const idem_settings *settings, const char *where)
{
    const apr_array_header_t *parts = settings->fingerprint;

    if (settings->engine == IDEM_ENGINE_OFF)
        return;
    if (idem_parts_in_body(settings->key_sources) && !has_part(parts, IDEM_PART_BODY) && !idem_parts_in_body(parts))
        IDEM_SLOG(s, APLOG_WARNING, 173,
                  "%s: the key is taken from the body, and IdempotencyFingerprint sees nothing of the body: another "
                  "body with the same key gets the first one's answer. Add body, body=json, body=form, or values "
                  "of it (json:, form:)",
                  where);
    if (has_part(parts, IDEM_PART_BODY) &&
        (has_part(parts, IDEM_PART_BODY_JSON) || has_part(parts, IDEM_PART_BODY_FORM)))
        IDEM_SLOG(s, APLOG_WARNING, 174,
                  "%s: IdempotencyFingerprint has body beside body=json or body=form, so every byte counts all the "
                  "same. Take body out of it (-body)",
                  where);
    if (!settings->spool && looks_into_body(settings))
        IDEM_SLOG(s, APLOG_WARNING, 175,
                  "%s: parts name something in the body, and IdempotencySpool 0 reads none of it: a key there is "
                  "answered 413, and bodies are compared as bytes",
                  where);
}

static void advise_sections(server_rec *s, const apr_array_header_t *sections, apr_pool_t *ptemp)
{
    for (int i = 0; sections && i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);
        const core_dir_config *core = ap_get_core_module_config(section);
        const idem_settings *settings = idem_settings_within(s, section, ptemp);

        if (settings)
            advise_server(s, settings, core->d ? core->d : "a section");
    }
}

void idem_advice_give(server_rec *main_server, apr_pool_t *ptemp)
{
    for (server_rec *s = main_server; s; s = s->next) {
        const core_server_config *core = ap_get_core_module_config(s->module_config);
        const idem_settings *settings = idem_defaults_of(s);

        if (s == main_server || settings != idem_defaults_of(main_server))
            advise_server(s, settings,
                          s == main_server     ? "the main server"
                          : s->server_hostname ? s->server_hostname
                                               : "-");
        advise_sections(s, core->sec_dir, ptemp);
        advise_sections(s, core->sec_url, ptemp);
    }
}
