/* SPDX-License-Identifier: Apache-2.0 */
/*
 * worker.c - a thread that owns a connection, and how it is asked and left.
 *
 * Called by the pool of workers, in the threads of requests. Client libraries wait for a hung or vanished server for as
 * long as the kernel does, in connecting as well as in a call. APR cannot bound them. So threads of our own call them.
 * A request's thread asks, waits no longer than its deadline, and then leaves. A worker that was left shuts its socket
 * down if it can find it. It closes the connection in any case, ends, and is never asked again. What always holds: an
 * order's data is copied before the worker is asked, since the asker may leave before the worker reads it. Only an
 * asker that has not left reads the answer. A worker takes no signals. Limits: a thread that hangs in connecting stays
 * until the client library or the kernel gives up (libpq: connect_timeout; two minutes for a host that is gone). At
 * most HANGING_MOST of them hang.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HANGING_MOST 200
#define CLOSING_TIME apr_time_from_sec(1) /* that detach() waits for a thread to close its connection */

enum { FREE, ASKED, ANSWERED, LEFT, CLOSING, CLOSED };

struct idem_dbd_worker {
    idem_dbd_access *access;
    apr_pool_t *pool;    /* the order's; of the asker while FREE or ANSWERED, else of the thread */
    idem_dbd_conn *conn; /* the thread's; NULL for none */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    int phase;
    int awaited; /* somebody waits for CLOSED and frees the worker */
    int socket;  /* while it may be shut down, else -1 */
    idem_dbd_order order;
    idem_call call;
    apr_interval_time_t until; /* of idem_monotonic() */
    apr_status_t status;
};

/* ---- the thread: its connection ---------------------------------------------------------------------------------- */

static void show_socket(idem_dbd_worker *worker, int socket)
{
    pthread_mutex_lock(&worker->lock);
    worker->socket = socket;
    if (worker->phase == LEFT && socket >= 0)
        shutdown(socket, SHUT_RDWR);
    pthread_mutex_unlock(&worker->lock);
}

static void worker_hang_up(idem_dbd_worker *worker)
{
    if (!worker->conn)
        return;
    show_socket(worker, -1); /* its number may soon be another's */
    idem_dbd_close(worker->conn);
    worker->conn = NULL;
}

static apr_status_t connect_anew(idem_dbd_worker *worker)
{
    apr_status_t rv;

    worker_hang_up(worker);
    rv = idem_dbd_connect(worker->access, &worker->call, &worker->conn);
    if (rv == APR_SUCCESS)
        show_socket(worker, idem_dbd_socket(worker->conn));
    return rv;
}

/* An event on one connection (a restart, a failover, a lost host) has hit the older ones, too. */
static int is_stale(const idem_dbd_worker *worker)
{
    return worker->conn->generation != atomic_load(&worker->access->generation) || !idem_dbd_is_quiet(worker->conn);
}

/* ---- the thread: its orders -------------------------------------------------------------------------------------- */

static apr_status_t carry_out_order(idem_dbd_worker *worker)
{
    idem_dbd_conn *conn = worker->conn;
    apr_status_t rv;

    conn->until = worker->until;
    worker->call.why = NULL;
    rv = worker->order.task(conn, &worker->call, &worker->order);
    apr_pool_clear(conn->scratch);
    if (rv == APR_ECONNRESET || rv == APR_EGENERAL || rv == IDEM_EDAMAGED) {
        atomic_fetch_add(&worker->access->generation, rv == APR_ECONNRESET);
        worker_hang_up(worker);
        return rv;
    }
    conn->proven = 1;
    return rv;
}

/*
 * The other end may have closed a waiting connection without our notice. An order that does no harm if it is done twice
 * is tried once more, on a new connection.
 */
static apr_status_t worker_serve(idem_dbd_worker *worker)
{
    apr_status_t rv = APR_SUCCESS;
    int was_proven;

    if (!worker->conn || is_stale(worker))
        rv = connect_anew(worker);
    if (rv != APR_SUCCESS)
        return rv;
    was_proven = worker->conn->proven;
    rv = carry_out_order(worker);
    if (rv != APR_ECONNRESET || !was_proven || !worker->order.harmless_twice || idem_monotonic() >= worker->until)
        return rv;
    rv = connect_anew(worker);
    return rv == APR_SUCCESS ? carry_out_order(worker) : rv;
}

static void worker_free(idem_dbd_worker *worker)
{
    idem_dbd_access *access = worker->access;

    pthread_mutex_destroy(&worker->lock);
    pthread_cond_destroy(&worker->changed);
    apr_pool_destroy(worker->pool);
    free(worker);
    idem_dbd_access_done(access);
}

/* Returns the phase: ASKED, LEFT or CLOSING. */
static int await_order(idem_dbd_worker *worker)
{
    int phase;

    pthread_mutex_lock(&worker->lock);
    while (worker->phase == FREE || worker->phase == ANSWERED)
        pthread_cond_wait(&worker->changed, &worker->lock);
    phase = worker->phase;
    pthread_mutex_unlock(&worker->lock);
    return phase;
}

static void worker_answer(idem_dbd_worker *worker, apr_status_t status)
{
    pthread_mutex_lock(&worker->lock);
    worker->status = status;
    if (worker->phase == ASKED)
        worker->phase = ANSWERED;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
}

