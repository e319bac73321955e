/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - what concerns all entries: their list, the sweep, the state of the store.
 *
 * Called in the thread that owns the connection. What always holds: each statement handles a bounded number of rows,
 * and none is under way while an entry is visited. Limits: entries that are written while they are listed may be
 * missed; the count of many entries is the database's estimate.
 */
#include "dbd_private.h"

#include <apr_strings.h>

static apr_status_t one_row(idem_dbd_conn *conn, idem_call *call, const idem_dbd_order *order, idem_dbd_row *row)
{
    apr_status_t rv = idem_dbd_ask(conn, call, order->statement, order, row);

    if (rv == APR_SUCCESS && !idem_dbd_next(conn, row))
        rv = idem_dbd_fail(conn->access, call, APR_EGENERAL, "%s gave no answer", conn->access->config.engine->title);
    return rv;
}

apr_status_t idem_dbd_do_sweep(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    idem_dbd_row row;
    apr_status_t rv;

    if (!conn->access->config.engine->shows)
        return idem_dbd_change(conn, call, order->statement, order, &order->count);
    rv = one_row(conn, call, order, &row);
    if (rv == APR_SUCCESS)
        order->count = (int)idem_dbd_number(conn, &row, 1);
    return rv;
}

apr_status_t idem_dbd_do_status(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    idem_dbd_row row;
    apr_status_t rv = one_row(conn, call, order, &row);

    if (rv != APR_SUCCESS)
        return rv;
    order->status.entries_known = 1;
    order->status.entries = (apr_uint64_t)idem_dbd_number(conn, &row, 1);
    order->status.bytes_used = (apr_uint64_t)idem_dbd_number(conn, &row, 2);
    order->status.bytes_max = (apr_uint64_t)idem_dbd_number(conn, &row, 3);
    order->status.text = apr_psprintf(call->pool, "%s %s, table %s", conn->access->config.engine->title,
                                      conn->facts.version, conn->access->config.table);
    return APR_SUCCESS;
}

/* The next entries behind order->slot. */
apr_status_t idem_dbd_do_each(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    enum { SLOT = 1, STATE, DEAD, EXPIRES, VALUE };
    idem_dbd_row row;
    apr_status_t rv = idem_dbd_ask(conn, call, order->statement, order, &row);

    order->entries = apr_pcalloc(call->pool, sizeof(*order->entries) * (apr_size_t)order->most);
    order->count = 0;
    while (rv == APR_SUCCESS && order->count < order->most && idem_dbd_next(conn, &row)) {
        idem_dbd_entry *entry = &order->entries[order->count];
        idem_blob slot;

        rv = idem_dbd_bytes(conn, call, &row, SLOT, &slot);
        if (rv == APR_SUCCESS && slot.len == IDEM_SLOT_LEN)
            rv = idem_dbd_bytes(conn, call, &row, VALUE, &entry->found.value);
        if (rv != APR_SUCCESS || slot.len != IDEM_SLOT_LEN)
            break;
        memcpy(entry->slot, slot.data, IDEM_SLOT_LEN);
        entry->found.owner_dead =
            idem_dbd_number(conn, &row, STATE) == IDEM_STATE_LEASE && idem_dbd_number(conn, &row, DEAD);
        entry->found.expires = idem_dbd_number(conn, &row, EXPIRES) * 1000;
        order->count++;
    }
    return rv;
}
