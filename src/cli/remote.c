/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remote.c - the commands over a server's admin API: what is asked, and how its answers are shown.
 *
 * Called by idemctl.c where --url is given. The server decides and logs; nothing here touches a store.
 */
#include "remote.h"

#include <string.h>

#include <apr_escape.h>
#include <apr_strings.h>

#define WATCH_PAUSE apr_time_from_sec(1)

static const char *in_url(idem_cli *cli, const char *text)
{
    return apr_pescape_urlencoded(cli->pool, text);
}

static const char *text_of_member(const json_t *json, const char *name)
{
    const char *text = json_string_value(json_object_get(json, name));

    return text ? text : "-";
}

/* ---- list -------------------------------------------------------------------------------------------------------- */

static int say_remote_row(idem_cli *cli, json_t *entry)
{
    const json_t *response = json_object_get(entry, "response"), *status = json_object_get(response, "status");
    const json_t *replayed = json_object_get(json_object_get(entry, "sent_again"), "replayed");

    if (cli->json)
        return idem_cli_say_json(cli, json_incref(entry));
    return idem_cli_say(
        cli, "%.16s  %-9s  %-24s  %-24s  %7" JSON_INTEGER_FORMAT "  %-6s  %9" JSON_INTEGER_FORMAT "  %7s\n",
        text_of_member(entry, "slot"), text_of_member(entry, "state"), text_of_member(entry, "written"),
        text_of_member(entry, "expires"), json_integer_value(json_object_get(entry, "attempt")),
        status ? apr_ltoa(cli->pool, (long)json_integer_value(status)) : "-",
        json_integer_value(json_object_get(entry, "bytes")),
        replayed ? apr_psprintf(cli->pool, "%" APR_INT64_T_FMT, (apr_int64_t)json_integer_value(replayed)) : "-");
}

/* path has its question mark already. */
static const char *with_filter(idem_cli *cli, const char *path, const idem_filter *filter)
{
    const char *query = path;

    if (cli->state)
        query = apr_pstrcat(cli->pool, query, "&state=", in_url(cli, cli->state), NULL);
    if (cli->prefix)
        query = apr_pstrcat(cli->pool, query, "&prefix=", in_url(cli, cli->prefix), NULL);
    if (filter->replayed_least)
        query = apr_psprintf(cli->pool, "%s&replayed_more_than=%" APR_UINT64_T_FMT, query, filter->replayed_least - 1);
    if (filter->older_than)
        query = apr_psprintf(cli->pool, "%s&older=%" APR_TIME_T_FMT, query, apr_time_sec(filter->older_than));
    if (filter->newer_than)
        query = apr_psprintf(cli->pool, "%s&newer=%" APR_TIME_T_FMT, query, apr_time_sec(filter->newer_than));
    return query;
}

static const char *query_of_list(idem_cli *cli, const char *cursor, const idem_filter *filter)
{
    return with_filter(cli, apr_psprintf(cli->pool, "entries?cursor=%s", in_url(cli, cursor)), filter);
}

static idem_exit list_remote(idem_cli *cli)
{
    idem_filter filter = {.states = 0};
    const char *cursor = "";
    apr_int64_t shown = 0;
    idem_exit code = idem_cli_filter(cli, &filter);

    while (code == IDEM_EXIT_OK && cursor && !cli->closed && (!cli->limit || shown < cli->limit)) {
        json_t *answer, *entry;
        size_t i;

        code = idem_cli_ask(cli, "GET", query_of_list(cli, cursor, &filter), NULL, &answer);
        json_array_foreach(json_object_get(answer, "entries"), i, entry) if (!cli->limit || shown < cli->limit) shown +=
            say_remote_row(cli, entry);
        cursor = apr_pstrdup(cli->pool, json_string_value(json_object_get(answer, "next")));
        json_decref(answer);
    }
    return code;
}

/* ---- one entry --------------------------------------------------------------------------------------------------- */

