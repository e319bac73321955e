/* SPDX-License-Identifier: Apache-2.0 */
/*
 * counts.c - the admin API's verbs on the whole: statistics, history, events, sweep; its token, its index and its
 * description.
 *
 * Called by the handler, when it is known that the client may. The counts are the whole server's, as in the metrics.
 * The account is that of the virtual host's store.
 */
#include "admin_private.h"

#include "log.h"
#include "metrics_private.h"
#include "recent.h"
#include "repeats.h"

#include <apr_escape.h>
#include <apr_strings.h>

#define SWEEP_USUAL 1000
#define SWEEP_MOST 100000
#define EVENTS_MOST 200
#define COUNT_TIME apr_time_from_sec(2)

/* ---- what was counted -------------------------------------------------------------------------------------------- */

static json_int_t number_of_counter(const atomic_ulong *counter)
{
    return (json_int_t)atomic_load_explicit(counter, memory_order_relaxed);
}

static json_t *outcomes_of(const atomic_ulong *counters)
{
    json_t *json = json_object();

    for (int i = IDEM_OUTCOME_NONE + 1; i < IDEM_OUTCOMES; i++)
        json_object_set_new(json, idem_outcome_word((idem_outcome)i), json_integer(number_of_counter(&counters[i])));
    return json;
}

static json_t *settlements_of(const atomic_ulong *counters)
{
    json_t *json = json_object();

    for (int i = IDEM_SETTLEMENT_NONE + 1; i < IDEM_SETTLEMENTS; i++)
        json_object_set_new(json, idem_settlement_word((idem_settlement)i),
                            json_integer(number_of_counter(&counters[i])));
    return json;
}

static json_t *counts_as_json(void)
{
    const idem_metrics *metrics = idem_metrics_shared();
    idem_metrics_sums sums;
    json_t *json = json_object();

    idem_metrics_sum(&sums);
    json_object_set_new(json, "outcomes", outcomes_of(metrics->outcomes[0]));
    json_object_set_new(json, "detected", outcomes_of(metrics->outcomes[1]));
    json_object_set_new(json, "settlements", settlements_of(metrics->settlements));
    json_object_set_new(json, "undecided", json_integer(number_of_counter(&metrics->undecided)));
    json_object_set_new(json, "leases_held", json_integer((json_int_t)sums.gauges[IDEM_GAUGE_LEASES]));
    json_object_set_new(json, "waiters", json_integer((json_int_t)sums.gauges[IDEM_GAUGE_WAITERS]));
    json_object_set_new(json, "keeper_jobs", json_integer((json_int_t)sums.gauges[IDEM_GAUGE_JOBS]));
    json_object_set_new(json, "processes", json_integer((json_int_t)sums.processes));
    return json;
}

/* ---- stats ------------------------------------------------------------------------------------------------------- */

static int tally_row(void *baton, const idem_view *view)
{
    idem_tally_add(baton, view);
    return 1;
}

/* NULL where the store cannot list, or is too large to be counted in a moment. */
static json_t *count_entries_for(idem_admin_call *call)
{
    idem_tally tally = {.all = 0};
    idem_list list = {.front = call->front, .viewer = tally_row, .baton = &tally};
    apr_time_t until = apr_time_now() + COUNT_TIME;
    const char *why = NULL;
    idem_done done;

    do
        done = idem_list_part(&list, call->r->pool, &why);
    while (done == IDEM_DONE_OK && *list.place && apr_time_now() < until);
    return done == IDEM_DONE_OK && !*list.place ? idem_shown_tally(&tally, call->r->pool) : json_null();
}

static const char *breaker_word(idem_breaker_state state)
{
    return state == IDEM_BREAKER_CLOSED ? "closed" : state == IDEM_BREAKER_OPEN ? "open" : "half-open";
}

