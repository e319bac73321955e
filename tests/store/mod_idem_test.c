/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_test.c - httpd module for tests: a store that counts, fails and waits on command, and two handlers that
 * misbehave.
 *
 * Loaded by the private servers of tests/http, never by anybody else.
 *
 * The store "wrap:CONTROLDIR,INNERURL" (wrap:/tmp/x,lmdb:store) hands every call to the store INNERURL. OP below is one
 * of claim takeover renew settle release fetch each forget sweep status, or all for each of them.
 *
 *   CONTROLDIR/calls      gets a line for each call, in one write: "OP RESULT PID SLOT" (SLOT: 8 hex digits, or -).
 *                         RESULT is ok exists notfound lost full toobig damaged alive timeout, or error-NUMBER. A call
 *                         that starts to wait at block-OP writes "OP blocked PID SLOT" first.
 *   CONTROLDIR/block-OP   while it is there (a file or a fifo) the call waits, looking every 5 ms; if a file contains
 *                         "timed", until the call's deadline at most, and the call then fails as timeout; if
 *                         it contains "late", the call is handed on first, and its result waits; if it contains "one",
 *                         the first call renames it to block-OP-one, and no other call waits
 *   CONTROLDIR/delay-OP   contains milliseconds: the call sleeps so long first
 *   CONTROLDIR/fail-OP    contains a word: down timeout full toobig lost damaged; the call is not handed on and fails
 *                         so. ambiguous: it is handed on, and fails as down if it succeeded. With "once" behind the
 *                         word the file is removed by the call that it fails.
 *   CONTROLDIR/fat-OP     contains a number of bytes: so much is written into the call's pool
 *   CONTROLDIR/fail-attach  the same for attach() of a process, which leaves no line in calls
 *
 * Handlers (arguments from the query string, %-decoded; count=FILE gets one line per execution: "PID"):
 *
 *   SetHandler idem-test-rwrite   chunks=N (3) size=BYTES (64) gate=FIFO flush=1 count=FILE done=FILE
 *       writes N chunks with ap_rwrite. Before each but the first it opens the fifo for reading, and goes on when it
 *       has been opened for writing and closed again. done gets "PID complete", or "PID cut I" if chunk I could not
 *       be written.
 *   SetHandler idem-test-error    status=NNN (500) count=FILE
 *       returns the status and writes nothing.
 */
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_protocol.h>
#include <ap_provider.h>

#include <apr_strings.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "idem_store.h"

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_test_module;

#define LOOK_EVERY apr_time_from_msec(5)
#define CONTROL_MAX 64

/* ---- files ------------------------------------------------------------------------------------------------------- */

static void append(const char *path, const char *line)
{
    apr_size_t len = strlen(line);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    if (fd < 0 || write(fd, line, len) != (ssize_t)len)
        ap_log_error(APLOG_MARK, APLOG_CRIT, errno, NULL, "idem_test: cannot write %s", path);
    if (fd >= 0)
        close(fd);
}

/* The contents without the newline, in buf; a fifo has none. 0 if there is no such file. */
static int contents(const char *path, char buf[CONTROL_MAX])
{
    struct stat st;
    ssize_t got = 0;
    int fd;

    buf[0] = '\0';
    if (stat(path, &st) != 0)
        return 0;
    if (!S_ISREG(st.st_mode))
        return 1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        got = read(fd, buf, CONTROL_MAX - 1);
        close(fd);
    }
    buf[got > 0 ? got : 0] = '\0';
    buf[strcspn(buf, "\r\n")] = '\0';
    return fd >= 0;
}

/* ---- the store "wrap" -------------------------------------------------------------------------------------------- */

typedef struct wrap_store {
    idem_store super;
    idem_store *inner;
    const char *dir;
} wrap_store;

typedef struct wrap_call {
    wrap_store *store;
    idem_call *call;
    const char *op;
    const unsigned char *slot; /* or NULL */
    int ambiguous;             /* do it, then deny it */
} wrap_call;

static idem_store *inner_of(idem_store *store)
{
    return ((wrap_store *)store)->inner;
}

