/* SPDX-License-Identifier: Apache-2.0 */
/*
 * naming.c - from the parts of a request to its slot and its fingerprint.
 *
 * Called by the gate for a guarded request, before any store is asked. What always holds: a part that cannot be
 * evaluated fails the request. A name that comes from the configuration holds everything that decides about its value.
 * So another configuration gives another slot, or a fingerprint that cannot be compared.
 */
#include "naming.h"

#include "body_parts.h"
#include "fingerprint.h"
#include "intake.h"
#include "log.h"
#include "prints.h"
#include "quota.h"

#include <apr_escape.h>
#include <apr_strings.h>

static apr_status_t values_of(idem_txn *txn, const apr_array_header_t *parts, idem_part_value *values)
{
    for (int i = 0; i < parts->nelts; i++) {
        const idem_part *part = &APR_ARRAY_IDX(parts, i, const idem_part);
        const char *why = NULL;
        apr_status_t rv = idem_part_value_of(&txn->asked, part, &values[i].value, &why);

        values[i].name = part->spelled;
        if (rv != APR_SUCCESS) {
            IDEM_LOG(txn, APLOG_ERR, 52, "%s could not be evaluated: %s", part->spelled, why ? why : "unknown reason");
            return rv;
        }
    }
    return APR_SUCCESS;
}

apr_status_t idem_name_slot(idem_txn *txn, idem_blob key)
{
    idem_part_value values[IDEM_PARTS_MAX + 2];
    unsigned char slot[IDEM_SLOT_LEN];
    int parts = txn->settings->scope->nelts;
    apr_status_t rv = values_of(txn, txn->settings->scope, values);

    if (txn->detecting) { /* a name no part has: what was only watched never answers anybody */
        values[parts].name = "detection";
        values[parts++].value = idem_blob_str("only");
    }
    if (txn->is_own_key) { /* nor do keys that clients choose meet those that are made of requests */
        values[parts].name = "key";
        values[parts++].value = idem_blob_str("fingerprint");
    }
    if (rv == APR_SUCCESS)
        rv = idem_slot_make(idem_keyring_slot_key(txn->ring), values, parts, key, slot);
    if (rv == APR_SUCCESS)
        rv = idem_quota_name(txn, values, parts);
    if (rv == APR_SUCCESS)
        idem_txn_set_slot(txn, slot);
    return rv;
}

/* Which cookies are credentials is part of what the print is made of: other ones make it another print. */
static apr_status_t print_values(idem_txn *txn, const apr_array_header_t *parts, idem_part_value *values)
{
    apr_status_t rv = values_of(txn, parts, values);

    for (int i = 0; i < parts->nelts; i++)
        if (APR_ARRAY_IDX(parts, i, const idem_part).kind == IDEM_PART_CREDENTIALS)
            values[i].name = apr_pstrcat(txn->r->pool, values[i].name, txn->settings->credentials_form, NULL);
    return rv;
}

/* The fingerprint asks for something in the body, and nothing was looked for in it. */
static int is_too_long(const idem_txn *txn)
{
    return txn->asked.body && !txn->asked.body->whole && idem_parts_in_body(txn->settings->fingerprint);
}

apr_status_t idem_take_print(idem_txn *txn)
{
    idem_part_value values[IDEM_PARTS_MAX];
    apr_status_t rv = print_values(txn, txn->settings->fingerprint, values);

    if (rv == APR_SUCCESS)
        rv = idem_prints_take(txn, values, txn->settings->fingerprint->nelts);
    txn->head.print.body_flags |= IDEM_BODY_MARKED | (txn->asked.boundary ? IDEM_BODY_PARTED : 0U);
    if (is_too_long(txn)) /* its bytes are compared as they are read */
        txn->head.print.body_flags |= IDEM_BODY_USED;
    return rv == APR_SUCCESS ? idem_intake_print(txn, &txn->head.print) : rv;
}

/* ---- the request as its own key ---------------------------------------------------------------------------------- */

/*
 * Beside what the fingerprint has: who sends it, where, and the body. A fingerprint without one of these would make one
 * operation of two different ones. Nobody would be told, since no key could be wrong.
 */
static int add_part(apr_array_header_t *parts, idem_part_kind kind, const char *name)
{
    idem_part part = {.kind = kind, .spelled = name};
    int missing = !idem_parts_have(parts, kind);

    if (missing)
        APR_ARRAY_PUSH(parts, idem_part) = part;
    return missing;
}

static int sees_body(const apr_array_header_t *parts)
{
    return idem_parts_have(parts, IDEM_PART_BODY_JSON) || idem_parts_have(parts, IDEM_PART_BODY_FORM);
}

apr_status_t idem_key_of_request(idem_txn *txn, idem_blob *key)
{
    apr_array_header_t *parts = apr_array_copy(txn->r->pool, txn->settings->fingerprint);
    idem_part_value values[IDEM_PARTS_MAX + 4];
    unsigned char digest[IDEM_SLOT_LEN];
    apr_status_t rv;

    add_part(parts, IDEM_PART_CREDENTIALS, "credentials");
    add_part(parts, IDEM_PART_METHOD, "method");
    add_part(parts, IDEM_PART_PATH, "path");
    if (!sees_body(parts))
        add_part(parts, IDEM_PART_BODY, "body");
    rv = print_values(txn, parts, values);
    for (int i = 0; i < parts->nelts && rv == APR_SUCCESS; i++)
        if (APR_ARRAY_IDX(parts, i, const idem_part).kind == IDEM_PART_BODY)
            rv = idem_body_raw(&txn->asked, &values[i].value);
    if (rv == APR_SUCCESS)
        rv = idem_slot_make(idem_keyring_slot_key(txn->ring), values, parts->nelts, idem_blob_of(NULL, 0), digest);
    if (rv == APR_SUCCESS)
        *key = idem_blob_str(apr_pescape_hex(txn->r->pool, digest, sizeof digest, 0));
    return rv;
}
