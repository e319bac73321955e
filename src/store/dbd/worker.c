/*
 * worker.c - a thread that owns a connection, and how it is asked and left.
 *
 * Called by the pool of desks, in the threads of requests. Client libraries wait for a hung or vanished server for as
 * long as the kernel does, in connecting as well as in a call, and APR has no way to bound them. So they are called by
 * threads of our own: who asks waits no longer than the deadline, and then leaves. What is left shuts its socket
 * down where that can be found, closes the connection whatever comes, and ends; it is never asked again. What always
 * holds: what an order points to is copied before the desk is asked, since the asker may be gone before it is read;
 * an answer is read only by who has not left; a thread takes no signals. Limits: a thread that hangs in connecting
 * stays until the client library or the kernel gives up (libpq: connect_timeout; two minutes for a host that is gone),
 * HANGING_MOST of them at most.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <stdlib.h>
#include <sys/socket.h>

#define HANGING_MOST 200
#define CLOSING_TIME 1000 /* milliseconds that detach() waits for a thread to close its connection */

enum { FREE, ASKED, ANSWERED, LEFT, CLOSING, CLOSED };

struct idem_dbd_desk {
    idem_dbd_access *access;
    apr_pool_t *pool;    /* the order's; of the asker while FREE or ANSWERED, else of the thread */
    idem_dbd_conn *conn; /* the thread's; NULL for none */

    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    int phase;
    int awaited; /* somebody waits for CLOSED and frees the desk */
    int socket;  /* while it may be shut down, else -1 */
    idem_dbd_order order;
    idem_call call;
    apr_int64_t until; /* monotonic milliseconds */
    apr_status_t status;
};

/* ---- the thread: its connection ------------------------------------------------------------------------------------- */

static void show_socket(idem_dbd_desk *desk, int socket)
{
    pthread_mutex_lock(&desk->lock);
    desk->socket = socket;
    if (desk->phase == LEFT && socket >= 0)
        shutdown(socket, SHUT_RDWR);
    pthread_mutex_unlock(&desk->lock);
}

static void hang_up(idem_dbd_desk *desk)
{
    if (!desk->conn)
        return;
    show_socket(desk, -1); /* its number may soon be another's */
    idem_dbd_close(desk->conn);
    desk->conn = NULL;
}

static apr_status_t connect_anew(idem_dbd_desk *desk)
{
    apr_status_t rv;

    hang_up(desk);
    rv = idem_dbd_connect(desk->access, &desk->call, &desk->conn);
    if (rv == APR_SUCCESS)
        show_socket(desk, idem_dbd_socket(desk->conn));
    return rv;
}

/* What happened to one connection (a restart, a failover, a host that is gone) has happened to the older ones. */
static int is_stale(const idem_dbd_desk *desk)
{
    return desk->conn->generation != atomic_load(&desk->access->generation) || !idem_dbd_is_quiet(desk->conn);
}

/* ---- the thread: its orders ------------------------------------------------------------------------------------------ */

static apr_status_t carry_out(idem_dbd_desk *desk)
{
    idem_dbd_conn *conn = desk->conn;
    apr_status_t rv;

    conn->until = desk->until;
    desk->call.why = NULL;
    rv = desk->order.task(conn, &desk->call, &desk->order);
    apr_pool_clear(conn->scratch);
    if (rv == APR_ECONNRESET || rv == APR_EGENERAL || rv == IDEM_EDAMAGED) {
        atomic_fetch_add(&desk->access->generation, rv == APR_ECONNRESET);
        hang_up(desk);
        return rv;
    }
    conn->proven = 1;
    return rv;
}

/*
 * A connection that waited may have been closed at its other end without our having heard of it: what harms nobody if it is
 * done twice is tried once more, on a new one.
 */
static apr_status_t serve(idem_dbd_desk *desk)
{
    apr_status_t rv = APR_SUCCESS;
    int was_proven;

    if (!desk->conn || is_stale(desk))
        rv = connect_anew(desk);
    if (rv != APR_SUCCESS)
        return rv;
    was_proven = desk->conn->proven;
    rv = carry_out(desk);
    if (rv != APR_ECONNRESET || !was_proven || !desk->order.harmless_twice || idem_dbd_monotonic() >= desk->until)
        return rv;
    rv = connect_anew(desk);
    return rv == APR_SUCCESS ? carry_out(desk) : rv;
}

static void desk_free(idem_dbd_desk *desk)
{
    idem_dbd_access *access = desk->access;

    pthread_mutex_destroy(&desk->lock);
    pthread_cond_destroy(&desk->changed);
    apr_pool_destroy(desk->pool);
    free(desk);
    idem_dbd_access_done(access);
}

/* Returns the phase: ASKED, LEFT or CLOSING. */
static int await_order(idem_dbd_desk *desk)
{
    int phase;

    pthread_mutex_lock(&desk->lock);
    while (desk->phase == FREE || desk->phase == ANSWERED)
        pthread_cond_wait(&desk->changed, &desk->lock);
    phase = desk->phase;
    pthread_mutex_unlock(&desk->lock);
    return phase;
}