static const char *word_of(apr_status_t rv, apr_pool_t *pool)
{
    switch (rv) {
    case APR_SUCCESS: return "ok";
    case APR_EEXIST: return "exists";
    case APR_NOTFOUND: return "notfound";
    case APR_TIMEUP: return "timeout";
    case IDEM_ELOST: return "lost";
    case IDEM_EFULL: return "full";
    case IDEM_ETOOBIG: return "toobig";
    case IDEM_EDAMAGED: return "damaged";
    case IDEM_EALIVE: return "alive";
    default: return apr_psprintf(pool, "error-%d", rv);
    }
}

static apr_status_t status_of(const char *word)
{
    static const struct {
        const char *word;
        apr_status_t status;
    } words[] = {
        {"down", APR_ECONNREFUSED}, {"timeout", APR_TIMEUP},    {"full", IDEM_EFULL},          {"toobig", IDEM_ETOOBIG},
        {"lost", IDEM_ELOST},       {"damaged", IDEM_EDAMAGED}, {"ambiguous", APR_ECONNRESET},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strncmp(word, words[i].word, strlen(words[i].word)) == 0)
            return words[i].status;
    return APR_EGENERAL; /* a typing error in a test shows as an unexpected number in calls */
}

static void record(const wrap_call *c, const char *result)
{
    const unsigned char *s = c->slot;
    const char *slot = s ? apr_psprintf(c->call->pool, "%02x%02x%02x%02x", s[0], s[1], s[2], s[3]) : "-";
    append(apr_pstrcat(c->call->pool, c->store->dir, "/calls", NULL),
           apr_psprintf(c->call->pool, "%s %s %ld %s\n", c->op, result, (long)getpid(), slot));
}

/* The control file VERB-OP or VERB-all: its path, or NULL. */
static const char *control(const wrap_call *c, const char *verb, char buf[CONTROL_MAX])
{
    const char *mine = apr_psprintf(c->call->pool, "%s/%s-%s", c->store->dir, verb, c->op);
    const char *all = apr_psprintf(c->call->pool, "%s/%s-all", c->store->dir, verb);
    if (contents(mine, buf))
        return mine;
    return contents(all, buf) ? all : NULL;
}

static apr_status_t wait_while_blocked(wrap_call *c, int late)
{
    char buf[CONTROL_MAX];
    const char *path = control(c, "block", buf), *mine;

    if (!path || !strstr(buf, "late") != !late)
        return APR_SUCCESS;
    if (strstr(buf, "one")) {
        mine = apr_pstrcat(c->call->pool, path, "-one", NULL);
        if (rename(path, mine) != 0)
            return APR_SUCCESS; /* another call was the one */
        path = mine;
    }
    record(c, "blocked");
    while (contents(path, buf)) {
        if (strstr(buf, "timed") && apr_time_now() >= c->call->deadline)
            return APR_TIMEUP;
        apr_sleep(LOOK_EVERY);
    }
    return APR_SUCCESS;
}

/* APR_SUCCESS: hand the call on. */
static apr_status_t failure_wanted(wrap_call *c, const char *path, const char *order)
{
    if (!path)
        return APR_SUCCESS;
    if (strstr(order, "once") && unlink(path) != 0)
        return APR_SUCCESS; /* another call was the one */
    c->ambiguous = strncmp(order, "ambiguous", 9) == 0;
    return c->ambiguous ? APR_SUCCESS : status_of(order);
}

static apr_status_t before(wrap_call *c)
{
    char buf[CONTROL_MAX];
    apr_status_t rv = wait_while_blocked(c, 0);

    if (rv != APR_SUCCESS)
        return rv;
    if (control(c, "delay", buf))
        apr_sleep(apr_time_from_msec(apr_atoi64(buf)));
    if (control(c, "fat", buf))
        memset(apr_palloc(c->call->pool, (apr_size_t)apr_atoi64(buf)), 'x', (apr_size_t)apr_atoi64(buf));
    return failure_wanted(c, control(c, "fail", buf), buf);
}

