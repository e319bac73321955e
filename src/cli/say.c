/* SPDX-License-Identifier: Apache-2.0 */
/*
 * say.c - what idemctl answers: text or JSON on standard output, sentences and a progress line on standard error.
 *
 * Called by the commands. A reader that closes its pipe (list | head) is no error: the command ends as if it had
 * nothing more to say.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <apr_strings.h>

#define PROGRESS_PAUSE apr_time_from_msec(200)
#define ROW_DIGITS 16

idem_exit idem_cli_fail(idem_cli *cli, idem_exit code, const char *format, ...)
{
    va_list args;

    idem_cli_progress_end(cli);
    va_start(args, format);
    fputs("idemctl: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return code;
}

idem_exit idem_cli_exit_of(idem_done done)
{
    switch (done) {
    case IDEM_DONE_OK: return IDEM_EXIT_OK;
    case IDEM_DONE_ABSENT: return IDEM_EXIT_ABSENT;
    case IDEM_DONE_ALIVE:
    case IDEM_DONE_CHANGED:
    case IDEM_DONE_UNFIT: return IDEM_EXIT_REFUSED;
    case IDEM_DONE_UNABLE: return IDEM_EXIT_UNABLE;
    default: return IDEM_EXIT_FAILED;
    }
}

/* ---- standard output --------------------------------------------------------------------------------------------- */

static int wrote_out(idem_cli *cli, int good)
{
    if (!good)
        cli->closed = 1;
    return !cli->closed;
}

int idem_cli_say(idem_cli *cli, const char *format, ...)
{
    va_list args;
    int n;

    if (cli->closed)
        return 0;
    idem_cli_progress_end(cli);
    va_start(args, format);
    n = vprintf(format, args);
    va_end(args);
    return wrote_out(cli, n >= 0);
}

int idem_cli_say_json(idem_cli *cli, json_t *json)
{
    int good = !cli->closed && json_dumpf(json, stdout, JSON_COMPACT) == 0 && putchar('\n') != EOF;

    json_decref(json);
    return wrote_out(cli, good);
}

/* ---- entries ----------------------------------------------------------------------------------------------------- */

static const char *shown_status(const idem_view *view, apr_pool_t *pool)
{
    if (view->is_open)
        return apr_itoa(pool, view->response.status);
    return view->is_sealed ? "sealed" : "-";
}

static const char *or_dash(const char *text)
{
    return text ? text : "-";
}

int idem_cli_say_row(idem_cli *cli, const idem_view *view)
{
    apr_pool_t *pool;
    int goes_on;

    if (cli->json)
        return idem_cli_say_view(cli, view, IDEM_SHOWN_ROW);
    apr_pool_create(&pool, cli->pool);
    goes_on = idem_cli_say(
        cli, "%.*s  %-9s  %-24s  %-24s  %7u  %-6s  %9" APR_SIZE_T_FMT "  %7s%s%s\n", ROW_DIGITS,
        idem_view_slot(view, pool), idem_shown_word(view->state), or_dash(idem_shown_moment(view->written, pool)),
        or_dash(idem_shown_moment(view->expires, pool)), view->head.attempt, shown_status(view, pool), view->size,
        view->has_counts ? apr_psprintf(pool, "%" APR_UINT64_T_FMT, view->replayed) : "-", view->fault ? "  " : "",
        view->fault ? view->fault : "");
    apr_pool_destroy(pool);
    return goes_on;
}

/* One member a line, what is inside another one indented by its name: "response.status  201". */
static void say_members(idem_cli *cli, const char *before, json_t *json)
{
    const char *name;
    json_t *value;

    json_object_foreach(json, name, value)
    {
        const char *path = apr_pstrcat(cli->pool, before, name, NULL);
        char *text;

        if (json_is_object(value)) {
            say_members(cli, apr_pstrcat(cli->pool, path, ".", NULL), value);
            continue;
        }
        if (json_is_string(value)) {
            idem_cli_say(cli, "%-28s %s\n", path, json_string_value(value));
            continue;
        }
        if (json_is_null(value))
            continue;
        text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        idem_cli_say(cli, "%-28s %s\n", path, text);
        free(text);
    }
}

void idem_cli_say_members(idem_cli *cli, json_t *json)
{
    say_members(cli, "", json);
}

void idem_cli_flush(idem_cli *cli)
{
    if (fflush(stdout) != 0)
        cli->closed = 1;
}

int idem_cli_say_view(idem_cli *cli, const idem_view *view, idem_shown_detail detail)
{
    apr_pool_t *pool;
    json_t *json;

    apr_pool_create(&pool, cli->pool);
    json = idem_shown_view(view, detail, pool);
    if (cli->json)
        idem_cli_say_json(cli, json);
    else {
        say_members(cli, "", json);
        json_decref(json);
    }
    apr_pool_destroy(pool);
    return !cli->closed;
}

/* ---- progress ---------------------------------------------------------------------------------------------------- */

void idem_cli_progress(idem_cli *cli, const char *what, apr_uint64_t count)
{
    apr_time_t now;

    if (!isatty(STDERR_FILENO))
        return;
    now = apr_time_now();
    if (now - cli->progress_at < PROGRESS_PAUSE)
        return;
    cli->progress_at = now;
    cli->progress_shown = 1;
    fprintf(stderr, "\r%s: %" APR_UINT64_T_FMT " ", what, count);
    fflush(stderr);
}

void idem_cli_progress_end(idem_cli *cli)
{
    if (!cli->progress_shown)
        return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    cli->progress_shown = 0;
}
