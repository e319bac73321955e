/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness.c - hears httpd say that a backend could not be reached.
 *
 * Called by the gate around each handler, and by httpd for each line of the error log. mod_proxy_fcgi, _ajp, _uwsgi and
 * _scgi return 503 in two cases: they could not connect to a backend, or it read the request and died. mod_cgid does so
 * for its daemon. The line they log tells the two apart, by a number that stays (APLOGNO). A line belongs to the
 * handler that runs on the thread that writes it: mod_proxy names no request in some of them.
 *
 * A line that is not listed here counts as doubt, and so does a line that LogLevel hides.
 */
#include "witness.h"

#include "threads.h"

#include <stdlib.h>
#include <string.h>

#include <httpd.h>

#include <http_config.h>
#include <http_core.h>
#include <http_log.h>

typedef struct line {
    const char *module;
    int number;
    int unreached; /* 0: detail of an attempt to connect, which says nothing by itself */
} line;

/* clang-format off */
static const line lines[] = {
    {"proxy_http",  1114,  1}, /* failed to make connection to backend; so the next four */
    {"proxy_fcgi",  1079,  1},
    {"proxy_ajp",   896,   1},
    {"proxy_uwsgi", 10101, 1},
    {"proxy_scgi",  866,   1},
    {"proxy_ajp",   897,   1}, /* no answer to a ping, which AJP sends before the request and apart from it */
    {"proxy_ajp",   1009,  0}, /* what sending and receiving said: a request that fails has a line of its own, which is not here */
    {"proxy_ajp",   1012,  0},
    {"proxy_ajp",   1029,  0},
    {"proxy_ajp",   1030,  0},
    {"proxy_ajp",   1031,  0},
    {"proxy_ajp",   1032,  0},
    {"proxy",       934,   1}, /* all workers are busy */
    {"proxy",       940,   1}, /* disabled connection: it failed a moment ago and is not tried */
    {"proxy",       941,   1}, /* no connection of the pool came free */
    {"proxy",       952,   0}, /* what connect() and the socket's options said; the worker is marked */
    {"proxy",       953,   0},
    {"proxy",       954,   0},
    {"proxy",       955,   0},
    {"proxy",       956,   0},
    {"proxy",       957,   0},
    {"proxy",       959,   0},
    {"proxy",       2453,  0},
    {"proxy",       2454,  0},
    {"cgid",        1257,  1}, /* the daemon cannot be reached, is gone; its socket is gone; no pipe for it */
    {"cgid",        1258,  1},
    {"cgid",        2833,  1},
    {"cgid",        10176, 1},
};
/* clang-format on */

static IDEM_THREADS_OWN idem_witness *listening;

void idem_witness_begin(idem_witness *witness)
{
    memset(witness, 0, sizeof(*witness));
    witness->outer = listening;
    listening = witness;
}

void idem_witness_end(const idem_witness *witness)
{
    listening = witness->outer;
}

int idem_witness_unreached(const idem_witness *witness)
{
    return witness->unreached && !witness->doubtful;
}

/* A balancer only chooses; those it chooses speak for themselves. */
static int speaks_to_backends(const char *module)
{
    if (!strcmp(module, "proxy_balancer"))
        return 0;
    return !strncmp(module, "proxy", strlen("proxy")) || !strcmp(module, "cgid");
}

static const line *line_of(const char *module, int number)
{
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
        if (lines[i].number == number && !strcmp(lines[i].module, module))
            return &lines[i];
    return NULL;
}

/* A format is its writer's own word; mod_cgid puts the number into the text. */
static int line_number_of(const ap_errorlog_info *info, const char *text)
{
    if (info->format && !strncmp(info->format, "AH", 2))
        return atoi(info->format + 2);
    return !strncmp(text, "AH", 2) ? atoi(text + 2) : 0;
}

static void hear_line(const ap_errorlog_info *info, const char *text)
{
    const char *module;
    const line *known;

    if (!listening || info->level > APLOG_ERR)
        return;
    module = ap_find_module_short_name(info->module_index);
    if (!module || !speaks_to_backends(module))
        return;
    known = line_of(module, line_number_of(info, text));
    if (!known)
        listening->doubtful++;
    else
        listening->unreached += known->unreached;
}

void idem_witness_register(void)
{
    ap_hook_error_log(hear_line, NULL, NULL, APR_HOOK_MIDDLE);
}
