/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entries.c - the commands about single entries: list, show, find, forget, resolve.
 *
 * Called by idemctl.c with the store open. A slot may be given by its first digits, as logs have them, as long as they
 * name one entry.
 */
#include "cli.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

/* ---- list -------------------------------------------------------------------------------------------------------- */

apr_interval_time_t idem_cli_duration(const char *text)
{
    static const struct {
        const char *word;
        apr_int64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"min", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    apr_int64_t n = apr_strtoi64(text, &end, 10);

    if (end == text || n < 1 || n > 100000000)
        return 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (!strcmp(end, units[i].word))
            return apr_time_from_sec(n * units[i].seconds);
    return 0;
}

static idem_exit filter_states(idem_cli *cli, idem_filter *filter)
{
    char *state = NULL, *copy = apr_pstrdup(cli->pool, cli->state ? cli->state : "");

    for (char *word = apr_strtok(copy, ",", &state); word; word = apr_strtok(NULL, ",", &state)) {
        idem_shown shown;

        if (!idem_shown_of(word, &shown))
            return idem_cli_fail(cli, IDEM_EXIT_USAGE,
                                 "--state takes running, record, tombstone, unknown, damaged, not \"%s\"", word);
        filter->states |= 1U << shown;
    }
    return IDEM_EXIT_OK;
}

static idem_exit filter_age(idem_cli *cli, const char *option, const char *text, apr_interval_time_t *age)
{
    *age = text ? idem_cli_duration(text) : 0;
    if (text && !*age)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "%s takes a duration: 30s, 10min, 24h, 7d, not \"%s\"", option,
                             text);
    return IDEM_EXIT_OK;
}

static idem_exit filter_replayed(idem_cli *cli, idem_filter *filter)
{
    char *end = NULL;
    apr_int64_t n = cli->replayed ? apr_strtoi64(cli->replayed, &end, 10) : -1;

    if (cli->replayed && (n < 0 || n > 1000000000 || end == cli->replayed || *end))
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--replayed-more-than takes a number from 0 on, not \"%s\"",
                             cli->replayed);
    filter->replayed_least = (apr_uint64_t)(n + 1);
    if (n >= 0 && cli->front && !idem_again_is_kept(cli->front))
        return idem_cli_fail(cli, IDEM_EXIT_UNABLE,
                             "%s keeps no count of replays: ask the server that counts them, by --url",
                             idem_front_url(cli->front));
    return IDEM_EXIT_OK;
}

apr_hash_t *idem_cli_again(idem_cli *cli)
{
    apr_hash_t *all;
    const char *why = NULL;

    if (!idem_again_is_kept(cli->front) || idem_again_load(cli->front, cli->pool, &all, &why) != APR_SUCCESS)
        return NULL;
    return all;
}

idem_exit idem_cli_filter(idem_cli *cli, idem_filter *filter)
{
    const char *wrong = cli->prefix ? idem_filter_prefix(filter, cli->prefix) : NULL;
    idem_exit code = filter_states(cli, filter);

    if (wrong)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--prefix %s", wrong);
    if (code == IDEM_EXIT_OK)
        code = filter_replayed(cli, filter);
    if (code == IDEM_EXIT_OK)
        code = filter_age(cli, "--older-than", cli->older, &filter->older_than);
    return code == IDEM_EXIT_OK ? filter_age(cli, "--newer-than", cli->newer, &filter->newer_than) : code;
}

typedef struct listing {
    idem_cli *cli;
    apr_int64_t shown;
} listing;

static int list_entry(void *baton, const idem_view *view)
{
    listing *l = baton;

    l->shown++;
    return idem_cli_say_row(l->cli, view) && (!l->cli->limit || l->shown < l->cli->limit);
}

idem_exit idem_cli_list(idem_cli *cli)
{
    listing l = {.cli = cli};
    idem_list list = {.front = cli->front, .viewer = list_entry, .baton = &l};
    const char *why = NULL;
    idem_exit code = idem_cli_filter(cli, &list.filter);
    idem_done done;

    if (code != IDEM_EXIT_OK)
        return code;
    list.again = idem_cli_again(cli);
    do {
        done = idem_list_part(&list, cli->pool, &why);
        idem_cli_progress(cli, "entries", list.looked_at);
    } while (done == IDEM_DONE_OK && *list.place && !cli->closed && (!cli->limit || l.shown < cli->limit));
    idem_cli_progress_end(cli);
    return done == IDEM_DONE_OK ? IDEM_EXIT_OK : idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
}