int idem_admin_stats(idem_admin_call *call)
{
    apr_pool_t *pool = call->r->pool;
    idem_store_status status;
    idem_health health;
    const char *why = NULL, *entries = apr_table_get(call->query, "entries");
    int uncounted = entries && !strcmp(entries, "0");
    json_t *json = json_object(), *store;

    idem_front_account(call->front, pool, &status, &why);
    idem_front_health(call->front, &health);
    store = idem_shown_store(call->front, &status, why, pool);
    json_object_set_new(store, "breaker", json_string(breaker_word(health.state)));
    json_object_set_new(json, "version", json_string(IDEM_VERSION));
    json_object_set_new(json, "now", idem_shown_time(apr_time_now(), pool));
    json_object_set_new(json, "store", store);
    json_object_set_new(json, "entries", uncounted ? json_null() : count_entries_for(call));
    json_object_set_new(json, "counted", counts_as_json());
    json_object_set_new(json, "shows_responses", json_boolean(idem_admin_may_show(call)));
    return idem_admin_answer(call, HTTP_OK, json);
}

/* ---- history, events --------------------------------------------------------------------------------------------- */

static json_t *words_of_minute(const unsigned long *counts, int first, int most, const char *(*word)(int))
{
    json_t *json = json_object();

    for (int i = first; i < most; i++)
        if (counts[i])
            json_object_set_new(json, word(i), json_integer((json_int_t)counts[i]));
    return json;
}

/* A request that ended before anything was decided has a word, too. */
static const char *outcome_at(int i)
{
    return i == IDEM_OUTCOME_NONE ? "undecided" : idem_outcome_word((idem_outcome)i);
}

static const char *settlement_at(int i)
{
    return idem_settlement_word((idem_settlement)i);
}

int idem_admin_history(idem_admin_call *call)
{
    json_t *json = json_object(), *list = json_array();

    for (int ago = IDEM_RECENT_MINUTES - 1; ago >= 0; ago--) {
        idem_minute_seen minute;
        json_t *one = json_object();

        idem_recent_minute(ago, &minute);
        json_object_set_new(one, "begins", idem_shown_time(minute.begins, call->r->pool));
        json_object_set_new(one, "outcomes",
                            words_of_minute(minute.outcomes, IDEM_OUTCOME_NONE, IDEM_OUTCOMES, outcome_at));
        json_object_set_new(
            one, "settlements",
            words_of_minute(minute.settlements, IDEM_SETTLEMENT_NONE + 1, IDEM_SETTLEMENTS, settlement_at));
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "minutes", list);
    return idem_admin_answer(call, HTTP_OK, json);
}

static json_t *event_of(const idem_event_seen *event, apr_pool_t *pool)
{
    idem_view named;
    json_t *json = json_object();

    memcpy(named.slot, event->slot, IDEM_SLOT_LEN);
    json_object_set_new(json, "number", json_integer((json_int_t)event->number));
    json_object_set_new(json, "at", idem_shown_time(event->at, pool));
    json_object_set_new(json, "slot", event->has_slot ? json_string(idem_view_slot(&named, pool)) : json_null());
    json_object_set_new(json, "detected", json_boolean(event->detecting));
    json_object_set_new(json, "outcome", json_string(outcome_at((int)event->outcome)));
    json_object_set_new(json, "settlement",
                        event->settlement == IDEM_SETTLEMENT_NONE ? json_null()
                                                                  : json_string(settlement_at((int)event->settlement)));
    return json;
}

/* Those behind ?after=, oldest first; without it the last of them. One that is being written right now comes the next
 * time. */
int idem_admin_events(idem_admin_call *call)
{
    const char *after = apr_table_get(call->query, "after");
    unsigned long last = idem_recent_last(), number = after ? strtoul(after, NULL, 10) : 0;
    json_t *json = json_object(), *list = json_array();

    if (number > last)
        number = 0; /* the server was started anew */
    if (last - number > IDEM_RECENT_EVENTS - 1)
        number = last - (IDEM_RECENT_EVENTS - 1);
    if (!after && last - number > EVENTS_MOST)
        number = last - EVENTS_MOST;
    while (number < last && json_array_size(list) < EVENTS_MOST) {
        idem_event_seen event;

        if (idem_recent_event(number + 1, &event))
            json_array_append_new(list, event_of(&event, call->r->pool));
        else if (last - number < 16)
            break;
        number++;
    }
    json_object_set_new(json, "events", list);
    json_object_set_new(json, "last", json_integer((json_int_t)number));
    return idem_admin_answer(call, HTTP_OK, json);
}

