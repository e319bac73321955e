/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - the store on httpd's small object caches: its driver's table.
 *
 * Called by the front. What always holds: the entries of a cache are touched only under one global mutex. Limits:
 * stands where httpd is around it only, since the providers are modules of httpd's.
 */
#include "socache_private.h"

static void socache_detach(idem_store *store)
{
    idem_liveness_close(((idem_socache *)store)->liveness);
}

static unsigned long socache_process(const idem_store *store, apr_uint64_t owner)
{
    (void)store;
    return idem_liveness_process(owner);
}

const idem_driver idem_driver_socache = {
    .scheme = "socache",
    .configure = idem_socache_configure,
    .open = idem_socache_open,
    .attach = idem_socache_attach,
    .detach = socache_detach,
    .claim = idem_socache_claim,
    .takeover = idem_socache_takeover,
    .renew = idem_socache_renew,
    .settle = idem_socache_settle,
    .release = idem_socache_release,
    .fetch = idem_socache_fetch,
    .each = idem_socache_each,
    .forget = idem_socache_forget,
    .sweep = idem_socache_sweep,
    .status = idem_socache_status,
    .page = idem_socache_page,
    .page_by_slot = 1,
    .process = socache_process,
    .forget_seen = idem_socache_forget_seen,
};
