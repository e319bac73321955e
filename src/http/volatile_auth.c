/*
 * volatile_auth.c - warns where signatures are taken for identities.
 *
 * Called by the gate for each guarded request that carries Authorization. Locations are told apart by the address of their
 * fingerprint list, which lives as long as the configuration; a full table only stops further warnings.
 */
#include "volatile_auth.h"

#include "log.h"

#include <apr_atomic.h>
#include <apr_cstr.h>
#include <apr_strings.h>

#define LOCATIONS 64

static volatile void *warned[LOCATIONS];

static int first_time(const void *location)
{
    for (int i = 0; i < LOCATIONS; i++) {
        const void *there = apr_atomic_casptr(&warned[i], (void *)(apr_uintptr_t)location, NULL);

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
        if (!apr_cstr_casecmpn(value, schemes[i], strlen(schemes[i])) && first_time(txn->settings->fingerprint))
            IDEM_LOG(txn, APLOG_WARNING, 54,
                     "this client's Authorization (%.*s) changes with every request: no retry will match. Replace "
                     "'credentials' in IdempotencyFingerprint by its stable part, for example expr=",
                     (int)strcspn(value, " "), value);
}