static idem_exit say_answer(idem_cli *cli, json_t *answer)
{
    if (cli->json)
        idem_cli_say_json(cli, json_incref(answer));
    else
        idem_cli_say_members(cli, answer);
    json_decref(answer);
    return IDEM_EXIT_OK;
}

/* All 64 digits of the slot that begins with these. */
static idem_exit complete_slot(idem_cli *cli, const char **slot)
{
    const char *digits = cli->argv[0];
    json_t *answer, *entries;
    idem_exit code;
    size_t found;

    *slot = in_url(cli, digits);
    if (strlen(digits) >= 2 * (size_t)IDEM_SLOT_LEN)
        return IDEM_EXIT_OK;
    code = idem_cli_ask(cli, "GET", apr_pstrcat(cli->pool, "entries?limit=2&prefix=", *slot, NULL), NULL, &answer);
    if (code != IDEM_EXIT_OK)
        return code;
    entries = json_object_get(answer, "entries");
    found = json_array_size(entries);
    *slot = apr_pstrdup(cli->pool, text_of_member(json_array_get(entries, 0), "slot"));
    json_decref(answer);
    if (found > 1)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "several slots begin with %s: give more digits", digits);
    return found ? IDEM_EXIT_OK : idem_cli_fail(cli, IDEM_EXIT_ABSENT, "no slot begins with %s", digits);
}

static idem_exit show_remote(idem_cli *cli)
{
    const char *slot;
    json_t *answer;
    idem_exit code = complete_slot(cli, &slot);

    if (code == IDEM_EXIT_OK)
        code = idem_cli_ask(cli, "GET", apr_pstrcat(cli->pool, "entries/", slot, cli->body ? "?body=1" : "", NULL),
                            NULL, &answer);
    return code == IDEM_EXIT_OK ? say_answer(cli, answer) : code;
}

static idem_exit find_remote(idem_cli *cli)
{
    json_t *body = json_object(), *scope = json_object(), *answer;
    char *text;
    idem_exit code;

    if (!cli->key) {
        json_decref(scope);
        json_decref(body);
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "find needs --key KEY, or --key - to read it from standard input");
    }
    for (int i = 0; i < cli->scope->nelts; i++) {
        const char *name, *value;

        idem_scope_split(APR_ARRAY_IDX(cli->scope, i, const char *), &name, &value, cli->pool);
        json_object_set_new(scope, name, idem_shown_text(value, cli->pool));
    }
    json_object_set_new(body, "key", idem_shown_text(idem_cli_read_key(cli), cli->pool));
    json_object_set_new(body, "raw", json_boolean(cli->raw));
    json_object_set_new(body, "scope", scope);
    if (cli->parts)
        json_object_set_new(body, "parts", idem_shown_text(cli->parts, cli->pool));
    text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    code = idem_cli_ask(cli, "POST", "find", text, &answer);
    free(text);
    if (code != IDEM_EXIT_OK)
        return code;
    code = json_is_null(json_object_get(answer, "entry")) ? IDEM_EXIT_ABSENT : IDEM_EXIT_OK;
    say_answer(cli, answer);
    return code == IDEM_EXIT_OK ? code : idem_cli_fail(cli, code, "there is no entry for this slot");
}

/* ---- changes ----------------------------------------------------------------------------------------------------- */

static idem_exit get_token(idem_cli *cli)
{
    json_t *answer;
    idem_exit code = idem_cli_ask(cli, "GET", "token", NULL, &answer);

    if (code == IDEM_EXIT_OK)
        cli->token = apr_pstrdup(cli->pool, text_of_member(answer, "token"));
    json_decref(answer);
    return code;
}

static idem_exit change_remote(idem_cli *cli, const char *method, const char *path, const char *body)
{
    json_t *answer;
    idem_exit code = get_token(cli);

    if (code == IDEM_EXIT_OK)
        code = idem_cli_ask(cli, method, path, body, &answer);
    return code == IDEM_EXIT_OK ? say_answer(cli, answer) : code;
}

