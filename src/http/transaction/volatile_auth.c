/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volatile_auth.c - warns where what may be a signature is taken for an identity.
 *
 * Called by the gate for each guarded request; it is about those with an Authorization field that httpd itself did not
 * check. A digest of its server and fingerprint list tells a location from others: the list itself may be merged anew
 * for each request. A full table only stops further warnings.
 */
#include "volatile_auth.h"

#include "log.h"

#include <apr_atomic.h>
#include <apr_cstr.h>
#include <apr_hash.h>
#include <apr_lib.h>
#include <apr_strings.h>

#define LOCATIONS 64
#define SCHEME_MOST 32 /* AWS4-HMAC-SHA256 has 16 */

static volatile apr_uint32_t warned[LOCATIONS];

static apr_uint32_t digest_of(const idem_txn *txn)
{
    const apr_array_header_t *parts = txn->settings->fingerprint;
    unsigned sum = (unsigned)(apr_uintptr_t)txn->r->server;

    for (int i = 0; i < parts->nelts; i++) {
        apr_ssize_t len = APR_HASH_KEY_STRING;

        sum = sum * 33 + apr_hashfunc_default(APR_ARRAY_IDX(parts, i, const idem_part).spelled, &len);
    }
    return sum ? sum : 1; /* 0 is a free entry */
}

static int first_time(apr_uint32_t location)
{
    for (int i = 0; i < LOCATIONS; i++) {
        apr_uint32_t there = apr_atomic_cas32(&warned[i], location, 0);

        if (!there)
            return 1;
        if (there == location)
            return 0;
    }
    return 0;
}

/* ---- schemes ----------------------------------------------------------------------------------------------------- */

static int is_any(const char *name, apr_size_t len, const char *const *list, int count)
{
    for (int i = 0; i < count; i++)
        if (strlen(list[i]) == len && !apr_cstr_casecmpn(name, list[i], len))
            return 1;
    return 0;
}

/* Anyone can define a scheme. The value of an unknown scheme may be new in each request. */
static int is_stable(const idem_settings *settings, const char *scheme, apr_size_t len)
{
    static const char *const known[] = {"Basic", "Bearer", "Token", "ApiKey"};
    const apr_array_header_t *more = settings->stable_schemes;

    return is_any(scheme, len, known, (int)(sizeof(known) / sizeof(*known))) ||
           is_any(scheme, len, (const char *const *)more->elts, more->nelts);
}

/*
 * The part of a field that may be logged: its scheme, if it looks like one. A field of one word is all credential, and
 * so may be the first of two words if it is long.
 */
static int looks_like_scheme(const char *field, apr_size_t len)
{
    if (!len || len > SCHEME_MOST || field[len] != ' ' || !apr_isalpha(*field))
        return 0;
    for (apr_size_t i = 0; i < len; i++)
        if (!apr_isalnum(field[i]) && !strchr("-_.", field[i]))
            return 0;
    return 1;
}

void idem_warn_volatile_auth(idem_txn *txn)
{
    const char *field = idem_application_auth(&txn->asked);
    apr_size_t len = field ? strcspn(field, " \t") : 0;
    const char *shown = "no known scheme";

    if (!field || is_stable(txn->settings, field, len) ||
        !idem_parts_have(txn->settings->fingerprint, IDEM_PART_CREDENTIALS) || !first_time(digest_of(txn)))
        return;
    if (looks_like_scheme(field, len))
        shown = apr_pstrmemdup(txn->r->pool, field, len);
    IDEM_LOG(txn, APLOG_WARNING, 54,
             "this client's Authorization (%s) may change with every request, and then no retry matches. If it "
             "changes, replace 'credentials' in IdempotencyFingerprint by a stable part of it, for example expr=. If "
             "it does not change, name its scheme in IdempotencyStableSchemes",
             shown);
}
