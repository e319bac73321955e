/* SPDX-License-Identifier: Apache-2.0 */
/*
 * repeats.h - how often a key is sent again. Counted in memory, so that a replay writes nothing.
 *
 * The table is shared by all children and outlives restarts, as all that is counted. It has a fixed number of slots.
 * Where there is no room, the key that was asked for least lately is forgotten. Numbers are as exact as a log of the
 * last thousands of keys needs: two requests that come to an entry at once may lose one count.
 */
#ifndef IDEM_REPEATS_H
#define IDEM_REPEATS_H

#include "idem_store.h"

#define IDEM_REPEATS_SLOT 8 /* bytes of a slot that are kept: enough to find it, and to tell it from others */

typedef struct idem_repeated {
    unsigned char slot[IDEM_REPEATS_SLOT];
    unsigned long replayed, refused;
    apr_time_t last;
} idem_repeated;

/* A request with a known key was answered. Any thread; takes no lock. */
void idem_repeats_note(const unsigned char *slot, int is_replay);

/* The slots that were sent again most often, the first one most; returns how many, at most `most`. */
int idem_repeats_top(idem_repeated *top, int most);

#endif
