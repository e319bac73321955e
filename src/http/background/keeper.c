/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper.c - the child's own thread.
 *
 * Called by the transaction to hand over what the store did not take. The thread wakes when there is a job, repeats
 * each with growing pauses until the store acknowledges or refuses it, and sweeps every store in small steps. Its
 * request renews a lease no more: the keeper does, on stores where a clock ends it.
 *
 * Under an MPM without threads only the first job starts it, and until then requests sweep at their end. The reason:
 * prefork frees its child's memory inside a signal handler. In a process with several threads this hangs if the signal
 * came inside malloc(). A process that an interpreter forks at that moment hangs with it, and holds the listening
 * sockets.
 *
 * Its memory is its own: each job is a pool under the keeper's root, which nobody destroys. A dying child sets `stop`
 * (child.c): from then on the thread touches nothing more once it has left the store.
 */
#include "keeper.h"

#include "bytes.h"
#include "log.h"
#include "metrics.h"
#include "mpm.h"
#include "notify.h"
#include "pools.h"
#include "repeats.h"
#include "stores.h"
#include "threads.h"
#include "wakeup.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

#include <apr_ring.h>
#include <apr_strings.h>

#define MOST_BYTES (64 * 1024 * 1024) /* of kept records; then tombstones */
#define MOST_JOBS 100000
#define FIRST_PAUSE apr_time_from_msec(100)
#define LONGEST_PAUSE apr_time_from_sec(2)
#define SWEEP_EVERY apr_time_from_sec(10)
#define SWEEP_STEP 200
/* How long a graceful end waits for the store: as long as for a long request. */
#define LAST_TRIES apr_time_from_sec(30)

typedef struct kept_job {
    APR_RING_ENTRY(kept_job) link;
    apr_pool_t *pool;
    idem_front *front;
    idem_blob value; /* to settle; data NULL: see head */
    idem_head head;  /* of the lease; without a value: to be encoded and settled, state 0: a claim to withdraw */
    unsigned char slot[IDEM_SLOT_LEN], token[IDEM_TOKEN_LEN];
    apr_interval_time_t next; /* monotonic, as all times here: nobody waits longer because a clock was set back */
    apr_interval_time_t pause;
} kept_job;

APR_RING_HEAD(job_ring, kept_job);

static struct {
    apr_pool_t *root;
    pthread_mutex_t lock; /* guards ring, bytes, jobs, running */
    pthread_cond_t wake;
    struct job_ring ring;
    apr_size_t bytes;
    int jobs;
    int running;  /* there is a thread */
    int threaded; /* the MPM has threads of its own */
    apr_interval_time_t next_sweep;
    server_rec *server;
} keeper;

static atomic_int stop;   /* the child ends: touch nothing more */
static atomic_int busy;   /* the thread is inside a store */
static atomic_int wanted; /* there is no thread, and there should be */

static void start_thread(void);

/* ---- jobs -------------------------------------------------------------------------------------------------------- */

static void note_size(const kept_job *job, int sign)
{
    idem_metrics_change(IDEM_GAUGE_JOBS, sign);
    idem_metrics_change(IDEM_GAUGE_BYTES, sign * (long)job->value.len);
}

static void enqueue_job(kept_job *job)
{
    job->pause = FIRST_PAUSE;
    job->next = idem_monotonic();
    pthread_mutex_lock(&keeper.lock);
    APR_RING_INSERT_TAIL(&keeper.ring, job, kept_job, link);
    keeper.bytes += job->value.len;
    keeper.jobs++;
    note_size(job, 1);
    if (!keeper.running)
        start_thread();
    pthread_cond_signal(&keeper.wake);
    pthread_mutex_unlock(&keeper.lock);
}