static apr_status_t after(wrap_call *c, apr_status_t rv)
{
    if (c->ambiguous && rv == APR_SUCCESS)
        rv = status_of("ambiguous");
    if (rv != APR_SUCCESS && !c->call->why)
        c->call->why = "the test wants this call to fail";
    wait_while_blocked(c, 1);
    record(c, word_of(rv, c->call->pool));
    return rv;
}

/* The limits of the inner store are the limits of this one. */
static apr_status_t adopt(wrap_store *store, apr_status_t rv)
{
    const idem_store *inner = store->inner;
    store->super.flags = inner->flags;
    store->super.max_value = inner->max_value;
    store->super.owner = inner->owner;
    store->super.warning = inner->warning;
    store->super.parts = inner->parts;
    return rv;
}

static apr_status_t wrap_configure(idem_store **out, const idem_env *env, const char *rest, const char *const *options,
                                   apr_pool_t *pool, const char **why)
{
    wrap_store *store = apr_pcalloc(pool, sizeof(*store));
    const char *comma = strchr(rest, ','), *colon = comma ? strchr(comma, ':') : NULL;
    const idem_driver *driver;
    apr_status_t rv;

    if (!colon) {
        *why = "write wrap:CONTROLDIR,INNERURL";
        return APR_EINVAL;
    }
    driver = ap_lookup_provider(IDEM_STORE_GROUP, apr_pstrmemdup(pool, comma + 1, (apr_size_t)(colon - comma - 1)),
                                IDEM_STORE_VERSION);
    if (!driver) {
        *why = apr_pstrcat(pool, "no store driver for ", comma + 1, NULL);
        return APR_EINVAL;
    }
    store->dir = apr_pstrmemdup(pool, rest, (apr_size_t)(comma - rest));
    *out = &store->super;
    rv = driver->configure(&store->inner, env, colon + 1, options, pool, why);
    if (rv != APR_SUCCESS)
        return rv;
    store->inner->driver = driver;
    return adopt(store, rv);
}

static apr_status_t wrap_open(idem_store *store, apr_pool_t *pool, const char **why)
{
    idem_store *inner = inner_of(store);
    return adopt((wrap_store *)store, inner->driver->open(inner, pool, why));
}

static apr_status_t wrap_attach(idem_store *store, apr_pool_t *pool, const char **why)
{
    wrap_store *wrap = (wrap_store *)store;
    idem_store *inner = wrap->inner;
    idem_call call = {.pool = pool};
    wrap_call c = {.store = wrap, .call = &call, .op = "attach"};
    char buf[CONTROL_MAX];
    const char *path = apr_pstrcat(pool, wrap->dir, "/fail-attach", NULL);
    apr_status_t rv = failure_wanted(&c, contents(path, buf) ? path : NULL, buf);

    *why = "the test wants attach() to fail";
    return rv == APR_SUCCESS ? adopt(wrap, inner->driver->attach(inner, pool, why)) : rv;
}

static void wrap_detach(idem_store *store)
{
    inner_of(store)->driver->detach(inner_of(store));
}

static apr_status_t wrap_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                               idem_found *found)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "claim", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->claim(inner, call, slot, value, found));
}

static apr_status_t wrap_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                  const unsigned char *seen, idem_blob value)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "takeover", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->takeover(inner, call, slot, seen, value));
}

static apr_status_t wrap_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                               const unsigned char *token)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "renew", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->renew(inner, call, slot, token));
}

static apr_status_t wrap_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "settle", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->settle(inner, call, slot, value));
}

static apr_status_t wrap_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *token)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "release", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->release(inner, call, slot, token));
}

static apr_status_t wrap_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "fetch", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->fetch(inner, call, slot, found));
}

static apr_status_t wrap_each(idem_store *store, idem_call *call, idem_visitor *visitor, void *baton)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "each", NULL, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->each(inner, call, visitor, baton));
}

static apr_status_t wrap_forget(idem_store *store, idem_call *call, const unsigned char *slot)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "forget", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->forget(inner, call, slot));
}

static apr_status_t wrap_forget_seen(idem_store *store, idem_call *call, const unsigned char *slot,
                                     const unsigned char *token)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "forget", slot, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->forget_seen(inner, call, slot, token));
}

static apr_status_t wrap_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "sweep", NULL, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->sweep(inner, call, most, removed));
}

