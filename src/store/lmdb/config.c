/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config.c - reads the address and the options of an embedded store.
 *
 *   lmdb:DIRECTORY                   relative to the server's state folder
 *   options: size=BYTES   sync=on|off
 *
 * Called by the front when a configuration is read; nothing is looked at. What always holds: the directory is absolute.
 * Limits: a value of at most an eighth of the file.
 */
#include "lmdb_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define SIZE_DEFAULT ((apr_uint64_t)1 << 30)
#define SIZE_AS_MADE 0 /* LMDB takes what the file says */
#define SIZE_LEAST ((apr_uint64_t)1 << 20)
#define SIZE_MOST ((apr_uint64_t)1 << (sizeof(void *) > 4 ? 44 : 30))
#define VALUE_MOST ((apr_uint64_t)1 << 30)

/* "64M" -> bytes; 0 if it is no size. */
static apr_uint64_t size_of(const char *text)
{
    char *end;
    apr_int64_t n = apr_strtoi64(text, &end, 10);
    int shift = *end == '\0'               ? 0
                : apr_toupper(*end) == 'K' ? 10
                : apr_toupper(*end) == 'M' ? 20
                : apr_toupper(*end) == 'G' ? 30
                                           : -1;

    if (!apr_isdigit(*text) || shift < 0 || (*end && end[1]) || n <= 0 || n > (apr_int64_t)(SIZE_MOST >> shift))
        return 0;
    return (apr_uint64_t)n << shift;
}

static const char *set_lmdb_option(lmdb_store *store, const char *option, apr_pool_t *pool)
{
    const char *value = strchr(option, '=');

    if (value && strncmp(option, "size=", 5) == 0) {
        store->size = size_of(value + 1);
        if (store->size >= SIZE_LEAST)
            return NULL;
        return apr_psprintf(pool, "size= must be between 1M and %dG (K, M and G are understood), not \"%s\"",
                            (int)(SIZE_MOST >> 30), value + 1);
    }
    if (value && strncmp(option, "sync=", 5) == 0) {
        store->sync = strcmp(value + 1, "on") == 0;
        if (store->sync || strcmp(value + 1, "off") == 0)
            return NULL;
        return apr_psprintf(pool, "sync= must be on or off, not \"%s\"", value + 1);
    }
    return apr_psprintf(pool, "lmdb knows the options size= and sync=, not \"%s\"", option);
}

apr_status_t idem_lmdb_configure(idem_store **store, const idem_env *env, const char *rest, const char *const *options,
                                 apr_pool_t *pool, const char **why)
{
    lmdb_store *mine = apr_pcalloc(pool, sizeof(*mine));
    char *dir;

    *why = NULL;
    if (!rest || !*rest || (*rest != '/' && !env->state_dir)) {
        *why = "lmdb: needs a directory, as in lmdb:idempotency or lmdb:/var/lib/idempotency";
        return APR_EINVAL;
    }
    dir = *rest == '/' ? apr_pstrdup(pool, rest) : apr_pstrcat(pool, env->state_dir, "/", rest, NULL);
    for (apr_size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
        dir[len - 1] = '\0';

    mine->store.flags = IDEM_HOST_LOCAL | IDEM_OFFLINE | IDEM_READS_FREE | IDEM_LOOKS;
    mine->env = env;
    mine->dir = dir;
    mine->size = env->guest ? SIZE_AS_MADE : SIZE_DEFAULT;
    mine->sync = 1;
    for (; options && *options && !*why; options++)
        *why = set_lmdb_option(mine, *options, pool);
    if (*why)
        return APR_EINVAL;
    mine->store.max_value = (apr_size_t)(mine->size && mine->size / 8 < VALUE_MOST ? mine->size / 8 : VALUE_MOST);
    *store = &mine->store;
    return APR_SUCCESS;
}