static kept_job *new_job(idem_front *front)
{
    apr_pool_t *pool;
    kept_job *made;
    int full;

    if (!keeper.root || atomic_load(&stop))
        return NULL;
    pthread_mutex_lock(&keeper.lock);
    full = keeper.jobs >= MOST_JOBS;
    pthread_mutex_unlock(&keeper.lock);
    if (full || idem_pool_alone(&pool) != APR_SUCCESS) {
        idem_metrics_job(IDEM_JOB_DROPPED);
        IDEM_SLOG(keeper.server, APLOG_ERR, 70,
                  "too many settlements wait for the store: this process dropped one. The key stays taken "
                  "until this process ends");
        return NULL;
    }
    made = apr_pcalloc(pool, sizeof(*made));
    made->pool = pool;
    made->front = front;
    return made;
}

void idem_keeper_settle(idem_front *front, const idem_head *head, idem_blob value, idem_blob fallback)
{
    kept_job *job = new_job(front);
    idem_blob keep = value;

    if (!job)
        return;
    pthread_mutex_lock(&keeper.lock);
    if (keeper.bytes + value.len > MOST_BYTES && fallback.data)
        keep = fallback;
    pthread_mutex_unlock(&keeper.lock);
    job->head = *head;
    job->value.data = apr_pmemdup(job->pool, keep.data, keep.len);
    job->value.len = keep.len;
    enqueue_job(job);
}

void idem_keeper_settle_head(idem_front *front, const idem_head *head)
{
    kept_job *job = new_job(front);

    if (!job)
        return;
    job->head = *head;
    memcpy(job->slot, head->slot, IDEM_SLOT_LEN);
    enqueue_job(job);
}

void idem_keeper_withdraw(idem_front *front, const unsigned char *slot, const unsigned char *token)
{
    kept_job *job = new_job(front);

    if (!job)
        return;
    memcpy(job->slot, slot, IDEM_SLOT_LEN);
    memcpy(job->token, token, IDEM_TOKEN_LEN);
    enqueue_job(job);
}

void idem_keeper_hurry(const idem_front *front)
{
    if (!keeper.root || atomic_load(&stop))
        return;
    pthread_mutex_lock(&keeper.lock);
    for (kept_job *job = APR_RING_FIRST(&keeper.ring); job != APR_RING_SENTINEL(&keeper.ring, kept_job, link);
         job = APR_RING_NEXT(job, link)) {
        if (job->front == front) {
            job->pause = FIRST_PAUSE;
            job->next = 0;
        }
    }
    pthread_cond_signal(&keeper.wake);
    pthread_mutex_unlock(&keeper.lock);
}

/* ---- the thread -------------------------------------------------------------------------------------------------- */

/* Known answers end a job; anything else is repeated. A full store may have room later. */
static int is_final(apr_status_t rv)
{
    return rv == APR_SUCCESS || rv == APR_NOTFOUND || rv == IDEM_ELOST;
}

/* 0: it settles nothing. */
static idem_state job_settles(const kept_job *job)
{
    return job->value.data ? idem_value_state(job->value) : job->head.state;
}

static apr_status_t try_job(const kept_job *job, apr_pool_t *pool)
{
    idem_blob value = job->value;
    const char *why = NULL;
    apr_status_t rv = APR_SUCCESS;

    if (!job_settles(job))
        return idem_front_release(job->front, job->slot, job->token, pool, &why);
    if (!value.data)
        rv = idem_front_encode(job->front, &job->head, NULL, pool, &value);
    return rv == APR_SUCCESS ? idem_front_settle(job->front, value, pool, &why) : rv;
}

/* A store may refuse a settlement, for want of room, and keep a lease. */
static void keep_job_lease(const kept_job *job, apr_pool_t *pool)
{
    const char *why = NULL;

    if (job_settles(job) && !(idem_front_store(job->front)->flags & IDEM_HOST_LOCAL))
        idem_front_renew(job->front, &job->head, pool, &why);
}

