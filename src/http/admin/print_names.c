/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print_names.c - which parts an entry's fingerprint was made of, by name.
 *
 * Called by the verbs that show one entry. A fingerprint keeps a digest of its parts' names, not the names. So the
 * lists that the configuration has are tried: of each server, and of each <Directory> and <Location> in it. Limits:
 * lists in .htaccess files, in sections inside sections, and those that several sections make together are not tried.
 */
#include "admin_private.h"

#include <apr_strings.h>
#include <http_config.h>
#include <http_core.h>
#include <http_main.h>

#include "digest.h"

typedef struct name_search {
    request_rec *r;
    const idem_blob *secret;
    const idem_print *kept;
    idem_part_value parts[IDEM_PARTS_MAX];
} name_search;

static const char *name_in_print(const name_search *s, const idem_settings *settings, const idem_part *part)
{
    return part->kind != IDEM_PART_CREDENTIALS || !settings->credentials_form
               ? part->spelled
               : apr_pstrcat(s->r->pool, part->spelled, settings->credentials_form, NULL);
}

/* Was it made of this list? */
static int list_fits(name_search *s, const idem_settings *settings)
{
    const apr_array_header_t *list = settings ? settings->fingerprint : NULL;
    int is_brief = (s->kept->body_flags & IDEM_PRINT_BRIEF) != 0;
    idem_print tried;

    if (!list || list->nelts != (int)s->kept->parts || list->nelts > IDEM_PARTS_MAX)
        return 0;
    memset(s->parts, 0, sizeof(s->parts));
    for (int i = 0; i < list->nelts; i++)
        s->parts[i].name = name_in_print(s, settings, &APR_ARRAY_IDX(list, i, const idem_part));
    return idem_print_make(s->secret, s->parts, list->nelts, is_brief, &tried) == APR_SUCCESS &&
           idem_equal_ct(tried.made_of, s->kept->made_of, sizeof(tried.made_of));
}

static const idem_settings *fitting_section(name_search *s, server_rec *server, const apr_array_header_t *sections)
{
    for (int i = 0; sections && i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);
        const idem_settings *settings = idem_settings_within(server, section, s->r->pool);

        if (list_fits(s, settings))
            return settings;
    }
    return NULL;
}

static const idem_settings *fitting_settings(name_search *s)
{
    const idem_settings *found = NULL;

    for (server_rec *server = ap_server_conf; server && !found; server = server->next) {
        const core_server_config *core = ap_get_core_module_config(server->module_config);

        found = list_fits(s, idem_defaults_of(server)) ? idem_defaults_of(server) : NULL;
        if (!found)
            found = fitting_section(s, server, core->sec_url);
        if (!found)
            found = fitting_section(s, server, core->sec_dir);
    }
    return found;
}

void idem_admin_name_parts(idem_admin_call *call, json_t *entry, const idem_view *view)
{
    name_search s = {.r = call->r, .secret = idem_keyring_print_key(idem_front_ring(call->front))};
    json_t *print = json_object_get(entry, "fingerprint"), *names;
    const idem_settings *found;

    s.kept = &view->head.print;
    if (!json_is_object(print))
        return;
    found = fitting_settings(&s);
    names = found ? json_array() : json_null();
    for (int i = 0; found && i < found->fingerprint->nelts; i++)
        json_array_append_new(
            names, idem_shown_text(APR_ARRAY_IDX(found->fingerprint, i, const idem_part).spelled, call->r->pool));
    json_object_set_new(print, "names", names);
    if (!found)
        json_object_set_new(print, "note",
                            json_string(apr_psprintf(
                                call->r->pool, "%u parts, of a list that this server does not have", s.kept->parts)));
}