/* ---- sweep ------------------------------------------------------------------------------------------------------- */

int idem_admin_sweep(idem_admin_call *call)
{
    json_t *wanted = json_object_get(call->body, "most"), *json;
    json_int_t most = wanted ? json_integer_value(wanted) : SWEEP_USUAL;
    const char *why = NULL;
    int removed = 0;
    apr_status_t rv;

    if (most < 1 || most > SWEEP_MOST) {
        idem_admin_say(call, HTTP_BAD_REQUEST, "invalid", "most is a number from 1 to " APR_STRINGIFY(SWEEP_MOST) ".");
        return idem_admin_answer_problem(call);
    }
    rv = idem_front_sweep(call->front, (int)most, call->r->pool, &removed, &why);
    if (rv != APR_SUCCESS)
        return idem_admin_answer_failed(call, idem_done_of(rv), why);
    IDEM_SLOG(call->r->server, APLOG_NOTICE, 202, "user %s, from %s: %d expired entries were removed", call->r->user,
              call->r->useragent_ip, removed);
    idem_repeats_tell(call->front, 1, call->r->pool);
    json = json_object();
    json_object_set_new(json, "removed", json_integer(removed));
    return idem_admin_answer(call, HTTP_OK, json);
}

/* ---- keys that were sent again ----------------------------------------------------------------------------------- */

#define AGAIN_USUAL 20

int idem_admin_again(idem_admin_call *call)
{
    const char *limit = apr_table_get(call->query, "limit"), *why = NULL;
    int most = limit ? atoi(limit) : AGAIN_USUAL;
    apr_pool_t *pool = call->r->pool;
    json_t *json, *list;
    apr_array_header_t *rows;
    apr_hash_t *all;

    if (most < 1 || most > IDEM_AGAIN_MOST) {
        idem_admin_say(call, HTTP_BAD_REQUEST, "invalid",
                       "limit is a number from 1 to " APR_STRINGIFY(IDEM_AGAIN_MOST) ".");
        return idem_admin_answer_problem(call);
    }
    if (idem_repeats_load(call->front, pool, &all, &why) != APR_SUCCESS)
        return idem_admin_answer_failed(call, IDEM_DONE_FAILED, why);
    json = json_object();
    list = json_array();
    rows = idem_again_top(all, most, pool);
    for (int i = 0; i < rows->nelts; i++) {
        const idem_again *row = APR_ARRAY_IDX(rows, i, const idem_again *);
        json_t *one = idem_shown_again(row->replayed, row->refused, row->last, pool);

        json_object_set_new(one, "prefix", json_string(apr_pescape_hex(pool, row->slot, IDEM_AGAIN_SLOT, 0)));
        json_array_append_new(list, one);
    }
    json_object_set_new(json, "keys", list);
    json_object_set_new(json, "kept", json_boolean(idem_again_is_kept(call->front)));
    return idem_admin_answer(call, HTTP_OK, json);
}

/* ---- the API itself ---------------------------------------------------------------------------------------------- */

int idem_admin_token(idem_admin_call *call)
{
    const char *token = idem_admin_make_token(call->r);
    json_t *json = json_object();

    json_object_set_new(json, "token", idem_shown_text(token, call->r->pool));
    json_object_set_new(json, "user", idem_shown_text(call->r->user, call->r->pool));
    return idem_admin_answer(call, HTTP_OK, json);
}

int idem_admin_index(idem_admin_call *call)
{
    static const char *const paths[] = {"entries", "find",    "sweep", "export",       "stats", "history",
                                        "events",  "repeats", "token", "openapi.json", NULL};
    json_t *json = json_object(), *list = json_array();

    for (int i = 0; paths[i]; i++)
        json_array_append_new(list, json_string(paths[i]));
    json_object_set_new(json, "version", json_string(IDEM_VERSION));
    json_object_set_new(json, "paths", list);
    return idem_admin_answer(call, HTTP_OK, json);
}

int idem_admin_description(idem_admin_call *call)
{
    return idem_admin_answer_text(call, "application/json", idem_admin_openapi);
}
