/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - the option table at work: its commands, its layers, their merging.
 *
 * Called by httpd while it reads the configuration, and per request where sections or .htaccess files are merged. For
 * the requests' sake, merging copies one struct and touches only the given options. What always holds: a directive is
 * read into an empty layer of its own, which is then merged as an inner section is. So merging cannot differ from
 * setting. A bit says whether an option is given, never a value. httpd starts every request from a server's layer (path
 * NULL below), which holds the presets. So a request always sees complete settings, with nothing left to resolve.
 * Limits: 64 options, fewer than WORDS_MAX words to a directive.
 */
#include "config_options.h"

#include <stddef.h>
#include <string.h>

#include <apr_strings.h>
#include <http_core.h>
#include <http_log.h>

APLOG_USE_MODULE(idempotency);

/* httpd hands on so many words of a directive (AP_MAX_ARGC, which it keeps to itself) and drops the others without a
 * word. */
#define WORDS_MAX 64

static const idem_choice engines[] = {
    {"On", IDEM_ENGINE_ON}, {"Off", IDEM_ENGINE_OFF}, {"DetectionOnly", IDEM_ENGINE_DETECTION}, {NULL, 0}};
static const idem_choice flags[] = {{"On", 1}, {"Off", 0}, {NULL, 0}};
static const idem_choice concurrencies[] = {
    {"reject", IDEM_CONCURRENT_REJECT}, {"wait", IDEM_CONCURRENT_WAIT}, {NULL, 0}};
static const idem_choice responses[] = {{"buffer", IDEM_RESPONSE_BUFFER}, {"stream", IDEM_RESPONSE_STREAM}, {NULL, 0}};
static const idem_choice interruptions[] = {
    {"refuse", IDEM_INTERRUPTED_REFUSE}, {"retry", IDEM_INTERRUPTED_RETRY}, {NULL, 0}};
static const idem_choice failures[] = {{"refuse", IDEM_FAILURE_REFUSE}, {"bypass", IDEM_FAILURE_BYPASS}, {NULL, 0}};
static const idem_choice mismatches[] = {{"400", 400}, {"409", 409}, {"422", 422}, {NULL, 0}};
static const idem_choice cookies[] = {
    {"auto", IDEM_COOKIE_AUTO}, {"keep", IDEM_COOKIE_KEEP}, {"omit", IDEM_COOKIE_OMIT}, {NULL, 0}};

/* Where a row's word allows a directive: httpd's own check (override), and ours for what httpd's cannot tell apart. */
#define OVERRIDE_GLOBAL RSRC_CONF
#define OVERRIDE_SERVER RSRC_CONF
#define OVERRIDE_LOCATION (RSRC_CONF | ACCESS_CONF)
#define OVERRIDE_HTACCESS OR_FILEINFO
#define FORBIDDEN_GLOBAL (GLOBAL_ONLY | NOT_IN_HTACCESS)
#define FORBIDDEN_SERVER (NOT_IN_DIR_CONTEXT | NOT_IN_HTACCESS)
#define FORBIDDEN_LOCATION (NOT_IN_LIMIT | NOT_IN_HTACCESS)
#define FORBIDDEN_HTACCESS NOT_IN_LIMIT

static const idem_option options[IDEM_OPTIONS] = {
#define OPTION(block, first, last, directive, where, type, text, help, ...)                                            \
    {.name = directive,                                                                                                \
     .index = IDEM_OPT_##first,                                                                                        \
     .server = OVERRIDE_##where == RSRC_CONF,                                                                          \
     .not_in = FORBIDDEN_##where,                                                                                      \
     .set = idem_set_##type,                                                                                           \
     .at = offsetof(idem_layer, block.first),                                                                          \
     .size =                                                                                                           \
         offsetof(idem_layer, block.last) + sizeof(((idem_layer *)0)->block.last) - offsetof(idem_layer, block.first), \
     .preset = text,                                                                                                   \
     __VA_ARGS__},
#include "config_options.def"
#undef OPTION
};

/* ---- layers ------------------------------------------------------------------------------------------------------ */

/* What the part "credentials" is called in a fingerprint. Its value is made in another way since version 2. */
static void name_credentials(idem_layer *layer, apr_pool_t *pool)
{
    if (layer->here.session_cookies)
        layer->here.credentials_form =
            apr_pstrcat(pool, "/2 ", apr_array_pstrcat(pool, layer->here.session_cookies, ' '), NULL);
}

