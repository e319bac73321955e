/* SPDX-License-Identifier: Apache-2.0 */
/*
 * again.h - how often keys were sent again, as a store remembers it: one entry under a slot that no key gives.
 *
 * A server counts in memory and adds what is new now and then, so that no replay writes. The entry says nothing of
 * other entries' validity; without it only the counts are gone. Several servers may add to it.
 */
#ifndef IDEM_AGAIN_H
#define IDEM_AGAIN_H

#include "front.h"

#include <apr_hash.h>

#define IDEM_AGAIN_SLOT 8    /* bytes of a slot that are kept: enough to find it, and to tell it from others */
#define IDEM_AGAIN_MOST 2000 /* keys that are remembered; those that were sent least often are left out */

typedef struct idem_again {
    unsigned char slot[IDEM_AGAIN_SLOT];
    apr_uint64_t replayed, refused;
    apr_time_t last; /* asked for; whole seconds */
} idem_again;

/* Does the store keep them? Not where entries cannot be listed, nor where what is kept could drive out what counts. */
int idem_again_is_kept(const idem_front *front);

/* What the store remembers: of idem_again *, by slot; empty if it keeps nothing. */
apr_status_t idem_again_load(idem_front *front, apr_pool_t *pool, apr_hash_t **all, const char **why);

/* Adds one to what is there; the rows of all are its own. */
void idem_again_count(apr_hash_t *all, const idem_again *one, apr_pool_t *pool);

/* Adds to what the store remembers. */
apr_status_t idem_again_add(idem_front *front, const idem_again *rows, int count, apr_pool_t *pool, const char **why);

/* Of an entry that was written then (0: not known): NULL if it was not sent again since. */
const idem_again *idem_again_of(apr_hash_t *all, const unsigned char *slot, apr_time_t written);

/* The rows that were sent again most often, the first one most. */
apr_array_header_t *idem_again_top(apr_hash_t *all, int most, apr_pool_t *pool);

#endif
