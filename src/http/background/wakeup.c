/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wakeup.c - who waits in this server, and how a waiter of this process is woken.
 *
 * Called by duplicates that wait (waiting.c), and by transactions and keeper when a slot is settled. It knows slots and
 * places, no transaction.
 *
 * The server-wide bound is a table of process numbers in shared memory, one entry a waiter. A child that dies leaves
 * its entries behind. A process that finds the table full takes them back, if that child is gone. Waiters of one child
 * sleep on one of a few condition variables, chosen by slot: a wrong wake-up costs one look at the store.
 */
#include "wakeup.h"

#include "metrics.h"
#include "processes.h"
#include "threads.h"

#include <ap_mpm.h>
#include <apr_atomic.h>
#include <apr_shm.h>
#include <httpd.h>

#define BELLS 64

typedef struct wake_bell {
    pthread_mutex_t lock;
    pthread_cond_t rung;
    apr_uint32_t rings; /* guarded by lock: a ring between looking and sleeping is not missed */
} wake_bell;

static wake_bell bells[BELLS];
static volatile apr_uint32_t *places; /* shared: the waiters' processes, 0 for free */
static apr_uint32_t place_count;
static apr_uint32_t child_limit;
static volatile apr_uint32_t waiting_here;

/* ---- bounds ------------------------------------------------------------------------------------------------------ */

static apr_uint32_t mpm_number(int query)
{
    int n = 0;

    return ap_mpm_query(query, &n) == APR_SUCCESS && n > 0 ? (apr_uint32_t)n : 1;
}

apr_status_t idem_wakeup_open(apr_pool_t *pconf, apr_int64_t most)
{
    apr_uint32_t threads = mpm_number(AP_MPMQ_MAX_THREADS), workers = threads * mpm_number(AP_MPMQ_MAX_DAEMONS);
    apr_shm_t *shm;
    apr_status_t rv;

    place_count = most > 0 ? (apr_uint32_t)most : (workers + 3) / 4;
    child_limit = (apr_uint32_t)(((apr_uint64_t)place_count * threads + workers - 1) / workers);
    rv = apr_shm_create(&shm, place_count * sizeof(*places), NULL, pconf);
    if (rv != APR_SUCCESS)
        return rv;
    places = apr_shm_baseaddr_get(shm);
    for (apr_uint32_t i = 0; i < place_count; i++)
        apr_atomic_set32(&places[i], 0);
    return APR_SUCCESS;
}

void idem_wakeup_attach(void)
{
    for (int i = 0; i < BELLS; i++) {
        pthread_mutex_init(&bells[i].lock, NULL);
        idem_cond_init(&bells[i].rung);
    }
}

static volatile apr_uint32_t *find_place(void)
{
    apr_uint32_t me = idem_this_process();

    for (apr_uint32_t i = 0; i < place_count; i++)
        if (apr_atomic_cas32(&places[i], me, 0) == 0)
            return &places[i];
    for (apr_uint32_t i = 0; i < place_count; i++) {
        apr_uint32_t there = apr_atomic_read32(&places[i]);

        if (there && idem_process_gone(there) && apr_atomic_cas32(&places[i], me, there) == there)
            return &places[i];
    }
    return NULL;
}

volatile apr_uint32_t *idem_place_take(void)
{
    volatile apr_uint32_t *place = NULL;

    if (apr_atomic_inc32(&waiting_here) < child_limit && places)
        place = find_place();
    if (place)
        idem_metrics_change(IDEM_GAUGE_WAITERS, 1);
    else
        apr_atomic_dec32(&waiting_here);
    return place;
}

void idem_place_leave(volatile apr_uint32_t *place)
{
    apr_atomic_set32(place, 0);
    apr_atomic_dec32(&waiting_here);
    idem_metrics_change(IDEM_GAUGE_WAITERS, -1);
}

/* ---- waking ------------------------------------------------------------------------------------------------------ */

static wake_bell *bell_of(const unsigned char *slot)
{
    return &bells[slot[0] % BELLS];
}

void idem_wakeup_ring(const unsigned char slot[IDEM_SLOT_LEN])
{
    wake_bell *bell = bell_of(slot);

    if (!apr_atomic_read32(&waiting_here))
        return;
    pthread_mutex_lock(&bell->lock);
    bell->rings++;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

apr_uint32_t idem_wakeup_rings(const unsigned char slot[IDEM_SLOT_LEN])
{
    wake_bell *bell = bell_of(slot);
    apr_uint32_t rings;

    pthread_mutex_lock(&bell->lock);
    rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

void idem_wakeup_sleep(const unsigned char slot[IDEM_SLOT_LEN], apr_uint32_t rings, apr_interval_time_t pause)
{
    wake_bell *bell = bell_of(slot);

    pthread_mutex_lock(&bell->lock);
    if (bell->rings == rings)
        idem_cond_wait(&bell->rung, &bell->lock, idem_monotonic() + pause);
    pthread_mutex_unlock(&bell->lock);
}
