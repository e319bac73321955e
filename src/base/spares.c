/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spares.c - a short stack of spare things for each thread, under a key of the C library's.
 *
 * Called by whatever makes such things, from any thread. The key's destructor runs when a thread ends, but not for the
 * thread that ends the process. It is code of this library, so the library deletes the key when it is unloaded.
 */
#include "spares.h"

#include <stdlib.h>

static void destroy_all(void *top)
{
    for (idem_spare *spare = top, *next; spare; spare = next) {
        next = spare->next;
        spare->destroy(spare);
    }
}

void idem_spares_open(idem_spares *spares)
{
    spares->is_open = pthread_key_create(&spares->key, destroy_all) == 0;
}

void idem_spares_close(idem_spares *spares)
{
    if (!spares->is_open)
        return;
    spares->is_open = 0;
    destroy_all(pthread_getspecific(spares->key));
    pthread_key_delete(spares->key);
}

idem_spare *idem_spares_take(const idem_spares *spares)
{
    idem_spare *top = spares->is_open ? pthread_getspecific(spares->key) : NULL;

    return top && pthread_setspecific(spares->key, top->next) == 0 ? top : NULL;
}

static void free_plain_spare(idem_spare *spare)
{
    free(spare);
}

idem_spare *idem_spares_take_or_make(const idem_spares *spares, size_t size)
{
    idem_spare *spare = idem_spares_take(spares);

    if (!spare)
        spare = calloc(1, size);
    if (spare)
        spare->destroy = free_plain_spare;
    return spare;
}

int idem_spares_keep(const idem_spares *spares, idem_spare *spare)
{
    idem_spare *top;

    if (!spares->is_open)
        return 0;
    top = pthread_getspecific(spares->key);
    spare->next = top;
    spare->count = top ? top->count + 1 : 1;
    return spare->count <= IDEM_SPARES_MOST && pthread_setspecific(spares->key, spare) == 0;
}

void idem_spares_keep_or_destroy(const idem_spares *spares, idem_spare *spare)
{
    if (!idem_spares_keep(spares, spare))
        spare->destroy(spare);
}