/* Lets what from gives for option i win over what stands in to. */
static void take_member(idem_layer *to, const idem_layer *from, int i, apr_pool_t *pool)
{
    const idem_option *option = &options[i];
    apr_uint64_t bit = APR_UINT64_C(1) << i;
    apr_array_header_t *changes = from->changes[i];
    int replaced = (to->given & bit) && !to->changes[i];

    to->given |= bit;
    if (!changes) {
        memcpy(idem_member(to, option), (const char *)from + option->at, option->size);
        to->changes[i] = NULL;
        return;
    }

    /* Changes act on a list that is known here, and wait for an outer layer's unless this one has replaced that. */
    apr_array_header_t **list = idem_member(to, option);
    if (*list)
        *list = idem_list_changed(option, *list, changes, pool);
    if (!replaced)
        to->changes[i] = to->changes[i] ? apr_array_append(pool, to->changes[i], changes) : changes;
}

static void take_option(idem_layer *to, const idem_layer *from, int i, apr_pool_t *pool)
{
    take_member(to, from, i, pool);
    if (i == IDEM_OPT_session_cookies)
        name_credentials(to, pool);
}

/* Reads a directive's words into layer. Returns as idem_setter does. */
static const char *give_words(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *layer)
{
    idem_layer one = {0};
    const char *wrong = option->set(cmd, option, words, &one);
    if (!wrong)
        take_option(layer, &one, option->index, cmd->pool);
    return wrong;
}

/* Fills a new layer with the presets, without counting them as given. */
static void preset_layer(idem_layer *layer, int server, apr_pool_t *pool)
{
    cmd_parms cmd = {.pool = pool, .temp_pool = pool};

    for (int i = 0; i < IDEM_OPTIONS; i++) {
        char **argv;
        if (options[i].server != server)
            continue;
        apr_tokenize_to_argv(options[i].preset, &argv, pool);
        idem_words words = {0, (const char *const *)argv};
        while (argv[words.count])
            words.count++;
        ap_assert(give_words(&cmd, &options[i], &words, layer) == NULL);
    }
    layer->given = 0;
}

/* Called with dir NULL for what holds in a whole server, else for a section or an .htaccess file. */
void *idem_create_dir_config(apr_pool_t *pool, char *dir)
{
    idem_layer *layer = apr_pcalloc(pool, sizeof(*layer));
    if (!dir)
        preset_layer(layer, 0, pool);
    return layer;
}

void *idem_create_server_config(apr_pool_t *pool, server_rec *s)
{
    idem_layer *layer = apr_pcalloc(pool, sizeof(*layer));
    (void)s;
    preset_layer(layer, 1, pool);
    layer->server.store_named = 0;
    return layer;
}

void *idem_merge_dir_config(apr_pool_t *pool, void *base, void *add)
{
    const idem_layer *inner = add;
    idem_layer *layer;

    if (inner->ready && inner->over == base)
        return inner->ready; /* nobody writes to what was merged */
    layer = apr_pmemdup(pool, base, sizeof(*layer));
    layer->over = layer->ready = NULL;
    for (apr_uint64_t left = inner->given; left; left &= left - 1)
        take_option(layer, inner, __builtin_ctzll(left), pool);
    return layer;
}

static void get_ready(const idem_layer *base, const apr_array_header_t *sections, apr_pool_t *pconf)
{
    for (int i = 0; sections && i < sections->nelts; i++) {
        ap_conf_vector_t *section = APR_ARRAY_IDX(sections, i, ap_conf_vector_t *);
        idem_layer *inner = ap_get_module_config(section, &idempotency_module);

        if (!inner || inner->ready)
            continue;
        inner->ready = idem_merge_dir_config(pconf, (void *)base, inner);
        inner->over = base;
    }
}

void idem_config_ready(server_rec *main_server, apr_pool_t *pconf)
{
    for (server_rec *s = main_server; s; s = s->next) {
        const core_server_config *core = ap_get_core_module_config(s->module_config);
        const idem_layer *base = ap_get_module_config(s->lookup_defaults, &idempotency_module);

        get_ready(base, core->sec_dir, pconf);
        get_ready(base, core->sec_url, pconf);
    }
}

void *idem_merge_server_config(apr_pool_t *pool, void *base, void *add)
{
    return idem_merge_dir_config(pool, base, add);
}

