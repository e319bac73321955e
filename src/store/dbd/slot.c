/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slot.c - what becomes of a slot.
 *
 * Called in the thread that owns the connection. An operation is a change that the database makes only if its
 * conditions hold at that moment. If it was not made, a look at the entry follows. What always holds: the database
 * tests every condition again, in the change itself. If the look shows that the change was possible, somebody was
 * faster between the two, and it is tried again. An order carries the last moment, by the database's clock, at which it
 * may be carried out. Closing a connection takes back nothing that a stopped server has yet to read. A claim that
 * arrives after its own withdrawal would belong to nobody. The moment is computed from the latest time that the
 * database has told on this connection. That is early by the answer's time on its way, and never late. Limits: if the
 * database's clock is set back within a call, that call may arrive late by as much.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_strings.h>

#define TIME_IS_OLD apr_time_from_sec(10)      /* since the database told its time */
#define TURNS_AT_ONCE 3                        /* races are won or lost in two or three */
#define PAUSE 2000                             /* microseconds */
#define TIME_MOST APR_INT64_C(253402300799999) /* milliseconds: the end of the year 9999 */

/* One row of LOOK, of FETCH, and of the changes that show. */
enum { NOW, DONE, STATE, GONE, DEAD, OWN, SEEN, EXPIRES, VALUE };

typedef struct standing {
    apr_int64_t now;
    int done;  /* 1: the change was made; 0: only a trace; -1: not */
    int state; /* of what stands; 0 if nothing does */
    int dead;  /* its lease has lapsed */
    int own;   /* its token is the order's */
    int seen;  /* …, the one that was seen */
} standing;

/* What an order comes to by what stands. APR_EAGAIN: the change should have been made. */
typedef apr_status_t decision(const standing *s);

static apr_status_t on_claim(const standing *s)
{
    return s->state == 0 || (s->state == IDEM_STATE_LEASE && s->own) ? APR_EAGAIN : APR_EEXIST;
}

static apr_status_t on_takeover(const standing *s)
{
    if (s->state == 0)
        return APR_NOTFOUND;
    if (s->state == IDEM_STATE_LEASE && s->own)
        return APR_EAGAIN;
    if (!s->seen)
        return IDEM_ELOST;
    if (s->state == IDEM_STATE_UNKNOWN || (s->state == IDEM_STATE_LEASE && s->dead))
        return APR_EAGAIN;
    return s->state == IDEM_STATE_LEASE ? IDEM_EALIVE : IDEM_ELOST;
}

/* Renewing and giving back. */
static apr_status_t on_own_lease(const standing *s)
{
    if (s->state == 0)
        return APR_NOTFOUND;
    return s->state == IDEM_STATE_LEASE && s->own ? APR_EAGAIN : IDEM_ELOST;
}

static apr_status_t on_settle(const standing *s)
{
    if (s->state == 0)
        return APR_EAGAIN;
    if (!s->own)
        return IDEM_ELOST;
    return s->state == IDEM_STATE_LEASE ? APR_EAGAIN : APR_SUCCESS;
}

static apr_status_t on_fetch(const standing *s)
{
    return s->state == 0 ? APR_NOTFOUND : APR_SUCCESS;
}

static apr_status_t on_forget(const standing *s)
{
    return s->state == 0 ? APR_NOTFOUND : APR_EAGAIN;
}

static apr_status_t on_forget_seen(const standing *s)
{
    if (s->state == 0)
        return APR_NOTFOUND;
    return s->state != IDEM_STATE_LEASE && s->own ? APR_EAGAIN : IDEM_ELOST;
}

static const struct {
    decision *decide;
    int shows_value; /* where it is not carried out */
} operations[IDEM_DBD_STATEMENTS] = {
    [IDEM_DBD_CLAIM] = {on_claim, 1},       [IDEM_DBD_TAKEOVER] = {on_takeover, 0},
    [IDEM_DBD_RENEW] = {on_own_lease, 0},   [IDEM_DBD_SETTLE] = {on_settle, 0},
    [IDEM_DBD_RELEASE] = {on_own_lease, 0}, [IDEM_DBD_FORGET] = {on_forget, 0},
    [IDEM_DBD_FETCH] = {on_fetch, 1},       [IDEM_DBD_FORGET_SEEN] = {on_forget_seen, 0},
};

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static apr_status_t read_row(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order, const idem_dbd_row *row,
                             standing *s)
{
    apr_int64_t expires;
    int is_there = *idem_dbd_text(conn, row, STATE) != '\0' && !idem_dbd_number(conn, row, GONE);

    s->now = idem_dbd_number(conn, row, NOW);
    if (s->now <= 0 || s->now > TIME_MOST)
        return idem_dbd_fail(conn->access, call, APR_EGENERAL, "%s gave a row without its time",
                             conn->access->config.engine->title);
    s->done = (int)idem_dbd_number(conn, row, DONE);
    s->state = is_there ? (int)idem_dbd_number(conn, row, STATE) : 0;
    s->dead = s->state == IDEM_STATE_LEASE && idem_dbd_number(conn, row, DEAD);
    s->own = (int)idem_dbd_number(conn, row, OWN);
    s->seen = (int)idem_dbd_number(conn, row, SEEN);
    idem_dbd_note_time(conn, s->now);
    if (s->done >= 0 || s->state == 0 || !operations[order->statement].shows_value)
        return APR_SUCCESS;
    order->found.owner_dead = s->dead;
    expires = idem_dbd_number(conn, row, EXPIRES);
    order->found.expires = expires > 0 && expires <= TIME_MOST ? expires * 1000 : 0; /* of a damaged row: not known */
    order->found.now = s->now * 1000;
    return idem_dbd_bytes(conn, call, row, VALUE, &order->found.value);
}