/* What is changed is what stands there now, or what --if-version names: not what comes meanwhile. */
static idem_exit see_version(idem_cli *cli, const char **slot)
{
    json_t *answer;
    idem_exit code = complete_slot(cli, slot);

    if (code != IDEM_EXIT_OK || cli->version)
        return code;
    code = idem_cli_ask(cli, "GET", apr_pstrcat(cli->pool, "entries/", *slot, NULL), NULL, &answer);
    cli->version = apr_pstrdup(cli->pool, text_of_member(answer, "version"));
    json_decref(answer);
    return code;
}

static idem_exit forget_remote(idem_cli *cli)
{
    const char *slot;
    idem_exit code = see_version(cli, &slot);

    if (code != IDEM_EXIT_OK)
        return code;
    return change_remote(cli, "DELETE",
                         apr_psprintf(cli->pool, "entries/%s?dry_run=%d&force=%d&version=%s", slot, cli->dry_run,
                                      cli->force, in_url(cli, cli->version)),
                         NULL);
}

static idem_exit resolve_remote(idem_cli *cli)
{
    const char *slot;
    char *body;
    json_t *json;
    idem_exit code = see_version(cli, &slot);

    if (code != IDEM_EXIT_OK)
        return code;
    json = json_object();
    json_object_set_new(json, "as", idem_shown_text(cli->as, cli->pool));
    json_object_set_new(json, "dry_run", json_boolean(cli->dry_run));
    json_object_set_new(json, "version", idem_shown_text(cli->version, cli->pool));
    body = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    code = change_remote(cli, "POST", apr_pstrcat(cli->pool, "entries/", slot, "/resolve", NULL), body);
    free(body);
    return code;
}

static idem_exit sweep_remote(idem_cli *cli)
{
    if (cli->dry_run)
        return idem_cli_fail(cli, IDEM_EXIT_UNABLE, "a sweep is foreseen with --store only");
    return change_remote(cli, "POST", "sweep", "{\"most\":100000}");
}

static idem_exit stats_remote(idem_cli *cli)
{
    json_t *answer;
    idem_exit code = idem_cli_ask(cli, "GET", "stats", NULL, &answer);

    return code == IDEM_EXIT_OK ? say_answer(cli, answer) : code;
}

/* ---- all entries ------------------------------------------------------------------------------------------------- */

static idem_exit export_remote(idem_cli *cli)
{
    idem_filter filter = {.states = 0};
    json_t *last = NULL;
    idem_exit code = idem_cli_filter(cli, &filter);

    if (code == IDEM_EXIT_OK)
        code = idem_cli_pass_on(cli, with_filter(cli, "export?", &filter), &last);
    if (last)
        idem_cli_say_left_behind((apr_uint64_t)json_integer_value(json_object_get(last, "running")),
                                 (apr_uint64_t)json_integer_value(json_object_get(last, "damaged")));
    json_decref(last);
    return code;
}

typedef struct verifying {
    json_int_t looked_at, damaged, forgotten;
} verifying;

static idem_exit forget_damaged_remote(idem_cli *cli, const json_t *entry, verifying *v)
{
    json_t *answer;
    idem_exit code =
        idem_cli_ask(cli, "DELETE",
                     apr_psprintf(cli->pool, "entries/%s?version=%s&dry_run=%d", text_of_member(entry, "slot"),
                                  text_of_member(entry, "version"), cli->dry_run),
                     NULL, &answer);

    v->forgotten += code == IDEM_EXIT_OK;
    json_decref(answer);
    return code;
}

/* The server opens and checks each entry, as it does for a request. */
static idem_exit verify_part(idem_cli *cli, const char **cursor, verifying *v)
{
    json_t *answer, *entry;
    size_t i;
    idem_exit code = idem_cli_ask(
        cli, "GET", apr_pstrcat(cli->pool, "entries?state=damaged&cursor=", in_url(cli, *cursor), NULL), NULL, &answer);

    json_array_foreach(json_object_get(answer, "entries"), i, entry)
    {
        v->damaged++;
        say_remote_row(cli, entry);
        if (cli->forget_damaged && code == IDEM_EXIT_OK)
            code = forget_damaged_remote(cli, entry, v);
    }
    v->looked_at += json_integer_value(json_object_get(answer, "looked_at"));
    *cursor = apr_pstrdup(cli->pool, json_string_value(json_object_get(answer, "next")));
    json_decref(answer);
    idem_cli_progress(cli, "entries", (apr_uint64_t)v->looked_at);
    return code;
}