static int run_job(kept_job *job)
{
    apr_pool_t *pool;
    const unsigned char *slot;
    apr_status_t rv;
    int refused;

    apr_pool_create(&pool, job->pool);
    rv = try_job(job, pool);
    if (!is_final(rv))
        keep_job_lease(job, pool);
    apr_pool_destroy(pool);
    if (!is_final(rv))
        return 0;
    slot = job->value.data ? idem_value_slot(job->value) : job->slot;
    idem_wakeup_ring(slot);
    /* UNKNOWN is also sent after a takeover that nobody knows to have happened: the slot may rightly be another's */
    refused = rv == IDEM_ELOST && job_settles(job) && job_settles(job) != IDEM_STATE_UNKNOWN;
    idem_metrics_job(refused ? IDEM_JOB_REFUSED : IDEM_JOB_ACKNOWLEDGED);
    if (refused)
        idem_notify_post(IDEM_TELL_LOST, job->front, slot, 0);
    if (refused)
        IDEM_SLOG(keeper.server, APLOG_WARNING, 71,
                  "store %s refused a late settlement: another request holds the slot %02x%02x%02x%02x",
                  idem_front_url(job->front), slot[0], slot[1], slot[2], slot[3]);
    else
        IDEM_SLOG(keeper.server, APLOG_INFO, 72, "store %s acknowledged a late %s", idem_front_url(job->front),
                  job_settles(job) ? "settlement" : "withdrawal");
    return 1;
}

static kept_job *take_due(apr_interval_time_t now)
{
    kept_job *found = NULL;

    pthread_mutex_lock(&keeper.lock);
    for (kept_job *job = APR_RING_FIRST(&keeper.ring); job != APR_RING_SENTINEL(&keeper.ring, kept_job, link);
         job = APR_RING_NEXT(job, link)) {
        if (job->next <= now) {
            found = job;
            APR_RING_REMOVE(job, link);
            break;
        }
    }
    pthread_mutex_unlock(&keeper.lock);
    return found;
}

/* Never so long that the lease ends meanwhile: two tries may fail before that, as two renewals may. */
static apr_interval_time_t longest_pause(const kept_job *job)
{
    apr_interval_time_t third = job->head.lease / 3;

    return third && third < LONGEST_PAUSE ? third : LONGEST_PAUSE;
}

static void put_back(kept_job *job)
{
    apr_interval_time_t most = longest_pause(job);

    job->pause = 2 * job->pause < most ? 2 * job->pause : most;
    job->next = idem_monotonic() + job->pause;
    pthread_mutex_lock(&keeper.lock);
    APR_RING_INSERT_TAIL(&keeper.ring, job, kept_job, link);
    pthread_mutex_unlock(&keeper.lock);
}

static void drop_job(kept_job *job)
{
    pthread_mutex_lock(&keeper.lock);
    keeper.bytes -= job->value.len;
    keeper.jobs--;
    note_size(job, -1);
    pthread_mutex_unlock(&keeper.lock);
    apr_pool_destroy(job->pool);
}

static void run_due(void)
{
    apr_interval_time_t now = idem_monotonic();
    kept_job *job;

    while (!atomic_load(&stop) && (job = take_due(now))) {
        atomic_store(&busy, 1);
        if (!atomic_load(&stop) && run_job(job))
            drop_job(job);
        else
            put_back(job);
        atomic_store(&busy, 0);
    }
}

/* Returns how many entries went: a full step is followed by the next at once. */
static int sweep_step(idem_front *front, apr_pool_t *pool)
{
    const char *why = NULL;
    int removed = 0;

    atomic_store(&busy, 1);
    if (!atomic_load(&stop)) {
        idem_front_sweep(front, SWEEP_STEP, pool, &removed, &why);
        idem_notify_room(front, pool);
        idem_repeats_tell(front, 0, pool);
    }
    atomic_store(&busy, 0);
    return removed;
}

/* Each child sweeps on its own. */
static void sweep_steps(int steps)
{
    const apr_array_header_t *fronts = idem_stores_all();
    apr_pool_t *pool;

    keeper.next_sweep = idem_monotonic() + SWEEP_EVERY;
    if (idem_pool_alone(&pool) != APR_SUCCESS)
        return;
    for (int i = 0; i < fronts->nelts; i++) {
        int left = steps;

        while (left-- > 0 && !atomic_load(&stop) &&
               sweep_step(APR_ARRAY_IDX(fronts, i, idem_front *), pool) == SWEEP_STEP)
            apr_pool_clear(pool);
    }
    apr_pool_destroy(pool);
}

