/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driver.c - the embedded store: its driver's table, and how a process begins and ends its use.
 *
 * Called by the front. What always holds: a process opens a directory once, however many stores name it. Limits:
 * processes of one host; the file never grows past its option size=.
 */
#include "lmdb_private.h"

#include <apr_strings.h>

static apr_status_t lmdb_attach(idem_store *store, apr_pool_t *pool, const char **why)
{
    lmdb_store *mine = (lmdb_store *)store;
    char said[LMDB_WHY] = "";
    apr_status_t status;

    *why = NULL;
    if (mine->base)
        return APR_SUCCESS;
    mine->base = idem_lmdb_base_get(mine, &status, said);
    if (!mine->base) {
        *why = apr_pstrdup(pool, said);
        return status;
    }
    store->owner = idem_liveness_owner(mine->base->liveness);
    return APR_SUCCESS;
}

static void lmdb_detach(idem_store *store)
{
    lmdb_store *mine = (lmdb_store *)store;
    if (mine->base)
        idem_lmdb_base_put(mine->base);
    mine->base = NULL;
}

static unsigned long lmdb_process(const idem_store *store, apr_uint64_t owner)
{
    (void)store;
    return idem_liveness_process(owner);
}

const idem_driver idem_driver_lmdb = {
    .scheme = "lmdb",
    .configure = idem_lmdb_configure,
    .open = idem_lmdb_open,
    .attach = lmdb_attach,
    .detach = lmdb_detach,
    .claim = idem_lmdb_claim,
    .takeover = idem_lmdb_takeover,
    .renew = idem_lmdb_renew,
    .settle = idem_lmdb_settle,
    .release = idem_lmdb_release,
    .fetch = idem_lmdb_fetch,
    .each = idem_lmdb_each,
    .forget = idem_lmdb_forget,
    .sweep = idem_lmdb_sweep,
    .status = idem_lmdb_status,
    .page = idem_lmdb_page,
    .page_by_slot = 1,
    .process = lmdb_process,
    .forget_seen = idem_lmdb_forget_seen,
};