/* ---- a slot by its first digits ---------------------------------------------------------------------------------- */

typedef struct search {
    unsigned char slot[IDEM_SLOT_LEN];
    int found;
} search;

static int note_match(void *baton, const idem_view *view)
{
    search *s = baton;

    if (s->found && !memcmp(s->slot, view->slot, IDEM_SLOT_LEN))
        return 1; /* shown twice */
    memcpy(s->slot, view->slot, IDEM_SLOT_LEN);
    return ++s->found < 2;
}

static idem_exit slot_of_digits(idem_cli *cli, const char *digits, unsigned char *slot)
{
    search s = {.found = 0};
    idem_list list = {.front = cli->front, .viewer = note_match, .baton = &s};
    const char *why = NULL, *wrong;
    idem_done done;

    if (idem_slot_parse(digits, slot))
        return IDEM_EXIT_OK;
    wrong = idem_filter_prefix(&list.filter, digits);
    if (wrong)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "a slot %s, not \"%s\"", wrong, digits);
    do
        done = idem_list_part(&list, cli->pool, &why);
    while (done == IDEM_DONE_OK && *list.place && s.found < 2);
    if (done == IDEM_DONE_UNABLE)
        return idem_cli_fail(cli, IDEM_EXIT_UNABLE, "%s: name the slot with all its 64 digits", why);
    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    if (s.found > 1)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "several slots begin with %s: give more digits", digits);
    if (!s.found)
        return idem_cli_fail(cli, IDEM_EXIT_ABSENT, "no slot begins with %s", digits);
    memcpy(slot, s.slot, IDEM_SLOT_LEN);
    return IDEM_EXIT_OK;
}

/* ---- show, find -------------------------------------------------------------------------------------------------- */

static idem_exit show_slot(idem_cli *cli, const unsigned char *slot)
{
    idem_view view;
    const char *why = NULL;
    idem_done done = idem_entry_show(cli->front, slot, cli->pool, &view, &why);

    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    idem_view_tell(&view, idem_cli_again(cli));
    idem_cli_say_view(cli, &view, cli->body ? IDEM_SHOWN_BODY : IDEM_SHOWN_HEADERS);
    return IDEM_EXIT_OK;
}

idem_exit idem_cli_show(idem_cli *cli)
{
    unsigned char slot[IDEM_SLOT_LEN];
    idem_exit code = slot_of_digits(cli, cli->argv[0], slot);

    return code == IDEM_EXIT_OK ? show_slot(cli, slot) : code;
}

/* The scope of the options. Parts without an option are absent, except that a host is always there. */
static idem_exit cli_read_scope(idem_cli *cli, idem_scope *scope)
{
    const char *wrong = idem_scope_parts(scope, cli->parts ? cli->parts : "host user", cli->pool);

    if (wrong)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--parts: %s", wrong);
    for (int i = 0; i < cli->scope->nelts; i++) {
        const char *name, *value;

        idem_scope_split(APR_ARRAY_IDX(cli->scope, i, const char *), &name, &value, cli->pool);
        wrong = idem_scope_set(scope, name, value, cli->pool);
        if (wrong)
            return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--scope: %s, with --parts", wrong);
    }
    for (int i = 0; i < scope->count; i++)
        if (!strcmp(scope->parts[i].name, "host") && !scope->parts[i].value.data)
            return idem_cli_fail(cli, IDEM_EXIT_USAGE, "the scope has the part host: say --scope host=NAME");
    return IDEM_EXIT_OK;
}

static void say_scope(idem_cli *cli, const idem_scope *scope)
{
    for (int i = 0; i < scope->count; i++) {
        const idem_blob *value = &scope->parts[i].value;

        idem_cli_say(cli, "scope %-22s %.*s\n", scope->parts[i].name, value->data ? (int)value->len : 8,
                     value->data ? (const char *)value->data : "(absent)");
    }
}

const char *idem_cli_read_key(idem_cli *cli)
{
    char line[2048];

    if (strcmp(cli->key, "-"))
        return cli->key;
    if (!fgets(line, sizeof(line), stdin))
        return "";
    line[strcspn(line, "\r\n")] = '\0';
    return apr_pstrdup(cli->pool, line);
}

