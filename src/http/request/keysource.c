/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keysource.c - tries IdempotencyKey's sources in order and checks what it finds.
 *
 * Called by the gate before the body is read and before any store is asked. If only the body can tell, the gate calls
 * it once more with the body.
 */
#include "keysource.h"

#include "body_parts.h"

#include <string.h>

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

static idem_problem check_key(const idem_part *part, const idem_settings *settings, apr_pool_t *pool, idem_blob value,
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
        return IDEM_PROBLEM_KEY_INVALID;
    }
    if (!matches_format(settings->key_format, *key)) {
        *detail = apr_pstrcat(pool, "The key does not have the form that this resource asks for",
                              !strcmp(settings->key_format->spelled, "uuid") ? " (a UUID)." : ".", NULL);
        return IDEM_PROBLEM_KEY_INVALID;
    }
    return IDEM_PROBLEM_NONE;
}

/* 0: it says nothing, and the next source is tried. */
static int try_body(const idem_asked *asked, const idem_part *part, const idem_settings *settings, idem_finding *found)
{
    idem_blob value;

    if (!idem_body_may_have(asked, part))
        return 0;
    if (!asked->body) {
        found->wants_body = 1;
        return 1;
    }
    if (!asked->body->whole) {
        found->problem = IDEM_PROBLEM_BODY_TOO_LARGE;
        return 1;
    }
    switch (idem_body_key(asked, part, &value, &found->detail)) {
    case IDEM_BODY_ABSENT: return 0;
    case IDEM_BODY_UNFIT: found->problem = IDEM_PROBLEM_KEY_INVALID; return 1;
    default: found->problem = check_key(part, settings, asked->r->pool, value, &found->key, &found->detail); return 1;
    }
}

/*
 * Only where it is known who the client is: others' requests may be equal by chance, and would get each other's
 * answers. A body that is too long to be a key leaves the request without one.
 */
static int try_request(const idem_asked *asked, const idem_settings *settings, idem_finding *found)
{
    if (!idem_is_identified(asked))
        return 0;
    if (!asked->body)
        found->wants_body = 1;
    else if (asked->body->whole)
        found->is_request = 1;
    else if (settings->require_key)
        found->problem = IDEM_PROBLEM_BODY_TOO_LARGE;
    return 1;
}

static int try_value(const idem_asked *asked, const idem_part *part, const idem_settings *settings, idem_finding *found)
{
    idem_blob value;

    found->status = idem_part_value_of(asked, part, &value, &found->detail);
    if (found->status != APR_SUCCESS)
        return 1;
    if (counts_as_absent(part, value))
        return 0;
    found->problem = check_key(part, settings, asked->r->pool, value, &found->key, &found->detail);
    return 1;
}

void idem_find_key(const idem_asked *asked, const idem_settings *settings, idem_finding *found)
{
    const idem_part *request = NULL;
    int is_found = 0;

    memset(found, 0, sizeof(*found));
    for (int i = 0; i < settings->key_sources->nelts && !is_found; i++) {
        const idem_part *part = &APR_ARRAY_IDX(settings->key_sources, i, const idem_part);

        if (part->kind == IDEM_PART_FINGERPRINT)
            request = part; /* the last one, wherever a section has put it */
        else
            is_found = idem_part_is_in_body(part) ? try_body(asked, part, settings, found)
                                                  : try_value(asked, part, settings, found);
    }
    if (!is_found && request)
        try_request(asked, settings, found);
    if (found->problem != IDEM_PROBLEM_NONE || found->status != APR_SUCCESS)
        found->key = idem_blob_of(NULL, 0);
}
