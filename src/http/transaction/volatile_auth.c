/*
 * volatile_auth.c - warns where signatures are taken for identities.
 *
 * Called by the gate for each guarded request that carries Authorization. Locations are told apart by a digest of their server and
 * fingerprint list, since the list itself may be merged anew for each request; a full table only stops further warnings.
 */
#include "volatile_auth.h"

#include "log.h"

#include <apr_atomic.h>
#include <apr_cstr.h>
#include <apr_hash.h>
#include <apr_strings.h>

#define LOCATIONS 64

static volatile apr_uint32_t warned[LOCATIONS];

static apr_uint32_t digest_of(const idem_txn *txn)
{
    const apr_array_header_t *parts = txn->settings->fingerprint;
    unsigned sum = (unsigned)(apr_uintptr_t)txn->r->server;

    for (int i = 0; i < parts->nelts; i++) {
        apr_ssize_t len = APR_HASH_KEY_STRING;

        sum = sum * 33 + apr_hashfunc_default(APR_ARRAY_IDX(parts, i, const idem_part).spelled, &len);
    }
    return sum | 1; /* 0 is a free entry */
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

static int has_credentials_part(const idem_settings *settings)
{
    for (int i = 0; i < settings->fingerprint->nelts; i++)
        if (APR_ARRAY_IDX(settings->fingerprint, i, const idem_part).kind == IDEM_PART_CREDENTIALS)
            return 1;
    return 0;
}

void idem_warn_volatile_auth(idem_txn *txn)
{
    static const char *const schemes[] = {"AWS4-", "DPoP ", "Hawk ", "Signature ", NULL};
    const char *value = apr_table_get(txn->r->headers_in, "Authorization");

    if (!value || !has_credentials_part(txn->settings))
        return;
    for (int i = 0; schemes[i]; i++)
        if (!apr_cstr_casecmpn(value, schemes[i], strlen(schemes[i])) && first_time(digest_of(txn)))
            IDEM_LOG(txn, APLOG_WARNING, 54,
                     "this client's Authorization (%.*s) changes with every request: no retry will match. Replace "
                     "'credentials' in IdempotencyFingerprint by its stable part, for example expr=",
                     (int)strlen(schemes[i]) - 1, schemes[i]); /* not what the client wrote: it may be all one word */
}