static idem_exit say_found(idem_cli *cli, const idem_scope *scope, const unsigned char *slot)
{
    idem_view view;
    const char *why = NULL;
    idem_done done = idem_entry_show(cli->front, slot, cli->pool, &view, &why);

    memcpy(view.slot, slot, IDEM_SLOT_LEN);
    if (done == IDEM_DONE_OK)
        idem_view_tell(&view, idem_cli_again(cli));
    if (cli->json) {
        json_t *json = json_object();

        json_object_set_new(json, "slot", json_string(idem_view_slot(&view, cli->pool)));
        json_object_set_new(json, "scope", idem_shown_scope(scope, cli->pool));
        json_object_set_new(json, "entry",
                            done == IDEM_DONE_OK
                                ? idem_shown_view(&view, cli->body ? IDEM_SHOWN_BODY : IDEM_SHOWN_HEADERS, cli->pool)
                                : json_null());
        idem_cli_say_json(cli, json);
    }
    else {
        say_scope(cli, scope);
        if (done == IDEM_DONE_OK)
            idem_cli_say_view(cli, &view, cli->body ? IDEM_SHOWN_BODY : IDEM_SHOWN_HEADERS);
        else
            idem_cli_say(cli, "%-28s %s\n", "slot", idem_view_slot(&view, cli->pool));
    }
    return done == IDEM_DONE_OK ? IDEM_EXIT_OK : idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
}

idem_exit idem_cli_find(idem_cli *cli)
{
    unsigned char slot[IDEM_SLOT_LEN];
    idem_scope scope;
    const char *wrong;
    idem_exit code;

    if (!cli->key)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "find needs --key KEY, or --key - to read it from standard input");
    code = cli_read_scope(cli, &scope);
    if (code != IDEM_EXIT_OK)
        return code;
    wrong = idem_slot_find(idem_front_ring(cli->front), &scope, idem_cli_read_key(cli), cli->raw, slot, cli->pool);
    if (wrong)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--key: %s", wrong);
    return say_found(cli, &scope, slot);
}

/* ---- forget, resolve --------------------------------------------------------------------------------------------- */

static idem_exit report_change(idem_cli *cli, const idem_view *view, const char *verb)
{
    if (cli->json) {
        json_t *json = json_object();

        json_object_set_new(json, "slot", json_string(idem_view_slot(view, cli->pool)));
        json_object_set_new(json, "done", json_string(verb));
        json_object_set_new(json, "dry_run", json_boolean(cli->dry_run));
        json_object_set_new(json, "before", idem_shown_view(view, IDEM_SHOWN_ROW, cli->pool));
        idem_cli_say_json(cli, json);
        return IDEM_EXIT_OK;
    }
    idem_cli_say(cli, "%s: %s%s, it was %s\n", idem_view_slot(view, cli->pool), cli->dry_run ? "would be " : "", verb,
                 idem_shown_word(view->state));
    return IDEM_EXIT_OK;
}

typedef idem_done act(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view, const char **why);

static idem_exit act_on_slot(idem_cli *cli, idem_wish *wish, act *doing, const char *verb)
{
    unsigned char *slot = apr_palloc(cli->pool, IDEM_SLOT_LEN); /* the wish keeps it */
    idem_view view;
    const char *why = NULL;
    idem_exit code = slot_of_digits(cli, cli->argv[0], slot);
    idem_done done;

    if (code != IDEM_EXIT_OK)
        return code;
    wish->slot = slot;
    wish->version = cli->version;
    wish->dry_run = cli->dry_run;
    done = doing(cli->front, wish, cli->pool, &view, &why);
    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why ? why : "nothing was changed");
    return report_change(cli, &view, verb);
}

idem_exit idem_cli_forget(idem_cli *cli)
{
    idem_wish wish = {.force = cli->force};

    return act_on_slot(cli, &wish, idem_entry_forget, "forgotten");
}

idem_exit idem_cli_resolve(idem_cli *cli)
{
    static const char *const verbs[] = {[IDEM_RESOLVED_DONE] = "resolved as done",
                                        [IDEM_RESOLVED_NOT_DONE] = "resolved as not-done",
                                        [IDEM_RESOLVED_RETRY] = "resolved as retry"};
    idem_wish wish = {.force = 0};

    if (!cli->as || !idem_resolution_of(cli->as, &wish.as))
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "resolve needs --as done, --as not-done or --as retry");
    return act_on_slot(cli, &wish, idem_entry_resolve, verbs[wish.as]);
}
