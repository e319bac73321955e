/* SPDX-License-Identifier: Apache-2.0 */
/*
 * setup.c - open(): a process of its own looks how the database is set up.
 *
 * Called in the parent, as root where there is one, before children are started. Client libraries block for as long as
 * they like, may start threads, and read the environment and home of their caller. A parent must not be left with any
 * of that. So a child process asks, as the user that will use the store. The database refuses to it what it would
 * refuse to that user. What always holds: the child is gone when this returns. Limits: it can report only facts and one
 * sentence.
 */
#include "dbd_private.h"

#include "probe.h"

#include <apr_strings.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* In one write: less than what a pipe takes at once. */
typedef struct report {
    apr_status_t status;
    char why[600];
    idem_dbd_facts facts;
} report;

/* ---- the child --------------------------------------------------------------------------------------------------- */

static apr_status_t find_out(const idem_dbd *store, idem_call *call, idem_dbd_facts *facts)
{
    idem_dbd_access *access;
    idem_dbd_conn *conn;
    apr_status_t rv = idem_dbd_access_make(store, call, &access);

    if (rv == APR_SUCCESS)
        rv = idem_dbd_connect(access, call, &conn);
    if (rv == APR_SUCCESS)
        rv = idem_dbd_prepare_all(conn, call);
    if (rv == APR_SUCCESS)
        *facts = conn->facts;
    return rv; /* what is open ends with the process */
}

static void setup_child(const idem_dbd *store, idem_call *call, int to)
{
    static report said; /* zeroed, and too large for the stack */
    sigset_t every;
    ssize_t written;

    sigfillset(&every);
    sigprocmask(SIG_SETMASK, &every, NULL); /* the parent's handlers are not for us */
    if (idem_probe_become(store->env->uid, store->env->gid) != 0)
        said.status =
            idem_dbd_fail(NULL, call, errno, "cannot become the user that httpd runs as: %s", strerror(errno));
    else {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would undo it */
        said.status = find_out(store, call, &said.facts);
    }
    apr_cpystrn(said.why, call->why ? call->why : "", sizeof(said.why));
    written = write(to, &said, sizeof(said));
    _exit(written == (ssize_t)sizeof(said) ? 0 : 1);
}

/* ---- the parent -------------------------------------------------------------------------------------------------- */

static apr_status_t read_report(const idem_dbd *store, idem_call *call, int from, report *said)
{
    const char *title = store->config.engine->title;

    for (;;) {
        struct pollfd ready = {from, POLLIN, 0};
        apr_interval_time_t left = call->deadline - apr_time_now();
        int count = left > 0 ? poll(&ready, 1, (int)(left / 1000) + 1) : 0;

        if (count == 0) {
            call->why = apr_psprintf(call->pool, "%s did not answer in time", title);
            return APR_TIMEUP;
        }
        if (count > 0)
            break;
        if (errno != EINTR)
            return errno;
    }
    if (read(from, said, sizeof(*said)) == (ssize_t)sizeof(*said))
        return APR_SUCCESS;
    call->why = apr_psprintf(call->pool, "the process that asks %s died", title);
    return APR_EGENERAL;
}

apr_status_t idem_dbd_probe(const idem_dbd *store, idem_call *call, idem_dbd_facts *facts)
{
    report said = {APR_EGENERAL, "", {{0}, 0, 0, {0}}};
    int ends[2];
    apr_status_t rv;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    fflush(NULL);
    pid = fork();
    if (pid == 0)
        setup_child(store, call, ends[1]);
    close(ends[1]);
    rv = pid > 0 ? read_report(store, call, ends[0], &said) : errno;
    close(ends[0]);
    if (pid > 0) {
        kill(pid, SIGKILL); /* it has said what it can, or hangs */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (rv != APR_SUCCESS)
        return rv;
    if (said.status != APR_SUCCESS)
        call->why = apr_pstrdup(call->pool, said.why);
    *facts = said.facts;
    return said.status;
}
