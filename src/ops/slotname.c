/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slotname.c - from a key and a scope to the slot, as a server computes it.
 *
 * Called for a look-up by key. The key is used for the digest and for nothing else. Limits: values of parts that a
 * server computes (credentials) must be given as it computes them.
 */
#include "ops.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define EXPR "expr="

/* The name as a server spells it: words in lower case, and so a header's name. */
static const char *spelled_as_served(const char *word, apr_pool_t *pool)
{
    char *name = apr_pstrdup(pool, word);
    char *end;

    if (!strncasecmp(word, EXPR, strlen(EXPR)))
        end = name + strlen(EXPR);
    else if (!strncasecmp(word, "cookie:", 7))
        end = name + 7;
    else if (!strncasecmp(word, "env:", 4))
        end = name + 4;
    else
        end = name + strlen(name);
    for (char *at = name; at < end; at++)
        *at = (char)apr_tolower(*at);
    return name;
}

static const char *fault_of_part(const char *name)
{
    static const char *const known[] = {"host",    "user",    "credentials", "method", "path", "addr",
                                        "header:", "cookie:", "env:",        EXPR,     NULL};

    for (int i = 0; known[i]; i++) {
        apr_size_t len = strlen(known[i]);
        int has_more = known[i][len - 1] == ':' || known[i][len - 1] == '=';

        if (has_more ? !strncmp(name, known[i], len) && name[len] : !strcmp(name, known[i]))
            return NULL;
    }
    return "is no part of a scope: host, user, credentials, method, path, addr, header:NAME, cookie:NAME, env:NAME, "
           "expr=…";
}

const char *idem_scope_parts(idem_scope *scope, const char *parts, apr_pool_t *pool)
{
    char **words;

    scope->count = 0;
    if (!strcasecmp(parts, "none"))
        return NULL;
    if (apr_tokenize_to_argv(parts, &words, pool) != APR_SUCCESS)
        return "is the value of IdempotencyScope: \"host user\"";
    for (; *words; words++) {
        const char *name = spelled_as_served(*words, pool), *wrong = fault_of_part(name);

        if (wrong)
            return apr_psprintf(pool, "%s %s", *words, wrong);
        if (scope->count == IDEM_SCOPE_MOST)
            return "has more parts than a scope may have";
        scope->parts[scope->count].name = name;
        scope->parts[scope->count++].value = idem_blob_of(NULL, 0);
    }
    return NULL;
}

const char *idem_scope_set(idem_scope *scope, const char *name, const char *value, apr_pool_t *pool)
{
    const char *wanted = spelled_as_served(name, pool);

    for (int i = 0; i < scope->count; i++) {
        idem_part_value *part = &scope->parts[i];
        char *copy = apr_pstrdup(pool, value);

        if (strcmp(part->name, wanted))
            continue;
        for (char *at = copy; at && !strcmp(wanted, "host") && *at; at++)
            *at = (char)apr_tolower(*at);
        part->value = idem_blob_str(copy);
        return NULL;
    }
    return apr_psprintf(pool, "%s is no part of this scope: say which parts IdempotencyScope names", name);
}

void idem_scope_split(const char *word, const char **name, const char **value, apr_pool_t *pool)
{
    const char *equals = strncasecmp(word, EXPR, strlen(EXPR)) ? strchr(word, '=') : strrchr(word + strlen(EXPR), '=');

    *name = equals ? apr_pstrmemdup(pool, word, (apr_size_t)(equals - word)) : word;
    *value = equals ? equals + 1 : NULL;
}

const char *idem_slot_find(const idem_keyring *ring, const idem_scope *scope, const char *key, int is_raw,
                           unsigned char slot[IDEM_SLOT_LEN], apr_pool_t *pool)
{
    idem_blob value = idem_blob_str(key);
    idem_key_fault fault = is_raw ? IDEM_KEY_OK : idem_key_parse(value, pool, &value);

    if (fault == IDEM_KEY_OK)
        fault = idem_key_check(value, 1, 1024);
    if (fault != IDEM_KEY_OK)
        return idem_key_fault_text(fault);
    if (idem_slot_make(idem_keyring_slot_key(ring), scope->parts, scope->count, value, slot) != APR_SUCCESS)
        return "libcrypto could not compute the slot";
    return NULL;
}
