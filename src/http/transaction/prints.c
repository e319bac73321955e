/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prints.c - makes of a fingerprint what is asked for, once.
 *
 * Called by naming.c, which evaluates the parts, before a claim, and by compare.c. What always holds: the values are
 * those of the first evaluation. Changes by a handler do not count. A replay that is equal to its record asks for no
 * digest of a part; a record of an earlier version asks for another form. What was found in a body is forgotten soon,
 * so there all is made at once.
 */
#include "prints.h"

#include "stores.h"

#include <apr_strings.h>

static const idem_blob *secret_of(const idem_txn *txn)
{
    return idem_keyring_print_key(txn->ring);
}

static apr_status_t make_older(idem_txn *txn)
{
    idem_print *older = apr_palloc(txn->r->pool, sizeof(*older));
    apr_status_t rv = idem_print_make(secret_of(txn), txn->values, (int)txn->head.print.parts, 0, older);

    if (rv == APR_SUCCESS)
        rv = idem_print_tell_parts(secret_of(txn), txn->values, older);
    txn->older = rv == APR_SUCCESS ? older : NULL;
    return rv;
}

apr_status_t idem_prints_tell(idem_txn *txn)
{
    apr_status_t rv = APR_SUCCESS;

    if (!txn->told)
        rv = idem_print_tell_parts(secret_of(txn), txn->values, &txn->head.print);
    txn->told |= rv == APR_SUCCESS;
    return rv;
}

apr_status_t idem_prints_take(idem_txn *txn, const idem_part_value *values, int count)
{
    apr_status_t rv = idem_print_make(secret_of(txn), values, count, 1, &txn->head.print);

    txn->values = apr_pmemdup(txn->r->pool, values, (apr_size_t)count * sizeof(*values));
    if (rv == APR_SUCCESS && txn->asked.body)
        rv = idem_prints_tell(txn);
    if (rv == APR_SUCCESS && txn->asked.body)
        rv = make_older(txn);
    return rv;
}

const idem_print *idem_prints_like(idem_txn *txn, const idem_print *kept)
{
    if (kept->body_flags & IDEM_PRINT_BRIEF)
        return idem_prints_tell(txn) == APR_SUCCESS ? &txn->head.print : NULL;
    if (!txn->older && make_older(txn) != APR_SUCCESS)
        return NULL;
    txn->older->body_flags = txn->head.print.body_flags & ~(unsigned)IDEM_PRINT_BRIEF;
    return txn->older;
}
