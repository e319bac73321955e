/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rings.h - secrets for tests, and rings made of them. Linked to every unit test.
 */
#ifndef IDEM_UNIT_RINGS_H
#define IDEM_UNIT_RINGS_H

#include "unit.h"

#include "keyring.h"

#define UNIT_SLOT_TEXT "the slot's secret, made of 37 letters"
#define UNIT_SEAL_A_TEXT "the first seal's secret, 32 and more"
#define UNIT_SEAL_B_TEXT "the second seal's secret, 32 or more"
#define UNIT_SLOT "slot: " UNIT_SLOT_TEXT "\n"
#define UNIT_SEAL_A "seal: " UNIT_SEAL_A_TEXT "\n"
#define UNIT_SEAL_B "seal: " UNIT_SEAL_B_TEXT "\n"

/* Read from right before an unreadable page, without a NUL behind it; it must be good. */
static inline const idem_keyring *unit_ring(apr_pool_t *pool, const char *text)
{
    idem_blob guarded = unit_guarded(pool, text, strlen(text));
    const char *why = NULL;
    idem_keyring *ring = NULL;

    if (idem_keyring_parse(&ring, (const char *)guarded.data, guarded.len, pool, &why) != APR_SUCCESS)
        fail_msg("the ring is refused: %s", why);
    assert_null(why);
    return ring;
}

#endif
