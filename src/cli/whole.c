/* SPDX-License-Identifier: Apache-2.0 */
/*
 * whole.c - the commands about a whole store: stats, verify, sweep.
 *
 * Called by idemctl.c with the store open. Memory does not grow with the store.
 */
#include "cli.h"

#include <apr_strings.h>

#define SWEEP_STEP 1000

typedef struct tour {
    idem_cli *cli;
    idem_tally tally;
    int shows_damage;
    apr_uint64_t own; /* entries that the store keeps for itself */
} tour;

static int tour_entry(void *baton, const idem_view *view)
{
    tour *t = baton;

    idem_tally_add(&t->tally, view);
    if (t->shows_damage && view->fault)
        return idem_cli_say_row(t->cli, view);
    return 1;
}

static idem_done go_through(idem_cli *cli, tour *t, const char **why)
{
    idem_list list = {.front = cli->front, .viewer = tour_entry, .baton = t};
    idem_done done;

    do {
        done = idem_list_part(&list, cli->pool, why);
        idem_cli_progress(cli, "entries", list.looked_at);
    } while (done == IDEM_DONE_OK && *list.place && !cli->closed);
    idem_cli_progress_end(cli);
    t->own = list.own;
    return done;
}

/* ---- stats ------------------------------------------------------------------------------------------------------- */

static void say_tally(idem_cli *cli, const idem_tally *tally)
{
    const char *oldest = idem_shown_moment(tally->oldest_unknown, cli->pool);

    for (int i = 0; i < IDEM_SHOWN_STATES; i++)
        idem_cli_say(cli, "%-12s %12" APR_UINT64_T_FMT "  %15" APR_UINT64_T_FMT " bytes\n",
                     idem_shown_word((idem_shown)i), tally->entries[i], tally->bytes[i]);
    idem_cli_say(cli, "%-12s %12" APR_UINT64_T_FMT "  %15" APR_UINT64_T_FMT " bytes\n", "all", tally->all,
                 tally->all_bytes);
    if (tally->sealed)
        idem_cli_say(cli, "%-12s %12" APR_UINT64_T_FMT "%s\n", "sealed", tally->sealed,
                     tally->unopened ? " (not looked into: give --secret)" : "");
    if (oldest)
        idem_cli_say(cli, "oldest unknown outcome: %s\n", oldest);
}

static void say_account(idem_cli *cli, const idem_store_status *status, const char *why)
{
    idem_cli_say(cli, "%s\n", status->text ? status->text : idem_front_url(cli->front));
    if (why)
        idem_cli_say(cli, "%s\n", why);
    if (status->bytes_used && status->bytes_max)
        idem_cli_say(cli, "%" APR_UINT64_T_FMT " of %" APR_UINT64_T_FMT " bytes in use (%d%%)\n", status->bytes_used,
                     status->bytes_max, (int)(100.0 * (double)status->bytes_used / (double)status->bytes_max));
    else if (status->bytes_used)
        idem_cli_say(cli, "%" APR_UINT64_T_FMT " bytes in use\n", status->bytes_used);
}

/* What a store that cannot list says of itself is worth showing, too. */
idem_exit idem_cli_stats(idem_cli *cli)
{
    tour t = {.cli = cli};
    idem_store_status status;
    const char *trouble = NULL, *why = NULL;
    apr_status_t rv = idem_front_account(cli->front, cli->pool, &status, &trouble);
    idem_done done = go_through(cli, &t, &why);

    if (done != IDEM_DONE_OK && done != IDEM_DONE_UNABLE)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    if (cli->json) {
        json_t *json = json_object();

        json_object_set_new(json, "store", idem_shown_store(cli->front, &status, trouble, cli->pool));
        json_object_set_new(json, "entries",
                            done == IDEM_DONE_OK ? idem_shown_tally(&t.tally, cli->pool) : json_null());
        idem_cli_say_json(cli, json);
    }
    else {
        say_account(cli, &status, rv == APR_SUCCESS ? NULL : trouble);
        if (done == IDEM_DONE_OK)
            say_tally(cli, &t.tally);
    }
    return done == IDEM_DONE_OK ? IDEM_EXIT_OK
                                : idem_cli_fail(cli, IDEM_EXIT_UNABLE, "%s, so entries are not counted", why);
}

/* ---- verify ------------------------------------------------------------------------------------------------------ */

typedef struct damage {
    unsigned char slot[IDEM_SLOT_LEN];
    const char *version;
} damage;

static int note_damage(void *baton, const idem_view *view)
{
    apr_array_header_t *all = baton;
    damage *one;

    if (!view->fault)
        return 1;
    one = apr_array_push(all);
    memcpy(one->slot, view->slot, IDEM_SLOT_LEN);
    one->version = idem_view_version(view, all->pool);
    return 1;
}

/* Only what was seen to be damaged: it may have gone, or have been replaced, meanwhile. */
static idem_done forget_damage(idem_cli *cli, const damage *one, apr_pool_t *pool, apr_uint64_t *removed,
                               const char **why)
{
    idem_wish wish = {.slot = one->slot, .version = one->version, .dry_run = cli->dry_run};
    idem_view view;
    idem_done done = idem_entry_forget(cli->front, &wish, pool, &view, why);

    *removed += done == IDEM_DONE_OK;
    return done == IDEM_DONE_ABSENT || done == IDEM_DONE_CHANGED ? IDEM_DONE_OK : done;
}

