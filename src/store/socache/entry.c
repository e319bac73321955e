/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.c - what a cache keeps under a slot, taken apart.
 *
 * Called with the mutex held, where one slot is looked at and where all are. What always holds: a lease whose owner
 * lives has not expired, whatever its time says. An entry that cannot be ours is shown, and never expires.
 */
#include "socache_private.h"

idem_socache_entry idem_socache_entry_of(idem_socache *store, const unsigned char *stored, apr_size_t len)
{
    idem_socache_entry entry = {{stored, 0}, APR_INT64_MAX, 0, 0, 0};

    if (len < IDEM_SOCACHE_EXPIRY_LEN)
        return entry; /* too short to be anything: an empty value that never expires, which is corrupt and says so */
    entry.value = idem_blob_of(stored + IDEM_SOCACHE_EXPIRY_LEN, len - IDEM_SOCACHE_EXPIRY_LEN);
    entry.expires = apr_time_from_msec((apr_time_t)idem_value_number(stored, IDEM_SOCACHE_EXPIRY_LEN));
    if (idem_socache_is_lease(entry.value))
        entry.owner_dead = !idem_liveness_alive(store->liveness, idem_value_owner(entry.value));
    entry.now = idem_clock_now(&store->clock);
    entry.expired = entry.expires <= entry.now && (entry.owner_dead || !idem_socache_is_lease(entry.value));
    return entry;
}
