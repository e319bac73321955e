/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_memcached_peer.c - any bytes as the answers of memcached.
 *
 *   first byte   bit 0: a server that says how it is set up, as it should, and what follows are the answers behind
 *                that; bits 1 and up: which operation comes first
 *   the rest     the answers, PEER_NEXT between two
 *
 * What must hold: see peer_use().
 */
#include "drivers.h"
#include "peer.h"

#include <apr_strings.h>

enum { GREETED = 1, OPERATIONS = 9 };

static int greeted;

/* A line; behind those that store, a value of as many bytes as the line says. Both questions about the setup are
 * one. */
static size_t command(const char *text, size_t len)
{
    static const char setup[] = "stats settings\r\nstats\r\n";
    const char *end = memchr(text, '\n', len);
    size_t line = end ? (size_t)(end - text) + 1 : 0, value;

    if (len >= sizeof(setup) - 1 && memcmp(text, setup, sizeof(setup) - 1) == 0)
        return sizeof(setup) - 1;
    if (!end || text[0] == 'g')
        return line;
    while (end > text && end[-1] != ' ')
        end--;
    value = strtoul(end, NULL, 10) + 2;
    return len - line >= value ? line + value : 0;
}

static size_t usual(const char *text, size_t len, char *answer, size_t room)
{
    static const char setup[] = "STAT evictions off\r\nSTAT item_size_max 4096\r\nEND\r\n"
                                "STAT version 1.6.18\r\nSTAT time 1700000000\r\nSTAT bytes 1\r\nEND\r\n";
    (void)len;
    return greeted && text[0] == 's' ? (size_t)(apr_cpystrn(answer, setup, room) - answer) : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const none[] = {NULL};
    static idem_env env = {.state_dir = "/nonexistent", .run_dir = "/nonexistent", .processes = 1, .threads = 1};
    apr_pool_t *pool = fuzz_pool();
    int mode = size ? data[0] : 0;
    const char *why = NULL;
    idem_store *store;

    env.timeout = PEER_TIMEOUT;
    greeted = mode & GREETED;
    MUST(idem_driver_memcache.configure(&store, &env, "127.0.0.1:1", none, pool, &why) == APR_SUCCESS);
    store->driver = &idem_driver_memcache;
    peer_begin(command, usual, data + (size ? 1 : 0), size ? size - 1 : 0);
    peer_use(store, mode >> 1, OPERATIONS, pool);
    peer_end();
    apr_pool_destroy(pool);
    return 0;
}
