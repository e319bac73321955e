/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_redis_peer.c - any bytes as the answers of Redis, or of a sentinel.
 *
 *   first byte   bit 0: connections are greeted as they should be, and what follows are the answers behind that;
 *                bit 1: by way of a sentinel; bit 2: replicas are waited for; bits 3 and up: which operation comes
 *                first
 *   the rest     the answers, PEER_NEXT between two
 *
 * What must hold: see peer_use().
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

static idem_store *make_store(int mode, apr_pool_t *pool)
{
    static const char *const none[] = {NULL}, *const waiting[] = {"wait=1,10", NULL};
    static idem_env env = {.state_dir = "/nonexistent", .run_dir = "/nonexistent", .processes = 1, .threads = 1};
    const idem_driver *driver = mode & SENTINEL ? &idem_driver_redis_sentinel : &idem_driver_redis;
    const char *why = NULL;
    idem_store *store;

    env.timeout = PEER_TIMEOUT;
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

    greeted = mode & GREETED;
    peer_begin(command, usual, data + (size ? 1 : 0), size ? size - 1 : 0);
    peer_use(store, mode >> 3, OPERATIONS, pool);
    peer_end();
    apr_pool_destroy(pool);
    return 0;
}