/* A part of the list at a time: nothing is forgotten while a store is being asked for more. */
static idem_done remove_damage(idem_cli *cli, apr_uint64_t *removed, const char **why)
{
    idem_list list = {.front = cli->front, .viewer = note_damage};
    idem_done done;

    *removed = 0;
    do {
        apr_pool_t *pool;
        apr_array_header_t *all;

        apr_pool_create(&pool, cli->pool);
        all = apr_array_make(pool, 16, sizeof(damage));
        list.baton = all;
        done = idem_list_part(&list, pool, why);
        for (int i = 0; i < all->nelts && done == IDEM_DONE_OK; i++)
            done = forget_damage(cli, &APR_ARRAY_IDX(all, i, damage), pool, removed, why);
        *why = apr_pstrdup(cli->pool, *why);
        apr_pool_destroy(pool);
    } while (done == IDEM_DONE_OK && *list.place);
    return done;
}

void idem_cli_say_verdict(idem_cli *cli, const idem_tally *tally, apr_uint64_t removed)
{
    apr_uint64_t damaged = tally->entries[IDEM_SHOWN_DAMAGED];

    if (cli->json) {
        json_t *json = json_object();

        json_object_set_new(json, "looked_at", json_integer((json_int_t)tally->all));
        json_object_set_new(json, "damaged", json_integer((json_int_t)damaged));
        json_object_set_new(json, "unopened", json_integer((json_int_t)tally->unopened));
        json_object_set_new(json, "forgotten", json_integer((json_int_t)removed));
        idem_cli_say_json(cli, json);
        return;
    }
    idem_cli_say(cli, "%" APR_UINT64_T_FMT " entries looked at, %" APR_UINT64_T_FMT " damaged", tally->all, damaged);
    if (tally->unopened)
        idem_cli_say(cli, ", %" APR_UINT64_T_FMT " seals not checked (give --secret)", tally->unopened);
    if (cli->forget_damaged)
        idem_cli_say(cli, ", %" APR_UINT64_T_FMT " %sforgotten", removed, cli->dry_run ? "would be " : "");
    idem_cli_say(cli, "\n");
}

idem_exit idem_cli_verify(idem_cli *cli)
{
    tour t = {.cli = cli, .shows_damage = 1};
    const char *why = NULL;
    apr_uint64_t removed = 0;
    idem_done done = go_through(cli, &t, &why);

    if (done == IDEM_DONE_OK && cli->forget_damaged && t.tally.entries[IDEM_SHOWN_DAMAGED])
        done = remove_damage(cli, &removed, &why);
    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    idem_cli_say_verdict(cli, &t.tally, removed);
    return t.tally.entries[IDEM_SHOWN_DAMAGED] ? IDEM_EXIT_DAMAGE : IDEM_EXIT_OK;
}

/* ---- sweep ------------------------------------------------------------------------------------------------------- */

static idem_exit say_swept(idem_cli *cli, apr_uint64_t removed)
{
    if (!cli->json)
        idem_cli_say(cli, "%" APR_UINT64_T_FMT " expired entries removed\n", removed);
    else
        idem_cli_say_json(cli, json_pack("{s:I}", "removed", (json_int_t)removed));
    return IDEM_EXIT_OK;
}

/* What the store has and does not list has expired. Many entries are an estimate on some stores. */
static idem_exit foresee_sweep(idem_cli *cli)
{
    tour t = {.cli = cli};
    idem_store_status status;
    const char *why = NULL;
    apr_status_t rv = idem_front_account(cli->front, cli->pool, &status, &why);
    idem_done done = rv == APR_SUCCESS ? go_through(cli, &t, &why) : idem_done_of(rv);
    apr_uint64_t shown = t.tally.all + t.own, expired = status.entries > shown ? status.entries - shown : 0;

    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    if (cli->json)
        idem_cli_say_json(cli, json_pack("{s:I, s:b}", "expired", (json_int_t)expired, "dry_run", 1));
    else
        idem_cli_say(cli, "about %" APR_UINT64_T_FMT " expired entries would be removed\n", expired);
    return IDEM_EXIT_OK;
}

idem_exit idem_cli_sweep(idem_cli *cli)
{
    apr_uint64_t removed = 0;
    const char *why = NULL;
    int step = 0;
    apr_status_t rv = APR_SUCCESS;

    if (cli->dry_run)
        return foresee_sweep(cli);
    do {
        apr_pool_t *pool;

        apr_pool_create(&pool, cli->pool);
        rv = idem_front_sweep(cli->front, SWEEP_STEP, pool, &step, &why);
        why = apr_pstrdup(cli->pool, why);
        apr_pool_destroy(pool);
        removed += (apr_uint64_t)step;
        idem_cli_progress(cli, "removed", removed);
    } while (rv == APR_SUCCESS && step > 0);
    idem_cli_progress_end(cli);
    return rv == APR_SUCCESS ? say_swept(cli, removed) : idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s", why);
}
