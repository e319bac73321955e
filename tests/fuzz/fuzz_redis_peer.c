/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_redis_peer.c - any bytes as the answers of Redis, or of a sentinel.
 *
 *   first byte   bit 0: connections are greeted as they should be, and what follows are the answers behind that;
 *                bit 1: by way of a sentinel; bit 2: replicas are waited for; bits 3 and up: which operation comes
 *                first
 *   the rest     the answers, PEER_NEXT between two
 *
 * What must hold: each call returns, in time; what is shown can be looked at to its last byte; a failure has its
 * sentence.
 */
#include "drivers.h"
#include "peer.h"

#include <hiredis/hiredis.h>

#include <apr_strings.h>

enum { GREETED = 1, SENTINEL = 2, REPLICAS = 4, OPERATIONS = 10 };

static int greeted;

/* The driver's own, but that nothing is asked of a socket that only TCP has. */
redisContext *redisConnectWithTimeout(const char *ip, int port, const struct timeval tv)
{
    (void)ip, (void)port;
    return redisConnectUnixWithTimeout("peer", tv);
}

/* *COUNT, then $LENGTH and a word, COUNT times. */
static size_t command(const char *text, size_t len)
{
    const char *at = text, *end = text + len;
    long words;

    if (!memchr(at, '\n', len))
        return 0;
    words = strtol(at + 1, NULL, 10);
    at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
    for (; words > 0; words--) {
        long bytes;
        if (at >= end || !memchr(at, '\n', (size_t)(end - at)))
            return 0;
        bytes = strtol(at + 1, NULL, 10);
        at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        if (end - at < bytes + 2)
            return 0;
        at += bytes + 2;
    }
    return (size_t)(at - text);
}

static size_t usual(const char *text, size_t len, char *answer, size_t room)
{
    static const struct {
        const char *word, *answer;
    } known[] = {
        {"appendfsync", "*2\r\n$11\r\nappendfsync\r\n$6\r\nalways\r\n"},
        {"save", "*2\r\n$4\r\nsave\r\n$0\r\n\r\n"},
        {"INFO", "$47\r\nredis_version:7.0.15\r\nrole:master\r\nloading:0\r\n\r\n"},
        {"TIME", "*2\r\n$10\r\n1700000000\r\n$6\r\n123456\r\n"},
        {"SENTINEL", "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n"},
    };

    for (size_t i = 0; greeted && i < sizeof(known) / sizeof(known[0]); i++)
        if (memmem(text, len, known[i].word, strlen(known[i].word)))
            return (size_t)(apr_cpystrn(answer, known[i].answer, room) - answer);
    return 0;
}

static unsigned sum; /* of all that was shown, so that it is looked at */

static int look(void *baton, const unsigned char *slot, const idem_found *found)
{
    (void)baton;
    for (size_t i = 0; i < IDEM_SLOT_LEN; i++)
        sum += slot[i];
    for (size_t i = 0; i < found->value.len; i++)
        sum += found->value.data[i];
    return 1;
}

static void call_one(idem_store *store, int operation, apr_pool_t *pool)
{
    static const unsigned char slot[IDEM_SLOT_LEN] = {1}, token[IDEM_TOKEN_LEN] = {2};
    unsigned char bytes[IDEM_HEAD_MIN] = "IDEM\1\1";
    idem_call call = {pool, apr_time_now() + apr_time_from_msec(20), NULL};
    idem_blob value = idem_blob_of(bytes, sizeof(bytes));
    const idem_driver *driver = store->driver;
    idem_store_status status;
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = APR_SUCCESS;
    int removed;

    switch (operation) {
    case 0: rv = driver->claim(store, &call, slot, value, &found); break;
    case 1: rv = driver->takeover(store, &call, slot, token, value); break;
    case 2: rv = driver->renew(store, &call, slot, token); break;
    case 3: rv = driver->settle(store, &call, slot, value); break;
    case 4: rv = driver->release(store, &call, slot, token); break;
    case 5: rv = driver->fetch(store, &call, slot, &found); break;
    case 6: rv = driver->forget(store, &call, slot); break;
    case 7: rv = driver->each(store, &call, look, NULL); break;
    case 8: rv = driver->status(store, &call, &status); break;
    default: MUST(driver->sweep(store, &call, 1, &removed) == APR_ENOTIMPL);
    }
    MUST(operation == 0 || rv != APR_EEXIST);
    MUST(rv < IDEM_ESTART || rv > IDEM_EALIVE || operation != 5);
    if (rv == APR_EEXIST || (operation == 5 && rv == APR_SUCCESS))
        MUST(found.value.data && look(NULL, slot, &found));
    if (rv == APR_SUCCESS && operation == 8 && status.text)
        sum += (unsigned)strlen(status.text);
    if (rv != APR_SUCCESS && rv != APR_EEXIST && rv != APR_NOTFOUND && (rv < IDEM_ESTART || rv > IDEM_EALIVE))
        MUST(call.why || operation == 9);
}

static idem_store *make_store(int mode, apr_pool_t *pool)
{
    static const char *const none[] = {NULL}, *const waiting[] = {"wait=1,10", NULL};
    static idem_env env = {.state_dir = "/nonexistent", .run_dir = "/nonexistent", .processes = 1, .threads = 1};
    const idem_driver *driver = mode & SENTINEL ? &idem_driver_redis_sentinel : &idem_driver_redis;
    const char *why = NULL;
    idem_store *store;

    env.timeout = apr_time_from_msec(20);
    MUST(driver->configure(&store, &env, mode & SENTINEL ? "//127.0.0.1:1,127.0.0.1:2/main" : "//127.0.0.1:1",
                           mode & REPLICAS ? waiting : none, pool, &why) == APR_SUCCESS);
    store->driver = driver;
    return store;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    int mode = size ? data[0] : 0;
    idem_store *store = make_store(mode, pool);
    const char *why = NULL;
    apr_status_t rv;

    greeted = mode & GREETED;
    peer_begin(command, usual, data + (size ? 1 : 0), size ? size - 1 : 0);
    rv = store->driver->open(store, pool, &why);
    MUST(rv == APR_SUCCESS || why);
    if (store->warning)
        sum += (unsigned)strlen(store->warning);
    why = NULL;
    rv = store->driver->attach(store, pool, &why);
    MUST(rv == APR_SUCCESS || why);
    for (int i = 0; rv == APR_SUCCESS && i < 3; i++)
        call_one(store, ((mode >> 3) + i) % OPERATIONS, pool);
    if (rv == APR_SUCCESS)
        store->driver->detach(store);
    peer_end();
    apr_pool_destroy(pool);
    return 0;
}
