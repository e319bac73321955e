/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keysource.c - tries IdempotencyKey's sources in order and checks what it finds.
 *
 * Called by the gate before the body is read and before any store is asked.
 */
#include "keysource.h"

#include <apr_cstr.h>
#include <apr_strings.h>

static int is_the_draft_header(const idem_part *part)
{
    return part->kind == IDEM_PART_HEADER && !apr_cstr_casecmp(part->name, "Idempotency-Key");
}

/* A field that is there and empty is a client's mistake; any other empty source is like an absent one
 * (docs/manual.md). */
static int counts_as_absent(const idem_part *part, idem_blob value)
{
    return !value.data || (!value.len && part->kind != IDEM_PART_HEADER);
}

static int matches_format(const idem_key_format *format, idem_blob key)
{
    return !format || !format->regex || ap_regexec_len(format->regex, (const char *)key.data, key.len, 0, NULL, 0) == 0;
}

static idem_problem check(const idem_part *part, const idem_settings *settings, apr_pool_t *pool, idem_blob value,
                          idem_blob *key, const char **detail)
{
    idem_key_fault fault = IDEM_KEY_OK;

    *key = value;
    if (!value.len)
        fault = IDEM_KEY_EMPTY;
    else if (is_the_draft_header(part))
        fault = idem_key_parse(value, pool, key);
    else if (part->kind == IDEM_PART_HEADER && idem_key_may_be_lines(value))
        fault = IDEM_KEY_LINES;
    if (fault == IDEM_KEY_OK)
        fault = idem_key_check(*key, (apr_size_t)settings->key_min, (apr_size_t)settings->key_max);
    if (fault != IDEM_KEY_OK) {
        *detail = idem_key_fault_text(fault);
        return IDEM_KEY_INVALID;
    }
    if (!matches_format(settings->key_format, *key)) {
        *detail = apr_pstrcat(pool, "The key does not have the form that this resource asks for",
                              !strcmp(settings->key_format->spelled, "uuid") ? " (a UUID)." : ".", NULL);
        return IDEM_KEY_INVALID;
    }
    return IDEM_PROBLEM_NONE;
}

idem_problem idem_find_key(const idem_asked *asked, const idem_settings *settings, idem_blob *key, const char **detail,
                           apr_status_t *status)
{
    *status = APR_SUCCESS;
    for (int i = 0; i < settings->key_sources->nelts; i++) {
        const idem_part *part = &APR_ARRAY_IDX(settings->key_sources, i, const idem_part);
        idem_blob value;

        *status = idem_part_value_of(asked, part, &value, detail);
        if (*status != APR_SUCCESS)
            return IDEM_PROBLEM_NONE;
        if (!counts_as_absent(part, value))
            return check(part, settings, asked->r->pool, value, key, detail);
    }
    *key = idem_blob_of(NULL, 0);
    return IDEM_PROBLEM_NONE;
}