int idem_guards_method(const idem_settings *settings, const char *method)
{
    for (int i = 0; i < settings->methods->nelts; i++)
        if (!strcmp(method, APR_ARRAY_IDX(settings->methods, i, const char *)))
            return 1;
    return 0;
}

const idem_settings *idem_settings_of(request_rec *r)
{
    const idem_layer *layer = ap_get_module_config(r->per_dir_config, &idempotency_module);
    return &layer->here;
}

const idem_settings *idem_defaults_of(server_rec *s)
{
    const idem_layer *layer = ap_get_module_config(s->lookup_defaults, &idempotency_module);
    return &layer->here;
}

const idem_settings *idem_settings_within(server_rec *s, ap_conf_vector_t *section, apr_pool_t *pool)
{
    idem_layer *base = ap_get_module_config(s->lookup_defaults, &idempotency_module),
               *inner = ap_get_module_config(section, &idempotency_module), *merged;

    if (!inner || !inner->given)
        return NULL;
    merged = idem_merge_dir_config(pool, base, inner);
    return &merged->here;
}

int idem_engine_of(request_rec *r)
{
    return idem_settings_of(r)->engine;
}

idem_server_settings *idem_server_settings_of(server_rec *s)
{
    idem_layer *layer = ap_get_module_config(s->module_config, &idempotency_module);
    return &layer->server;
}

/* ---- what the whole configuration says --------------------------------------------------------------------------- */

#define HEADER_SOURCE "header:"
#define USUAL_FIELD "Idempotency-Key"

static int engine_named, keyless_wanted;
static apr_array_header_t *key_fields;

void idem_config_begin(apr_pool_t *pconf)
{
    engine_named = keyless_wanted = 0;
    key_fields = apr_array_make(pconf, 4, sizeof(const char *));
    APR_ARRAY_PUSH(key_fields, const char *) = USUAL_FIELD;
}

int idem_engine_named(void)
{
    return engine_named;
}

const apr_array_header_t *idem_key_fields(void)
{
    return keyless_wanted ? NULL : key_fields;
}

/* "header:NAME", or with a sign before it. */
static void note_source(const char *word)
{
    word += *word == '+' || *word == '-';
    if (strncasecmp(word, HEADER_SOURCE, strlen(HEADER_SOURCE)) != 0)
        keyless_wanted = 1;
    else
        APR_ARRAY_PUSH(key_fields, const char *) = apr_pstrdup(key_fields->pool, word + strlen(HEADER_SOURCE));
}

/* Of a directive that is right, in a file that is read at start. */
static void note_option(const idem_option *option, const idem_words *words, const idem_layer *layer)
{
    if (option->index == IDEM_OPT_engine)
        engine_named |= layer->here.engine != IDEM_ENGINE_OFF;
    if (option->index == IDEM_OPT_require_key || option->index == IDEM_OPT_lookup)
        keyless_wanted = 1;
    for (int i = 0; option->index == IDEM_OPT_key_sources && i < words->count; i++)
        note_source(words->word[i]);
}

/* ---- commands ---------------------------------------------------------------------------------------------------- */

static const char *set_option(cmd_parms *cmd, void *dir, int argc, char *const argv[])
{
    const idem_option *option = cmd->info;
    idem_words words = {argc, (const char *const *)argv};
    const char *wrong = ap_check_cmd_context(cmd, option->not_in);
    idem_layer *layer = dir;

    if (wrong)
        return wrong;
    if (option->server)
        layer = ap_get_module_config(cmd->server->module_config, &idempotency_module);
    if (argc >= WORDS_MAX)
        wrong = apr_psprintf(cmd->pool, "takes fewer than %d words", WORDS_MAX);
    else
        wrong = give_words(cmd, option, &words, layer);
    if (wrong)
        return apr_pstrcat(cmd->pool, option->name, " ", wrong, NULL);
    if (cmd->pool != cmd->temp_pool) /* so not in .htaccess, as in ap_check_cmd_context() */
        note_option(option, &words, layer);
    return NULL;
}

const command_rec idem_commands[] = {
#define OPTION(block, first, last, directive, where, type, text, help, ...) \
    AP_INIT_TAKE_ARGV(directive, set_option, (void *)&options[IDEM_OPT_##first], OVERRIDE_##where, help),
#include "config_options.def"
#undef OPTION
    {.name = NULL}};