static void answer(idem_dbd_desk *desk, apr_status_t status)
{
    pthread_mutex_lock(&desk->lock);
    desk->status = status;
    if (desk->phase == ASKED)
        desk->phase = ANSWERED;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

static void *run(void *data)
{
    idem_dbd_desk *desk = data;
    int awaited;

    while (await_order(desk) == ASKED) {
        apr_status_t status;
        idem_dbd_enter();
        status = serve(desk);
        idem_dbd_leave(desk->conn != NULL);
        answer(desk, status);
    }
    idem_dbd_enter();
    hang_up(desk);
    idem_dbd_leave(0);
    pthread_mutex_lock(&desk->lock);
    if (desk->phase == LEFT)
        atomic_fetch_sub(&desk->access->hanging, 1);
    awaited = desk->awaited;
    desk->phase = CLOSED;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    if (!awaited)
        desk_free(desk);
    return NULL;
}

/* ---- making one ------------------------------------------------------------------------------------------------------ */

static void init_lock(idem_dbd_desk *desk)
{
    pthread_mutex_init(&desk->lock, NULL);
    idem_cond_init(&desk->changed);
}

apr_status_t idem_dbd_desk_open(idem_dbd_access *access, idem_dbd_desk **out)
{
    idem_dbd_desk *desk;
    int failed;

    if (atomic_load(&access->hanging) >= HANGING_MOST)
        return APR_EBUSY;
    desk = calloc(1, sizeof(*desk));
    if (!desk || (desk->pool = idem_dbd_own_pool()) == NULL) {
        free(desk);
        return APR_ENOMEM;
    }
    atomic_fetch_add(&access->users, 1);
    desk->access = access;
    desk->socket = -1;
    init_lock(desk);
    failed = idem_dbd_thread_start(run, desk);
    if (failed)
        desk_free(desk);
    *out = desk;
    return failed;
}

/* ---- asking ---------------------------------------------------------------------------------------------------------- */

/* The lock is held. Waits for another phase than this until the moment, monotonic milliseconds. */
static void await_change(idem_dbd_desk *desk, int phase, apr_int64_t until)
{
    while (desk->phase == phase && idem_cond_wait(&desk->changed, &desk->lock, until * 1000) == 0)
        ;
}

/* Into the desk's memory. */
static void place_order(idem_dbd_desk *desk, const idem_call *call, const idem_dbd_order *order)
{
    apr_interval_time_t left = call->deadline - apr_time_now();

    apr_pool_clear(desk->pool);
    desk->order = *order;
    desk->order.entries = NULL; /* of an earlier answer */
    desk->order.count = 0;
    if (order->value.len)
        desk->order.value =
            idem_blob_of(apr_pmemdup(desk->pool, order->value.data, order->value.len), order->value.len);
    desk->call = (idem_call){desk->pool, call->deadline, NULL};
    desk->until = idem_dbd_monotonic() + left / 1000;
}

static idem_found copy_found(const idem_found *found, apr_pool_t *pool)
{
    idem_found copy = *found;

    if (found->value.len)
        copy.value = idem_blob_of(apr_pmemdup(pool, found->value.data, found->value.len), found->value.len);
    return copy;
}

/* Out of it. */
static void take_answer(const idem_dbd_desk *desk, idem_call *call, idem_dbd_order *order)
{
    const idem_dbd_order *from = &desk->order;

    call->why = apr_pstrdup(call->pool, desk->call.why);
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
static void leave(idem_dbd_desk *desk)
{
    desk->phase = LEFT;
    atomic_fetch_add(&desk->access->hanging, 1);
    if (desk->socket >= 0)
        shutdown(desk->socket, SHUT_RDWR);
    pthread_cond_broadcast(&desk->changed);
}

apr_status_t idem_dbd_desk_ask(idem_dbd_desk *desk, idem_call *call, idem_dbd_order *order, int *left)
{
    const idem_dbd_access *access = desk->access;
    const char *title = access->config.engine->title;
    apr_status_t rv;

    place_order(desk, call, order);
    pthread_mutex_lock(&desk->lock);
    desk->phase = ASKED;
    pthread_cond_broadcast(&desk->changed);
    await_change(desk, ASKED, desk->until);
    *left = desk->phase == ASKED;
    rv = desk->status;
    if (*left)
        leave(desk); /* and with the lock it may be gone */
    else
        desk->phase = FREE;
    pthread_mutex_unlock(&desk->lock);
    if (*left) {
        call->why = apr_psprintf(call->pool, "%s did not answer in time", title);
        return APR_TIMEUP;
    }
    take_answer(desk, call, order);
    return rv;
}

void idem_dbd_desk_close(idem_dbd_desk *desk, int wait)
{
    int gone;

    pthread_mutex_lock(&desk->lock);
    desk->phase = CLOSING;
    desk->awaited = wait;
    pthread_cond_broadcast(&desk->changed);
    if (wait) {
        await_change(desk, CLOSING, idem_dbd_monotonic() + CLOSING_TIME);
        desk->awaited = 0;
    }
    gone = desk->phase == CLOSED;
    pthread_mutex_unlock(&desk->lock);
    if (wait && gone)
        desk_free(desk);
}