static void *worker_run(void *data)
{
    idem_dbd_worker *worker = data;
    int awaited;

    while (await_order(worker) == ASKED) {
        apr_status_t status;
        idem_dbd_enter();
        status = worker_serve(worker);
        idem_dbd_leave(worker->conn != NULL);
        worker_answer(worker, status);
    }
    idem_dbd_enter();
    worker_hang_up(worker);
    idem_dbd_leave(0);
    pthread_mutex_lock(&worker->lock);
    if (worker->phase == LEFT)
        atomic_fetch_sub(&worker->access->hanging, 1);
    awaited = worker->awaited;
    worker->phase = CLOSED;
    pthread_cond_broadcast(&worker->changed);
    pthread_mutex_unlock(&worker->lock);
    if (!awaited)
        worker_free(worker);
    return NULL;
}

/* ---- making one -------------------------------------------------------------------------------------------------- */

static void init_lock(idem_dbd_worker *worker)
{
    pthread_mutex_init(&worker->lock, NULL);
    idem_cond_init(&worker->changed);
}

apr_status_t idem_dbd_worker_open(idem_dbd_access *access, idem_dbd_worker **out)
{
    idem_dbd_worker *worker;
    int failed;

    if (atomic_load(&access->hanging) >= HANGING_MOST)
        return APR_EBUSY;
    worker = calloc(1, sizeof(*worker));
    if (!worker || (worker->pool = idem_dbd_own_pool()) == NULL) {
        free(worker);
        return APR_ENOMEM;
    }
    atomic_fetch_add(&access->users, 1);
    worker->access = access;
    worker->socket = -1;
    init_lock(worker);
    failed = idem_dbd_thread_start(worker_run, worker);
    if (failed)
        worker_free(worker);
    *out = worker;
    return failed;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* The lock is held. Waits for another phase than this until the moment of idem_monotonic(). */
static void await_change(idem_dbd_worker *worker, int phase, apr_interval_time_t until)
{
    while (worker->phase == phase && idem_cond_wait(&worker->changed, &worker->lock, until) == 0)
        ;
}

/* Into the worker's memory. */
static void place_order(idem_dbd_worker *worker, const idem_call *call, const idem_dbd_order *order)
{
    apr_pool_clear(worker->pool);
    worker->order = *order;
    worker->order.entries = NULL; /* of an earlier answer */
    worker->order.count = 0;
    if (order->value.len)
        worker->order.value =
            idem_blob_of(apr_pmemdup(worker->pool, order->value.data, order->value.len), order->value.len);
    worker->call = (idem_call){.pool = worker->pool, .deadline = call->deadline};
    worker->until = idem_monotonic() + (call->deadline - apr_time_now());
}

static idem_found copy_found(const idem_found *found, apr_pool_t *pool)
{
    idem_found copy = *found;

    if (found->value.len)
        copy.value = idem_blob_of(apr_pmemdup(pool, found->value.data, found->value.len), found->value.len);
    return copy;
}

/* Out of it. */
static void take_answer(const idem_dbd_worker *worker, idem_call *call, idem_dbd_order *order)
{
    const idem_dbd_order *from = &worker->order;

    call->why = apr_pstrdup(call->pool, worker->call.why);
    order->found = copy_found(&from->found, call->pool);
    order->count = from->count;
    order->status = from->status;
    order->status.text = apr_pstrdup(call->pool, from->status.text);
    if (!from->entries)
        return;
    order->entries = apr_pmemdup(call->pool, from->entries, sizeof(*from->entries) * (apr_size_t)from->count);
    for (int i = 0; i < from->count; i++)
        order->entries[i].found = copy_found(&from->entries[i].found, call->pool);
}

/* The lock is held. Nobody will ask it again; what it waits for is made to fail. */
static void leave_worker(idem_dbd_worker *worker)
{
    worker->phase = LEFT;
    atomic_fetch_add(&worker->access->hanging, 1);
    if (worker->socket >= 0)
        shutdown(worker->socket, SHUT_RDWR);
    pthread_cond_broadcast(&worker->changed);
}

apr_status_t idem_dbd_worker_ask(idem_dbd_worker *worker, idem_call *call, idem_dbd_order *order, int *left)
{
    const idem_dbd_access *access = worker->access;
    const char *title = access->config.engine->title;
    apr_status_t rv;

    place_order(worker, call, order);
    pthread_mutex_lock(&worker->lock);
    worker->phase = ASKED;
    pthread_cond_broadcast(&worker->changed);
    await_change(worker, ASKED, worker->until);
    *left = worker->phase == ASKED;
    rv = worker->status;
    if (*left)
        leave_worker(worker); /* and with the lock it may be gone */
    else
        worker->phase = FREE;
    pthread_mutex_unlock(&worker->lock);
    if (*left) {
        call->why = apr_psprintf(call->pool, "%s did not answer in time", title);
        return APR_TIMEUP;
    }
    take_answer(worker, call, order);
    return rv;
}

void idem_dbd_worker_close(idem_dbd_worker *worker, int wait)
{
    int gone;

    pthread_mutex_lock(&worker->lock);
    worker->phase = CLOSING;
    worker->awaited = wait;
    pthread_cond_broadcast(&worker->changed);
    if (wait) {
        await_change(worker, CLOSING, idem_monotonic() + CLOSING_TIME);
        worker->awaited = 0;
    }
    gone = worker->phase == CLOSED;
    pthread_mutex_unlock(&worker->lock);
    if (wait && gone)
        worker_free(worker);
}
