/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_memcached_peer.c - any bytes as the answers of memcached.
 *
 *   first byte   bit 0: a server that says how it is set up, as it should, and what follows are the answers behind
 *                that; bits 1 and up: which operation comes first
 *   the rest     the answers, PEER_NEXT between two
 *
 * What must hold: each call returns; what is shown can be looked at to its last byte; a failure has its sentence.
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

static unsigned sum; /* of all that was shown, so that it is looked at */

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
    int shows = 0;

    memset(&status, 0, sizeof(status));
    bytes[19] = 200; /* the lease */
    switch (operation) {
    case 0: rv = driver->claim(store, &call, slot, value, &found); break;
    case 1: rv = driver->takeover(store, &call, slot, token, value); break;
    case 2: rv = driver->renew(store, &call, slot, token); break;
    case 3: rv = driver->settle(store, &call, slot, value); break;
    case 4: rv = driver->release(store, &call, slot, token); break;
    case 5: rv = driver->fetch(store, &call, slot, &found); break;
    case 6: rv = driver->forget(store, &call, slot); break;
    case 7: MUST(driver->each(store, &call, NULL, NULL) == APR_ENOTIMPL); break;
    default: rv = driver->status(store, &call, &status);
    }
    shows = rv == APR_EEXIST || (operation == 5 && rv == APR_SUCCESS);
    MUST(operation == 0 || rv != APR_EEXIST);
    for (size_t i = 0; shows && i < found.value.len; i++)
        sum += found.value.data[i];
    if (status.text)
        sum += (unsigned)strlen(status.text);
    if (rv != APR_SUCCESS && rv != APR_EEXIST && rv != APR_NOTFOUND && (rv < IDEM_ESTART || rv > IDEM_EALIVE))
        MUST(call.why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const none[] = {NULL};
    static idem_env env = {.state_dir = "/nonexistent", .run_dir = "/nonexistent", .processes = 1, .threads = 1};
    apr_pool_t *pool = fuzz_pool();
    int mode = size ? data[0] : 0;
    const char *why = NULL;
    idem_store *store;
    apr_status_t rv;

    env.timeout = apr_time_from_msec(20);
    greeted = mode & GREETED;
    MUST(idem_driver_memcache.configure(&store, &env, "127.0.0.1:1", none, pool, &why) == APR_SUCCESS);
    store->driver = &idem_driver_memcache;
    peer_begin(command, usual, data + (size ? 1 : 0), size ? size - 1 : 0);
    rv = store->driver->open(store, pool, &why);
    MUST(rv == APR_SUCCESS || why);
    why = NULL;
    rv = store->driver->attach(store, pool, &why);
    MUST(rv == APR_SUCCESS || why);
    for (int i = 0; rv == APR_SUCCESS && i < 3; i++)
        call_one(store, ((mode >> 1) + i) % OPERATIONS, pool);
    if (rv == APR_SUCCESS)
        store->driver->detach(store);
    peer_end();
    apr_pool_destroy(pool);
    return 0;
}
