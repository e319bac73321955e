/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.c - posts, and the process that they go to.
 *
 * Called by children when something happens, and by the parent when a configuration begins. The parent, which has one
 * thread, forks the notifier. No thread of a request ever forks, nor does any process with threads. httpd starts it
 * again when it dies, and ends it with the configuration. The pipe lives as long as the parent, so that children of an
 * old generation post to the notifier of the new one. A full pipe loses posts, but the notifier reads all the time,
 * also while the program runs.
 */
#include "notify_private.h"

#include "config.h"
#include "log.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <ap_listen.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <http_config.h>
#include <mpm_common.h>

#define NEARLY_FULL 70 /* percent, as the alert StoreFillsUp */

static int out = -1; /* the pipe's end for posts; -1: nobody is told */

/* What the parent needs to start it, and to start it again. */
static struct {
    server_rec *server;
    apr_pool_t *pconf;
    int in;
} notifier;

/* ---- posts ------------------------------------------------------------------------------------------------------- */

void idem_notify_post(idem_notice what, const idem_front *front, const unsigned char *slot, int percent)
{
    idem_post post;
    ssize_t sent;

    if (out < 0)
        return;
    memset(&post, 0, sizeof(post));
    post.size = sizeof(post);
    post.what = (int)what;
    post.percent = percent;
    post.has_slot = slot != NULL;
    if (slot)
        memcpy(post.slot, slot, sizeof(post.slot));
    apr_cpystrn(post.store, idem_front_url(front), sizeof(post.store));
    sent = write(out, &post, sizeof(post)); /* whole or not at all */
    (void)sent;
}

void idem_notify_room(idem_front *front, apr_pool_t *pool)
{
    idem_store_status status = {0};
    const char *why;
    int percent;

    if (out < 0 || idem_front_status(front, pool, &status, &why) != APR_SUCCESS || !status.bytes_max)
        return;
    percent = (int)(status.bytes_used / ((status.bytes_max + 99) / 100));
    if (percent >= NEARLY_FULL)
        idem_notify_post(IDEM_TELL_FULL, front, NULL, percent);
}

/* ---- the process ------------------------------------------------------------------------------------------------- */

/* The same pipe in each generation: {reading end, writing end}. */
static const int *pipe_of_parent(void)
{
    static const char name[] = "mod_idempotency: pipe of the notifier";
    int *ends = ap_retained_data_get(name), made[2];

    if (ends)
        return ends;
    if (pipe2(made, O_CLOEXEC | O_NONBLOCK) != 0)
        return NULL;
    ends = ap_retained_data_create(name, sizeof(made));
    memcpy(ends, made, sizeof(made));
    return ends;
}

static apr_status_t start_notifier(apr_proc_t *proc);

/* httpd has found that it is gone, or begins a new configuration. */
static void notifier_ended(int reason, void *data, int status)
{
    apr_proc_t *proc = data;
    int stopping = 0;

    if (reason == APR_OC_REASON_RESTART)
        apr_proc_other_child_unregister(data);
    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST)
        return; /* unregistering comes here, too */
    apr_proc_other_child_unregister(data);
    if (ap_mpm_query(AP_MPMQ_MPM_STATE, &stopping) == APR_SUCCESS && stopping == AP_MPMQ_STOPPING)
        return;
    IDEM_SLOG(notifier.server, APLOG_WARNING, 223,
              "the process that runs IdempotencyNotify has ended (%d): it is started again", status);
    if (start_notifier(proc) != APR_SUCCESS)
        out = -1;
}

static void be_notifier(void)
{
    const idem_server_settings *settings = idem_server_settings_of(notifier.server);

    close(out);
    out = -1;
    ap_close_listeners();
    if (ap_run_drop_privileges(notifier.pconf, notifier.server) != OK)
        _exit(1);
    idem_notifier_run(notifier.server, notifier.in, settings->notify, settings->notify_every, notifier.pconf);
}

static apr_status_t start_notifier(apr_proc_t *proc)
{
    pid_t pid = fork();

    if (pid < 0)
        return APR_FROM_OS_ERROR(errno);
    if (!pid)
        be_notifier();
    memset(proc, 0, sizeof(*proc));
    proc->pid = pid;
    apr_pool_note_subprocess(notifier.pconf, proc, APR_KILL_AFTER_TIMEOUT);
    apr_proc_other_child_register(proc, notifier_ended, proc, NULL, notifier.pconf);
    return APR_SUCCESS;
}

void idem_notify_start(server_rec *s, apr_pool_t *pconf)
{
    const int *ends = idem_server_settings_of(s)->notify ? pipe_of_parent() : NULL;

    out = -1;
    if (!idem_server_settings_of(s)->notify)
        return;
    notifier.server = s;
    notifier.pconf = pconf;
    if (ends) {
        notifier.in = ends[0];
        out = ends[1];
    }
    if (!ends || start_notifier(apr_pcalloc(pconf, sizeof(apr_proc_t))) != APR_SUCCESS) {
        IDEM_SLOG(s, APLOG_ERR, 221, "no process for IdempotencyNotify: its program will not run");
        out = -1;
    }
}
