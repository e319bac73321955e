/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_fork.c - httpd module for tests: requests in processes that httpd did not start.
 *
 * Loaded by the private servers of tests/http, never by anybody else. IdemForkConnections On serves each connection in
 * a process that is forked for it, as mpm_itk does. A request with the field X-Fork gets a process of its own as soon
 * as its head has been read, as in mod_privileges. SetHandler idem-fork: a handler whose fork() comes back. Its fork
 * ends by exit(), or by returning as the handler does (?copy=return); the handler waits for that end before it answers.
 * Each process says in its body who it is.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_log.h>
#include <http_protocol.h>
#include <mpm_common.h>

#include <apr_strings.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_fork_module;

static int of_connections;

static void await(pid_t forked)
{
    while (waitpid(forked, NULL, 0) < 0 && errno == EINTR)
        ;
}

static apr_status_t end_here(void *unused)
{
    (void)unused;
    _exit(0); /* a fork of a child must not go on to accept connections */
}

static int serve_in_fork(conn_rec *c)
{
    static int forked;
    pid_t child;

    if (!of_connections || forked)
        return DECLINED;
    child = fork();
    if (child == 0) {
        forked = 1;
        ap_run_process_connection(c);
        ap_lingering_close(c);
        exit(0);
    }
    await(child);
    c->aborted = 1; /* closed without a word: the process has said what there was to say */
    return OK;
}

static int read_in_fork(request_rec *r)
{
    pid_t child;

    if (!apr_table_get(r->headers_in, "X-Fork"))
        return DECLINED;
    child = fork();
    if (child == 0) {
        apr_table_setn(r->headers_in, "Connection", "close");
        apr_pool_cleanup_register(r->connection->pool, NULL, end_here, apr_pool_cleanup_null);
        return DECLINED;
    }
    await(child);
    r->connection->aborted = 1;
    return DONE;
}

static int forking_handler(request_rec *r)
{
    const char *who = "owner";
    pid_t copy;

    if (!r->handler || strcmp(r->handler, "idem-fork") != 0)
        return DECLINED;
    copy = fork();
    if (copy == 0 && !r->args)
        exit(0);
    if (copy == 0) {
        who = "copy";
        apr_pool_cleanup_register(r->connection->pool, NULL, end_here, apr_pool_cleanup_null);
    }
    else
        await(copy);
    r->status = HTTP_CREATED;
    ap_set_content_type(r, "text/plain");
    ap_rprintf(r, "%s %d", who, (int)getpid());
    return OK;
}

static const char *set_connections(cmd_parms *cmd, void *unused, int on)
{
    (void)cmd;
    (void)unused;
    of_connections = on;
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_FLAG("IdemForkConnections", set_connections, NULL, RSRC_CONF, "a process for each connection"),
    {NULL, {NULL}, NULL, 0, RAW_ARGS, NULL}};

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_process_connection(serve_in_fork, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(read_in_fork, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(forking_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(idem_fork) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, commands, register_hooks, 0};
