/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability.h - what the preloaded interposer tells a test about a store's data file, and lets it break.
 *
 * durability_interposer.c stands between LMDB and the C library. Beside each data.mdb it keeps a shadow file with the
 * flushed bytes alone: the disk's content if power were lost at that instant, and nothing had been written early. One
 * process at a time writes to a watched file; its threads may be many.
 */
#ifndef IDEM_DURABILITY_H
#define IDEM_DURABILITY_H

#include <stdatomic.h>

#define DURABILITY_SHADOW ".flushed" /* appended to the data file's path */

typedef struct durability {
    /* What the test asks for. Counts go down with each call and strike at 1; 0 is never, -1 always. */
    atomic_int fail_write; /* this write to the data file fails with error */
    atomic_int fail_flush; /* this flush */
    atomic_int fail_meta;  /* this synchronous write, which is LMDB's of its meta page */
    atomic_int error;      /* errno of whatever fails */
    atomic_int stop_flush; /* before this flush the process stops itself (SIGSTOP) */
    atomic_int stop_write;
    atomic_int hold_flush; /* this flush waits for release, having raised held */
    atomic_int release;    /* lets one go */

    /* What the interposer counted. */
    atomic_long writes, flushes, metas, held;
} durability;

/* The interposer's; NULL without it. */
durability *durability_find(void);

/* Copies the shadow of data file from to the file to, at one instant. Returns 0, or -1 with errno. */
int durability_snapshot(const char *from, const char *to);

/* Writes to data files that no flush has followed yet. */
long durability_unflushed(void);

#endif
