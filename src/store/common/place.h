/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.h - a place in a list that goes by the order of slots: the slot behind which it goes on, in hexadecimal digits.
 */
#ifndef IDEM_PLACE_H
#define IDEM_PLACE_H

#include "idem_store.h"

/* 0 if it is none. */
int idem_slot_of_place(const char *place, unsigned char slot[IDEM_SLOT_LEN]);

void idem_place_of_slot(const unsigned char *slot, char place[IDEM_PLACE_LEN]);

#endif
