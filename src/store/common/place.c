/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - places in a list of entries that goes by the order of slots.
 *
 * Called by the drivers' page(). A place comes back from outside, so it is read as what a stranger says.
 */
#include "place.h"

#include <apr_escape.h>
#include <string.h>

int idem_slot_of_place(const char *place, unsigned char slot[IDEM_SLOT_LEN])
{
    apr_size_t len = 2 * IDEM_SLOT_LEN;

    return strlen(place) == len && strspn(place, "0123456789abcdef") == len &&
           apr_unescape_hex(slot, place, (apr_ssize_t)len, 0, NULL) == APR_SUCCESS;
}

void idem_place_of_slot(const unsigned char *slot, char place[IDEM_PLACE_LEN])
{
    apr_escape_hex(place, slot, IDEM_SLOT_LEN, 0, NULL);
}
