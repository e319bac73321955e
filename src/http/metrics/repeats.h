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

#include "again.h"

#define IDEM_REPEATS_SLOT IDEM_AGAIN_SLOT

typedef struct idem_repeated {
    unsigned char slot[IDEM_REPEATS_SLOT];
    unsigned long replayed, refused;
    apr_time_t last;
} idem_repeated;

/* A request with a key that front knows was answered. Any thread; takes no lock. */
void idem_repeats_note(const idem_front *front, const unsigned char *slot, int is_replay);

/* Tells the store what is new, where it keeps that, and no more than once a minute unless at_once. */
void idem_repeats_tell(idem_front *front, int at_once, apr_pool_t *pool);

/* What the store remembers, with what it has not been told yet; of a store that keeps nothing what memory has. */
apr_status_t idem_repeats_load(idem_front *front, apr_pool_t *pool, apr_hash_t **all, const char **why);

/* The slots that were sent again most often, the first one most; returns how many, at most `most`. */
int idem_repeats_top(idem_repeated *top, int most);

#endif
