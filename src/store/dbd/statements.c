/* SPDX-License-Identifier: Apache-2.0 */
/*
 * statements.c - an engine's statements as APR wants them.
 *
 * Called when a process attaches. What always holds: each parameter's place is noted as it is put in, so an order's
 * fields follow in the same order. A parameter that an engine can name again is sent once.
 */
#include "dbd_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

/* What may stand in a statement's text: its letter is how an order is asked for it. */
static const struct {
    const char *name, *format;
    char letter;
} parameters[] = {
    {":slot", "%pDb", 's'},  {":token", "%pDb", 't'}, {":seen", "%pDb", 'n'},
    {":value", "%pDb", 'v'}, {":lease", "%lld", 'l'}, {":ttl", "%lld", 'x'},
    {":last", "%lld", 'm'},  {":state", "%lld", 'i'}, {":most", "%lld", 'k'},
};

#define PARAMETERS ((int)(sizeof(parameters) / sizeof(parameters[0])))

static int parameter_at(const char *text, apr_size_t *len)
{
    *len = 1;
    while (apr_isalpha(text[*len]))
        ++*len;
    for (int i = 0; i < PARAMETERS; i++)
        if (strlen(parameters[i].name) == *len && strncmp(parameters[i].name, text, *len) == 0)
            return i;
    return -1;
}

/* "{t}", "{now}" or "{catalogue}". */
static const char *macro_at(const idem_dbd_config *config, const char *text, apr_size_t *len, apr_pool_t *pool)
{
    *len = strcspn(text, "}") + 1;
    if (strncmp(text, "{t}", 3) == 0)
        return config->table;
    return strncmp(text, "{now}", 5) == 0 ? config->engine->now : config->engine->catalogue(config->table, pool);
}

const char *idem_dbd_translate(const idem_dbd_config *config, const char *text, const char **letters, apr_pool_t *pool)
{
    char order[IDEM_DBD_PARAMS_MOST + 1] = "";
    int count = 0;
    const char *out = "";

    while (*text) {
        apr_size_t plain = strcspn(text, ":{"), len = 1;
        int which = text[plain] == ':' ? parameter_at(text + plain, &len) : -1;
        const char *again = which >= 0 && config->engine->numbered ? strchr(order, parameters[which].letter) : NULL;
        const char *put = "";

        if (again)
            put = apr_psprintf(pool, "$%d", (int)(again - order) + 1);
        else if (which >= 0) {
            put = parameters[which].format;
            order[count++] = parameters[which].letter;
            order[count] = '\0';
        }
        else if (text[plain] == '{')
            put = macro_at(config, text + plain, &len, pool);
        out = apr_pstrcat(pool, out, apr_pstrmemdup(pool, text, plain), put, NULL);
        text += plain + (text[plain] ? len : 0);
    }
    *letters = apr_pstrdup(pool, order);
    return out;
}
