/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outage.c - a store that stops answering: logs once that it is not called any more, probes it, and logs once that it
 * is called again.
 *
 * Called by a front when the breaker of a part of its store opens or closes, in whichever thread made it so. While it
 * is open a thread of its own probes that part. No request ever waits for the probe, and a server that hangs holds this
 * thread only. The thread ends with the outage. An MPM without threads has no such thread. There the child's next
 * request after a pause is the probe (mpm.h says what a thread costs). Threads are detached and never joined, as the
 * keeper's is not.
 */
#include "outage.h"

#include "keeper.h"
#include "log.h"
#include "metrics.h"
#include "mpm.h"
#include "notify.h"
#include "pools.h"
#include "renewer.h"
#include "stores.h"
#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include <apr_strings.h>

typedef struct watched {
    idem_front *front;
    int part;
    char name[20]; /* of the part, with what separates it from the store's; "" where there is one */
    server_rec *server;
    pthread_mutex_t lock; /* guards what follows */
    int running;          /* a thread probes this store */
    int again;            /* it has opened since that thread probed last */
} watched;

static int threaded;
static atomic_int stop, busy;

static apr_interval_time_t probe_once(const watched *w)
{
    apr_interval_time_t pause = apr_time_from_sec(1);
    apr_pool_t *pool;

    if (idem_pool_alone(&pool) != APR_SUCCESS)
        return pause;
    atomic_fetch_add(&busy, 1);
    if (!atomic_load(&stop))
        pause = idem_front_probe(w->front, w->part, pool);
    atomic_fetch_sub(&busy, 1);
    apr_pool_destroy(pool);
    return pause;
}

/* Nothing is due any more, and no opening was told after that was found. */
static int may_end(watched *w, apr_interval_time_t pause)
{
    int ends;

    pthread_mutex_lock(&w->lock);
    ends = pause == 0 && !w->again;
    if (ends)
        w->running = 0;
    w->again = 0;
    pthread_mutex_unlock(&w->lock);
    return ends;
}

static void *probe_until_back(void *data)
{
    watched *w = data;

    while (!atomic_load(&stop)) {
        apr_interval_time_t pause = probe_once(w);
        struct timespec rest = {(time_t)apr_time_sec(pause), (long)apr_time_usec(pause) * 1000};

        if (may_end(w, pause))
            break;
        nanosleep(&rest, NULL);
    }
    return NULL;
}

/* Without a thread the callers probe. */
static void start_probing(watched *w)
{
    if (!threaded)
        return;
    pthread_mutex_lock(&w->lock);
    w->again = 1;
    if (!w->running) {
        w->running = idem_thread_start(probe_until_back, w, 0) == 0;
        if (!w->running)
            idem_front_let_probe(w->front, 0);
    }
    pthread_mutex_unlock(&w->lock);
}

/*
 * Two reports may come in the wrong order, the opening after the closing. So this counts the breakers that are open
 * now.
 */
static void count_state(watched *w)
{
    idem_health now;

    pthread_mutex_lock(&w->lock);
    idem_front_health(w->front, &now);
    idem_metrics_breaker(w->front, now.state != IDEM_BREAKER_CLOSED);
    pthread_mutex_unlock(&w->lock);
}

static void health_changed(void *baton, const idem_health *health)
{
    watched *parts = baton, *w = &parts[health->part];

    count_state(parts);
    if (atomic_load(&stop))
        return;
    if (health->state == IDEM_BREAKER_CLOSED) {
        IDEM_SLOG(w->server, APLOG_NOTICE, 23, "store %s%s answers again: this process uses it again after %d ms",
                  idem_front_url(w->front), w->name, (int)apr_time_as_msec(health->before));
        idem_keeper_hurry(w->front);
        idem_renewer_hurry(w->front);
        return;
    }
    IDEM_SLOG(w->server, APLOG_WARNING, 22,
              "store %s%s does not answer: this process stops calling it until it answers again: %s",
              idem_front_url(w->front), w->name, health->reason);
    idem_notify_post(IDEM_TELL_DOWN, w->front, NULL, 0);
    start_probing(w);
}

static void watch_front(watched *w, idem_front *front, int part, server_rec *s)
{
    idem_health health;

    idem_front_part_health(front, part, &health);
    w->front = front;
    w->part = part;
    if (health.parts > 1)
        apr_snprintf(w->name, sizeof(w->name), ", part %d of %d", part + 1, health.parts);
    w->server = s;
    pthread_mutex_init(&w->lock, NULL);
}

static void watch_all(idem_front *front, server_rec *s)
{
    idem_health health;
    watched *parts;

    idem_front_health(front, &health);
    parts = calloc((size_t)health.parts, sizeof(*parts)); /* a child's threads outlive its pools by a moment */
    if (!parts)
        abort();
    for (int i = 0; i < health.parts; i++)
        watch_front(&parts[i], front, i, s);
    idem_front_set_watcher(front, health_changed, parts);
    count_state(parts);
    for (int i = 0; i < health.parts; i++) {
        idem_front_part_health(front, i, &health);
        if (health.state == IDEM_BREAKER_CLOSED)
            continue;
        idem_notify_post(IDEM_TELL_DOWN, front, NULL, 0);
        start_probing(&parts[i]); /* it could not be attached, and that has been said */
    }
}

void idem_outage_start(server_rec *s)
{
    const apr_array_header_t *fronts = idem_stores_all();

    threaded = idem_threads_usual();
    for (int i = 0; i < fronts->nelts; i++) {
        idem_front *front = APR_ARRAY_IDX(fronts, i, idem_front *);

        idem_front_let_probe(front, threaded);
        watch_all(front, s);
    }
}

void idem_outage_stop(void)
{
    atomic_store(&stop, 1);
}

int idem_outage_busy(void)
{
    return atomic_load(&busy) > 0;
}
