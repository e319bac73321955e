/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fields.c - a header field as the client sent it, however many lines it has.
 *
 * Called for guarded requests by whatever reads a field of theirs: parts, cookies, credentials, operations. What always
 * holds: lines keep their order; one line is not copied.
 */
#include "asked.h"
#include "wiped.h"

#include <string.h>

#include <apr_strings.h>

typedef struct joining {
    apr_pool_t *pool;
    const char *separator, *value;
} joining;

static int join_line(void *baton, const char *name, const char *value)
{
    joining *j = baton;
    (void)name;
    if (j->value) {
        apr_size_t len = strlen(j->value) + strlen(j->separator) + strlen(value) + 1;
        char *joined = idem_wiped_alloc(j->pool, len);
        apr_snprintf(joined, len, "%s%s%s", j->value, j->separator, value);
        value = joined;
    }
    j->value = value;
    return 1;
}

const char *idem_header_joined(const idem_asked *asked, const char *name, const char *separator)
{
    joining j = {asked->r->pool, separator, NULL};

    if (!apr_table_get(asked->sent, name))
        return NULL; /* as most are: cheaper than to look for all lines */
    apr_table_do(join_line, &j, asked->sent, name, NULL);
    return j.value;
}