static idem_exit verify_remote(idem_cli *cli)
{
    verifying v = {0};
    const char *cursor = "";
    idem_tally tally = {.all = 0};
    idem_exit code = cli->forget_damaged ? get_token(cli) : IDEM_EXIT_OK;

    while (code == IDEM_EXIT_OK && cursor && !cli->closed)
        code = verify_part(cli, &cursor, &v);
    idem_cli_progress_end(cli);
    if (code != IDEM_EXIT_OK)
        return code;
    tally.all = (apr_uint64_t)v.looked_at;
    tally.entries[IDEM_SHOWN_DAMAGED] = (apr_uint64_t)v.damaged;
    idem_cli_say_verdict(cli, &tally, (apr_uint64_t)v.forgotten);
    return v.damaged ? IDEM_EXIT_DAMAGE : IDEM_EXIT_OK;
}

/* What is imported is answered to clients: who could do it over the network could make up answers. */
static idem_exit refuse_import(idem_cli *cli)
{
    return idem_cli_fail(cli, IDEM_EXIT_UNABLE,
                         "an import needs the store itself, --store instead of --url: users of the admin API may "
                         "not make up answers to clients");
}

/* ---- watch ------------------------------------------------------------------------------------------------------- */

static void say_event(idem_cli *cli, json_t *event)
{
    if (cli->json)
        idem_cli_say_json(cli, json_incref(event));
    else
        idem_cli_say(cli, "%s  %.16s  %-20s  %s\n", text_of_member(event, "at"), text_of_member(event, "slot"),
                     text_of_member(event, "outcome"), text_of_member(event, "settlement"));
}

/* Until nobody reads any more, or --limit events were shown. */
idem_exit idem_cli_watch(idem_cli *cli)
{
    const char *after = "";
    apr_int64_t shown = 0;

    if (!cli->url)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "watch needs --url: a store knows nothing of requests");
    while (!cli->closed && (!cli->limit || shown < cli->limit)) {
        json_t *answer, *event;
        size_t i;
        idem_exit code = idem_cli_ask(cli, "GET", apr_pstrcat(cli->pool, "events", after, NULL), NULL, &answer);

        if (code != IDEM_EXIT_OK)
            return code;
        json_array_foreach(json_object_get(answer, "events"), i, event)
        {
            if (*after && (!cli->limit || shown < cli->limit)) {
                say_event(cli, event);
                shown++;
            }
        }
        after = apr_psprintf(cli->pool, "?after=%" APR_INT64_T_FMT,
                             (apr_int64_t)json_integer_value(json_object_get(answer, "last")));
        json_decref(answer);
        idem_cli_flush(cli);
        if (!cli->limit || shown < cli->limit)
            apr_sleep(WATCH_PAUSE);
    }
    return IDEM_EXIT_OK;
}

/* ---- which ------------------------------------------------------------------------------------------------------- */

static const struct {
    const char *command;
    idem_exit (*run)(idem_cli *cli);
} remotes[] = {{"list", list_remote},     {"show", show_remote},       {"find", find_remote},
               {"forget", forget_remote}, {"resolve", resolve_remote}, {"sweep", sweep_remote},
               {"stats", stats_remote},   {"watch", idem_cli_watch},   {"export", export_remote},
               {"verify", verify_remote}, {"import", refuse_import}};

idem_exit idem_cli_run_remote(idem_cli *cli)
{
    for (size_t i = 0; i < sizeof(remotes) / sizeof(remotes[0]); i++)
        if (!strcmp(cli->command->name, remotes[i].command))
            return remotes[i].run(cli);
    return idem_cli_fail(cli, IDEM_EXIT_UNABLE, "%s needs the store itself: --store instead of --url",
                         cli->command->name);
}