static apr_status_t wrap_status(idem_store *store, idem_call *call, idem_store_status *status)
{
    idem_store *inner = inner_of(store);
    wrap_call c = {(wrap_store *)store, call, "status", NULL, 0};
    apr_status_t rv = before(&c);
    return after(&c, rv ? rv : inner->driver->status(inner, call, status));
}

static int wrap_part(const idem_store *store, const unsigned char *slot)
{
    const idem_store *inner = ((const wrap_store *)store)->inner;
    return inner->driver->part ? inner->driver->part(inner, slot) : 0;
}

static const idem_driver wrap_driver = {
    .scheme = "wrap",
    .configure = wrap_configure,
    .open = wrap_open,
    .attach = wrap_attach,
    .detach = wrap_detach,
    .claim = wrap_claim,
    .takeover = wrap_takeover,
    .renew = wrap_renew,
    .settle = wrap_settle,
    .release = wrap_release,
    .fetch = wrap_fetch,
    .each = wrap_each,
    .forget = wrap_forget,
    .sweep = wrap_sweep,
    .status = wrap_status,
    .part = wrap_part,
    .forget_seen = wrap_forget_seen,
};

/* ---- handlers ---------------------------------------------------------------------------------------------------- */

/* The decoded value of an argument of the query string, or otherwise. */
static const char *argument(request_rec *r, const char *name, const char *otherwise)
{
    char *rest = apr_pstrdup(r->pool, r->args ? r->args : ""), *pair;
    apr_size_t len = strlen(name);

    while ((pair = apr_strtok(rest, "&", &rest)) != NULL)
        if (strncmp(pair, name, len) == 0 && pair[len] == '=' && ap_unescape_urlencoded(pair + len + 1) == OK)
            return pair + len + 1;
    return otherwise;
}

static void count_execution(request_rec *r)
{
    const char *path = argument(r, "count", NULL);
    if (path)
        append(path, apr_psprintf(r->pool, "%ld\n", (long)getpid()));
}

/* Returns when somebody has opened the fifo for writing and closed it. */
static void pass_gate(const char *fifo)
{
    char buf[CONTROL_MAX];
    int fd = fifo ? open(fifo, O_RDONLY | O_CLOEXEC) : -1;

    if (fd < 0)
        return;
    while (read(fd, buf, sizeof(buf)) > 0)
        continue;
    close(fd);
}

static int write_chunk(request_rec *r, int number, int size)
{
    char *chunk = apr_palloc(r->pool, (apr_size_t)size + 1);
    int head = apr_snprintf(chunk, (apr_size_t)size + 1, "chunk %d\n", number);

    if (head < size)
        memset(chunk + head, '.', (apr_size_t)(size - head));
    return ap_rwrite(chunk, size, r);
}

static int write_chunks(request_rec *r)
{
    const char *done = argument(r, "done", NULL), *gate = argument(r, "gate", NULL);
    int chunks = atoi(argument(r, "chunks", "3")), size = atoi(argument(r, "size", "64")), i;
    const char *end = "complete";

    ap_set_content_type(r, "text/plain");
    for (i = 0; i < chunks; i++) {
        pass_gate(i ? gate : NULL);
        if (write_chunk(r, i, size) < 0)
            break;
        if (atoi(argument(r, "flush", "0")))
            ap_rflush(r);
    }
    if (i < chunks)
        end = apr_psprintf(r->pool, "cut %d", i);
    if (done)
        append(done, apr_psprintf(r->pool, "%ld %s\n", (long)getpid(), end));
    return OK;
}

static int test_handler(request_rec *r)
{
    int writes = r->handler && strcmp(r->handler, "idem-test-rwrite") == 0;
    int fails = r->handler && strcmp(r->handler, "idem-test-error") == 0;

    if (!writes && !fails)
        return DECLINED;
    count_execution(r);
    ap_discard_request_body(r);
    return writes ? write_chunks(r) : atoi(argument(r, "status", "500"));
}

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, IDEM_STORE_GROUP, "wrap", IDEM_STORE_VERSION, &wrap_driver);
    ap_hook_handler(test_handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(idem_test) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks, 0};
