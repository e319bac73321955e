/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_origin.c - httpd module for tests: the origin that lives inside httpd and writes with ap_rwrite().
 *
 * Loaded by the private servers of tests/http, never by anybody else. SetHandler idem-origin. It does as a handler of
 * an httpd module what tests/http/origins does as scripts. It has the same ledger, the same gates
 * (tests/http/origin.py), and the same parts=, size= and body= in the query. read= is the number of bytes that it reads
 * of its request, by default all. ORIGIN_STAGE in its environment is the tests' directory. It stops writing as soon as
 * a write fails, as handlers do that look at the connection, and then leaves no PATH.end in the ledger.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_protocol.h>

#include <apr_strings.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_origin_module;

static const char *stage_of(request_rec *r)
{
    const char *stage = apr_table_get(r->subprocess_env, "ORIGIN_STAGE");

    return stage ? stage : ".";
}

static void enter_in_ledger(request_rec *r, const char *path, const char *id)
{
    const char *line = apr_psprintf(r->pool, "{\"kind\": \"rwrite\", \"path\": \"%s\", \"id\": \"%s\"}\n", path, id);
    int fd = open(apr_pstrcat(r->pool, stage_of(r), "/ledger", NULL), O_WRONLY | O_APPEND | O_CLOEXEC);

    if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        ap_log_rerror(APLOG_MARK, APLOG_CRIT, errno, r, "idem_origin: cannot write to the ledger");
    if (fd >= 0)
        close(fd);
}

/* A gate is a lock that a test holds, and a pipe that tells the test who came. */
static void pass_gate(request_rec *r, const char *path)
{
    const char *gate = apr_psprintf(r->pool, "%s/gates/%s", stage_of(r), path + 1);
    int lock = open(gate, O_RDONLY | O_CLOEXEC), entered = -1;

    if (lock >= 0)
        entered = open(apr_pstrcat(r->pool, gate, ".entered", NULL), O_RDWR | O_CLOEXEC);
    if (entered >= 0 && write(entered, "x", 1) == 1)
        flock(lock, LOCK_SH);
    if (entered >= 0)
        close(entered);
    if (lock >= 0)
        close(lock);
}

/* The value of an argument of the query, as it is, or otherwise. */
static const char *argument(request_rec *r, const char *name, const char *otherwise)
{
    char *rest = apr_pstrdup(r->pool, r->args ? r->args : ""), *pair;
    apr_size_t len = strlen(name);

    while ((pair = apr_strtok(rest, "&", &rest)) != NULL)
        if (strncmp(pair, name, len) == 0 && pair[len] == '=')
            return pair + len + 1;
    return otherwise;
}

/* What is not asked for stays where it is. */
static void read_body(request_rec *r)
{
    const char *most = argument(r, "read", NULL);
    apr_off_t left = most ? atoi(most) : 0, length;
    apr_bucket_brigade *bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);

    if (!most)
        ap_discard_request_body(r);
    while (left > 0 && ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, left) == APR_SUCCESS) {
        if (APR_BRIGADE_EMPTY(bb) || APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(bb)) ||
            apr_brigade_length(bb, 1, &length) != APR_SUCCESS)
            break;
        left -= length;
        apr_brigade_cleanup(bb);
    }
    apr_brigade_destroy(bb);
}

static const char *body_of(request_rec *r, const char *id)
{
    int size = atoi(argument(r, "size", "0"));
    char *body;

    if (!size)
        return argument(r, "body", apr_pstrcat(r->pool, "{\"execution\": \"", id, "\"}", NULL));
    body = apr_palloc(r->pool, (apr_size_t)size + 1);
    for (int i = 0; i < size; i++)
        body[i] = (char)('a' + i % 26);
    body[size] = '\0';
    return body;
}

static int write_in_parts(request_rec *r, const char *path, const char *body)
{
    int parts = atoi(argument(r, "parts", "1")), len = (int)strlen(body), size = (len + parts - 1) / parts;

    for (int i = 0; i < parts; i++) {
        int begin = i * size, end = begin + size < len ? begin + size : len;

        ap_rflush(r);
        pass_gate(r, apr_psprintf(r->pool, "%s.%d", path, i));
        if (begin < end && ap_rwrite(body + begin, end - begin, r) < 0)
            return 0;
    }
    ap_rflush(r);
    pass_gate(r, apr_psprintf(r->pool, "%s.%d", path, parts));
    return !r->connection->aborted;
}

static int origin_handler(request_rec *r)
{
    const char *path = ap_strchr_c(r->uri + 1, '/'), *id;
    apr_uint64_t number;

    if (!r->handler || strcmp(r->handler, "idem-origin") != 0)
        return DECLINED;
    if (!path || apr_generate_random_bytes((unsigned char *)&number, sizeof(number)) != APR_SUCCESS)
        return HTTP_NOT_FOUND;
    id = apr_psprintf(r->pool, "%" APR_UINT64_T_HEX_FMT, number);
    enter_in_ledger(r, path, id);
    read_body(r);
    pass_gate(r, path);
    r->status = atoi(argument(r, "status", "201"));
    ap_set_content_type(r, "application/json");
    if (write_in_parts(r, path, body_of(r, id)))
        enter_in_ledger(r, apr_pstrcat(r->pool, path, ".end", NULL), id);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_handler(origin_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(idem_origin) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};
