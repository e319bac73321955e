/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spares.h - things that cost more to make than to use, kept by each thread for its next use.
 *
 * A thing begins with an idem_spare. A thread keeps at most IDEM_SPARES_MOST of a kind, and destroys them when it ends.
 * It never sees another thread's. A forked process goes on with its copies. Whoever hands a thing back has wiped it.
 */
#ifndef IDEM_SPARES_H
#define IDEM_SPARES_H

#include <pthread.h>
#include <stddef.h>

#define IDEM_SPARES_MOST 4

typedef struct idem_spare {
    struct idem_spare *next;
    int count; /* this one, and those under it */
    void (*destroy)(struct idem_spare *spare);
} idem_spare;

typedef struct idem_spares {
    pthread_key_t key;
    int is_open;
} idem_spares;

/* Once for each kind. Where it does not succeed nothing is kept. */
void idem_spares_open(idem_spares *spares);

/* When the library goes that destroys them, and no other thread uses them any more. */
void idem_spares_close(idem_spares *spares);

/* NULL where this thread has none. */
idem_spare *idem_spares_take(const idem_spares *spares);

/* One of plain memory, of so many bytes, all zero where this thread has none yet; NULL where there is no memory. */
idem_spare *idem_spares_take_or_make(const idem_spares *spares, size_t size);

/* spare->destroy is set. 0 where there are enough: the thing is still the caller's. */
int idem_spares_keep(const idem_spares *spares, idem_spare *spare);

/* The same; where there are enough it is destroyed. */
void idem_spares_keep_or_destroy(const idem_spares *spares, idem_spare *spare);

#endif
