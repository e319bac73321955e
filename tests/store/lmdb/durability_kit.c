/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_kit.c - directories and openings for the cases; see durability_kit.h.
 */
#include "durability_kit.h"

#include <apr_strings.h>
#include <string.h>

void disk_use(kit *k, const char *name, const char *const *options)
{
    k->rest = apr_pstrcat(k->pool, k->rest, "/", name, NULL);
    k->options = options;
}

apr_status_t disk_open(kit *k, const char **why)
{
    idem_store *store = NULL;
    apr_status_t status;

    *why = NULL;
    status = k->driver->configure(&store, k->env, k->rest, k->options, k->pool, why);
    if (status == APR_SUCCESS)
        status = k->driver->open(store, k->pool, why);
    if (status == APR_SUCCESS)
        k->store = store;
    return status;
}

void disk_open_well(kit *k)
{
    const char *why;
    apr_status_t status = disk_open(k, &why);
    if (status != APR_SUCCESS)
        kit_fail(k, __FILE__, __LINE__, "open gave %s: %s", kit_status(status), why ? why : "no reason given");
}

const char *disk_path(const kit *k, const char *name)
{
    return apr_pstrcat(k->pool, k->rest, "/", name, NULL);
}

void disk_expect_says(kit *k, const char *file, int line, const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        kit_fail(k, file, line, "\"%s\" does not say \"%s\"", text ? text : "(nothing)", part);
}
