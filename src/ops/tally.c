/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tally.c - counts entries: what a store holds, by state. Called for each entry of a list.
 */
#include "ops.h"

void idem_tally_add(idem_tally *tally, const idem_view *view)
{
    tally->entries[view->state]++;
    tally->bytes[view->state] += view->size;
    tally->all++;
    tally->all_bytes += view->size;
    tally->sealed += view->is_sealed != 0;
    tally->unopened += view->is_sealed && !view->is_open && view->state == IDEM_SHOWN_RECORD;
    if (view->state == IDEM_SHOWN_UNKNOWN && view->written &&
        (!tally->oldest_unknown || view->written < tally->oldest_unknown))
        tally->oldest_unknown = view->written;
}