void idem_keeper_request_ended(void)
{
    if (atomic_load(&wanted) && !atomic_load(&stop)) {
        pthread_mutex_lock(&keeper.lock);
        if (!keeper.running)
            start_thread();
        pthread_mutex_unlock(&keeper.lock);
    }
    /* Only where there are no threads: nobody else looks at running meanwhile. */
    if (!keeper.threaded && !keeper.running && !atomic_load(&stop) && idem_monotonic() >= keeper.next_sweep)
        sweep_steps(1);
}

static void wait_a_little(void)
{
    pthread_mutex_lock(&keeper.lock);
    if (!atomic_load(&stop))
        idem_cond_wait(&keeper.wake, &keeper.lock, idem_monotonic() + (keeper.jobs ? FIRST_PAUSE : SWEEP_EVERY));
    pthread_mutex_unlock(&keeper.lock);
}

static void *keeper_main(void *unused)
{
    (void)unused;
    while (!atomic_load(&stop)) {
        wait_a_little();
        run_due();
        if (!atomic_load(&stop) && idem_monotonic() >= keeper.next_sweep)
            sweep_steps(INT_MAX);
    }
    return NULL;
}

/* ---- beginning and end ------------------------------------------------------------------------------------------- */

void idem_keeper_stop(void)
{
    atomic_store(&stop, 1);
}

int idem_keeper_busy(void)
{
    return atomic_load(&busy);
}

void idem_keeper_last_tries(const atomic_int *hurry)
{
    apr_interval_time_t give_up = idem_monotonic() + LAST_TRIES;

    while (!APR_RING_EMPTY(&keeper.ring, kept_job, link)) {
        kept_job *job = APR_RING_FIRST(&keeper.ring);

        idem_front_let_probe(job->front, 0); /* nobody else looks any more whether it is back */
        while (!run_job(job)) {
            if (atomic_load(hurry) || idem_monotonic() >= give_up) {
                idem_metrics_job(IDEM_JOB_DROPPED);
                IDEM_SLOG(keeper.server, APLOG_ERR, 74,
                          "store %s did not take a settlement before this process ended: the outcome of its key "
                          "is unknown",
                          idem_front_url(job->front));
                idem_notify_post(IDEM_TELL_UNKNOWN, job->front,
                                 job->value.data ? idem_value_slot(job->value) : job->slot, 0);
                break;
            }
            apr_sleep(FIRST_PAUSE);
        }
        APR_RING_REMOVE(job, link);
        drop_job(job);
    }
}

static void keeper_forked(void)
{
    atomic_store(&busy, 0); /* there is no such thread here */
}

/* Under lock, or before there are others. */
static void start_thread(void)
{
    static int guarded;
    int failed;

    if (!keeper.threaded && !guarded++)
        pthread_atfork(NULL, NULL, keeper_forked);
    failed = idem_thread_start(keeper_main, NULL, 0);
    keeper.running = !failed;
    atomic_store(&wanted, failed); /* the end of the next request asks again */
    if (failed)
        IDEM_SLOG(keeper.server, APLOG_ERR, 73,
                  "cannot start the keeper's thread (%d): settlements that fail wait until it starts", failed);
}

void idem_keeper_start(server_rec *s)
{
    keeper.server = s;
    keeper.next_sweep = idem_monotonic() + SWEEP_EVERY;
    keeper.threaded = idem_threads_usual();
    APR_RING_INIT(&keeper.ring, kept_job, link);
    if (idem_pool_alone(&keeper.root) != APR_SUCCESS) {
        keeper.root = NULL;
        return;
    }
    pthread_mutex_init(&keeper.lock, NULL);
    idem_cond_init(&keeper.wake);
    if (keeper.threaded)
        start_thread();
}