static apr_status_t look_at_row(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which, idem_dbd_order *order,
                                standing *s)
{
    idem_dbd_row row;
    apr_status_t rv = idem_dbd_ask(conn, call, which, order, &row);

    if (rv != APR_SUCCESS)
        return rv;
    if (!idem_dbd_next(conn, &row))
        return idem_dbd_fail(conn->access, call, APR_ECONNRESET, "%s gave no answer",
                             conn->access->config.engine->title);
    return read_row(conn, call, order, &row, s);
}

/* The change, and a look only where it was not made. */
static apr_status_t change_then_look(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which,
                                     idem_dbd_order *order, standing *s)
{
    int count = 0;
    apr_status_t rv = idem_dbd_change(conn, call, which, order, &count);

    s->done = count > 0;
    if (rv != APR_SUCCESS || s->done)
        return rv;
    return look_at_row(conn, call, operations[order->statement].shows_value ? IDEM_DBD_FETCH : IDEM_DBD_LOOK, order, s);
}

/* A trace where nothing stood to be given back: see mysql.c. */
static apr_status_t leave_trace(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    standing s = {0};
    apr_status_t rv = change_then_look(conn, call, IDEM_DBD_RELEASE_ELSE, order, &s);

    if (rv == APR_SUCCESS)
        rv = s.done || s.state == 0 ? APR_NOTFOUND : APR_EAGAIN; /* somebody has come */
    return rv;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

/* Engines that need two ways take them in turns: what is in the way of the one is the other's. */
static idem_dbd_statement way_of(const idem_dbd_engine *engine, idem_dbd_statement statement, int turn)
{
    if (turn % 2 == 1 && statement == IDEM_DBD_CLAIM && engine->texts[IDEM_DBD_CLAIM_ELSE])
        return IDEM_DBD_CLAIM_ELSE;
    if (turn % 2 == 1 && statement == IDEM_DBD_SETTLE && engine->texts[IDEM_DBD_SETTLE_ELSE])
        return IDEM_DBD_SETTLE_ELSE;
    return statement;
}

static apr_status_t try_once(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order, int turn)
{
    const idem_dbd_engine *engine = conn->access->config.engine;
    idem_dbd_statement which = way_of(engine, order->statement, turn);
    standing s = {.done = -1};
    apr_status_t rv;

    if (engine->shows || which == IDEM_DBD_FETCH)
        rv = look_at_row(conn, call, which, order, &s);
    else
        rv = change_then_look(conn, call, which, order, &s);
    if (rv != APR_SUCCESS || s.done > 0)
        return rv;
    rv = operations[order->statement].decide(&s);
    if (rv == APR_NOTFOUND && engine->texts[IDEM_DBD_RELEASE_ELSE] && order->statement == IDEM_DBD_RELEASE)
        rv = leave_trace(conn, call, order);
    return rv;
}

/* Before an order that may tell no time itself. */
static apr_status_t refresh_time(idem_dbd_conn *conn, idem_call *call, const idem_dbd_order *order)
{
    idem_dbd_order ask = *order;
    standing s = {0};

    if (conn->access->config.engine->shows || idem_monotonic() - conn->noted_at < TIME_IS_OLD)
        return APR_SUCCESS;
    ask.statement = IDEM_DBD_RENEW; /* its look wants no value */
    return look_at_row(conn, call, IDEM_DBD_LOOK, &ask, &s);
}

static apr_status_t check_size(const idem_dbd_conn *conn, idem_call *call, const idem_dbd_order *order)
{
    if (order->value.len <= conn->facts.max_value)
        return APR_SUCCESS;
    return idem_dbd_fail(
        conn->access, call, IDEM_ETOOBIG, "a value of %lu bytes is too long: %lu is the most that %s keeps",
        (unsigned long)order->value.len, (unsigned long)conn->facts.max_value, conn->access->config.engine->title);
}

static apr_status_t too_late(const idem_dbd_conn *conn, idem_call *call)
{
    return idem_dbd_fail(conn->access, call, APR_TIMEUP, "%s reached this call after its deadline%s%s",
                         conn->access->config.engine->title, call->why ? ": " : "", call->why ? call->why : "");
}

apr_status_t idem_dbd_do_slot(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    apr_status_t rv = check_size(conn, call, order);

    if (rv == APR_SUCCESS)
        rv = refresh_time(conn, call, order);
    if (rv != APR_SUCCESS)
        return rv;
    for (int turn = 0; idem_monotonic() < conn->until; turn++) {
        const char *obstacle = call->why;
        call->why = NULL;
        rv = try_once(conn, call, order, turn);
        if (rv != APR_EAGAIN)
            return rv;
        call->why = call->why ? call->why : obstacle;
        if (turn > TURNS_AT_ONCE)
            apr_sleep(PAUSE);
        apr_pool_clear(conn->scratch);
    }
    return too_late(conn, call);
}

apr_status_t idem_dbd_do_nothing(idem_dbd_conn *conn, idem_call *call, idem_dbd_order *order)
{
    (void)conn, (void)call, (void)order;
    return APR_SUCCESS;
}
