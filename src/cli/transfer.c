/* SPDX-License-Identifier: Apache-2.0 */
/*
 * transfer.c - the commands export and import.
 *
 * Called by idemctl.c. A line at a time is in memory. What always holds: an import may be repeated; it puts nothing
 * into a store that names its slots by another secret. An export that was cut is found out by its last line.
 */
#include "cli.h"

#include "transfer.h"

#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

/* ---- export ------------------------------------------------------------------------------------------------------ */

typedef struct exporting {
    idem_cli *cli;
    apr_uint64_t entries, running, damaged;
} exporting;

static int export_entry(void *baton, const idem_view *view)
{
    exporting *e = baton;
    apr_pool_t *pool;
    json_t *line;
    int goes_on = 1;

    apr_pool_create(&pool, e->cli->pool);
    line = idem_export_entry(view, pool);
    e->running += view->state == IDEM_SHOWN_RUNNING;
    e->damaged += view->state == IDEM_SHOWN_DAMAGED;
    if (line) {
        e->entries++;
        goes_on = idem_cli_say_json(e->cli, line);
    }
    apr_pool_destroy(pool);
    return goes_on;
}

void idem_cli_say_left_behind(apr_uint64_t running, apr_uint64_t damaged)
{
    if (running || damaged)
        fprintf(stderr,
                "idemctl: left behind: %" APR_UINT64_T_FMT " that run, %" APR_UINT64_T_FMT " that are damaged\n",
                running, damaged);
}

idem_exit idem_cli_export(idem_cli *cli)
{
    exporting e = {.cli = cli};
    idem_list list = {.front = cli->front, .viewer = export_entry, .baton = &e};
    unsigned char mark[IDEM_DIGEST_LEN];
    const char *why = NULL;
    idem_exit code = idem_cli_filter(cli, &list.filter);
    apr_status_t rv = idem_front_read_mark(cli->front, cli->pool, mark, &why);
    idem_done done;

    if (code != IDEM_EXIT_OK)
        return code;
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s", why);
    list.again = list.filter.replayed_least ? idem_cli_again(cli) : NULL;
    idem_cli_say_json(cli, idem_export_head(idem_front_url(cli->front), rv == APR_SUCCESS ? mark : NULL, cli->pool));
    do {
        done = idem_list_part(&list, cli->pool, &why);
        idem_cli_progress(cli, "entries", list.looked_at);
    } while (done == IDEM_DONE_OK && *list.place && !cli->closed);
    idem_cli_progress_end(cli);
    if (done != IDEM_DONE_OK)
        return idem_cli_fail(cli, idem_cli_exit_of(done), "%s", why);
    idem_cli_say_json(cli, json_pack("{s:b, s:I, s:I, s:I}", "end", 1, "entries", (json_int_t)e.entries, "running",
                                     (json_int_t)e.running, "damaged", (json_int_t)e.damaged));
    idem_cli_say_left_behind(e.running, e.damaged);
    return IDEM_EXIT_OK;
}

/* ---- import ------------------------------------------------------------------------------------------------------ */

/* The next line, NULL at the end or for what is no JSON, which is said. */
static json_t *next_line(FILE *from, int *wrong)
{
    json_error_t error;
    json_t *line;
    int c;

    do
        c = getc(from);
    while (c == ' ' || c == '\n' || c == '\r' || c == '\t');
    *wrong = 0;
    if (c == EOF)
        return NULL;
    ungetc(c, from);
    line = json_loadf(from, JSON_DISABLE_EOF_CHECK, &error);
    *wrong = line == NULL;
    return line;
}

typedef struct importing {
    idem_cli *cli;
    FILE *from;
    apr_uint64_t counts[IDEM_IMPORTED_RESULTS], lines;
    int has_end;
} importing;

static idem_exit import_line(importing *i, const json_t *line)
{
    apr_pool_t *pool;
    const char *why = NULL;
    idem_imported imported;
    idem_exit code = IDEM_EXIT_OK;

    if (json_is_true(json_object_get(line, "end"))) {
        i->has_end = 1;
        return code;
    }
    apr_pool_create(&pool, i->cli->pool);
    imported = idem_import_entry(i->cli->front, line, i->cli->dry_run, pool, &why);
    i->counts[imported]++;
    i->lines++;
    if (imported == IDEM_IMPORTED_WRONG)
        idem_cli_fail(i->cli, code, "entry %" APR_UINT64_T_FMT ": %s", i->lines, why);
    if (imported == IDEM_IMPORTED_FAILED)
        code = idem_cli_fail(i->cli, IDEM_EXIT_FAILED, "entry %" APR_UINT64_T_FMT ": %s", i->lines,
                             why ? why : "the store did not take it");
    apr_pool_destroy(pool);
    return code;
}

static void say_imported(const importing *i)
{
    json_t *json = json_object();

    for (int n = 0; n < IDEM_IMPORTED_RESULTS; n++) {
        const char *word = idem_imported_word((idem_imported)n);

        if (i->cli->json)
            json_object_set_new(json, word, json_integer((json_int_t)i->counts[n]));
        else if (i->counts[n])
            idem_cli_say(i->cli, "%-22s %12" APR_UINT64_T_FMT "\n", word, i->counts[n]);
    }
    if (i->cli->json)
        idem_cli_say_json(i->cli, json);
    else
        json_decref(json);
}

static idem_exit import_all(importing *i)
{
    idem_exit code = IDEM_EXIT_OK;
    json_t *line;
    int wrong;

    while (code == IDEM_EXIT_OK && (line = next_line(i->from, &wrong)) != NULL) {
        code = import_line(i, line);
        json_decref(line);
        idem_cli_progress(i->cli, "entries", i->lines);
    }
    idem_cli_progress_end(i->cli);
    say_imported(i);
    if (code != IDEM_EXIT_OK)
        return code;
    if (wrong || !i->has_end)
        return idem_cli_fail(i->cli, IDEM_EXIT_FAILED, "the export is cut: its last line is missing");
    return i->counts[IDEM_IMPORTED_WRONG] ? IDEM_EXIT_DAMAGE : IDEM_EXIT_OK;
}

/* The store is opened behind the first line: its mark has to fit. */
static idem_exit begin_import(importing *i)
{
    idem_cli *cli = i->cli;
    unsigned char *mark = apr_palloc(cli->pool, IDEM_DIGEST_LEN);
    const char *wrong;
    json_t *head;
    int broken;

    head = next_line(i->from, &broken);
    wrong = idem_import_head(head, mark);
    json_decref(head);
    if (wrong)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "%s", wrong);
    cli->mark = mark;
    return idem_cli_open(cli, IDEM_OPEN_TO_FILL);
}

static idem_exit import_from(idem_cli *cli, FILE *from)
{
    importing i = {.cli = cli, .from = from};
    idem_exit code = begin_import(&i);

    return code == IDEM_EXIT_OK ? import_all(&i) : code;
}

idem_exit idem_cli_import(idem_cli *cli)
{
    FILE *from;
    idem_exit code;

    if (!cli->argc || !strcmp(cli->argv[0], "-"))
        return import_from(cli, stdin);
    from = fopen(cli->argv[0], "re");
    if (!from)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "%s cannot be read", cli->argv[0]);
    code = import_from(cli, from);
    fclose(from);
    return code;
}
