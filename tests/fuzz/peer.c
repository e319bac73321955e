/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.c - see peer.h. Called by the targets that play a store's server, and by the driver without its knowing: this
 * connect() and send() are found before the C library's. What always holds: nothing leaves the process. Limits: one
 * connection at a time speaks; what it sends is kept up to SAID_MOST bytes.
 */
#include "peer.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define SAID_MOST (1 << 20)
#define ANSWER_MOST 4096
#define ENDS 64 /* connections of one input */

static struct {
    peer_command *command;
    peer_usual *usual;
    const uint8_t *data;
    size_t size, at;
    int near[ENDS], far[ENDS], count; /* the driver's ends, and ours */
    char said[SAID_MOST];
    size_t said_len;
    int said_on; /* near */
} peer;

void peer_begin(peer_command *command, peer_usual *usual, const uint8_t *data, size_t size)
{
    peer.command = command;
    peer.usual = usual;
    peer.data = data;
    peer.size = size;
    peer.at = 0;
    peer.count = 0;
    peer.said_len = 0;
}

void peer_end(void)
{
    for (int i = 0; i < peer.count; i++)
        if (peer.far[i] >= 0)
            close(peer.far[i]);
    peer.count = 0;
}

static int which(int fd)
{
    for (int i = peer.count - 1; i >= 0; i--) /* a number comes back for a later connection */
        if (peer.near[i] == fd)
            return i;
    return -1;
}

static void hang_up(int i)
{
    if (peer.far[i] >= 0)
        close(peer.far[i]);
    peer.far[i] = -1;
}

int connect(int fd, const struct sockaddr *address, socklen_t len)
{
    int pair[2];

    (void)address, (void)len;
    if (peer.count == ENDS || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) {
        errno = ECONNREFUSED;
        return -1;
    }
    MUST(dup2(pair[0], fd) == fd);
    close(pair[0]);
    peer.near[peer.count] = fd;
    peer.far[peer.count++] = pair[1];
    return 0;
}

static void put(int i, const void *bytes, size_t len)
{
    if (len && peer.far[i] >= 0)
        (void)!sendto(peer.far[i], bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0);
}

/* Behind the last piece there is nothing more to wait for, nor behind an answer that has no end. */
static void put_next_piece(int i)
{
    const uint8_t *piece = peer.data + peer.at;
    const uint8_t *end = peer.at < peer.size ? memchr(piece, PEER_NEXT, peer.size - peer.at) : NULL;
    size_t len = end ? (size_t)(end - piece) : peer.size - peer.at;

    put(i, piece, len);
    peer.at += end ? len + 1 : len;
    if (!end || !len || piece[len - 1] != '\n')
        hang_up(i);
}

static void answer(int i)
{
    size_t at = 0, len;

    while ((len = peer.command(peer.said + at, peer.said_len - at)) > 0) {
        char usual[ANSWER_MOST];
        size_t known = peer.usual(peer.said + at, len, usual, sizeof(usual));

        if (known)
            put(i, usual, known);
        else
            put_next_piece(i);
        at += len;
    }
    peer.said_len -= at;
    memmove(peer.said, peer.said + at, peer.said_len);
}

ssize_t send(int fd, const void *bytes, size_t len, int flags)
{
    int i = which(fd);

    if (i < 0)
        return sendto(fd, bytes, len, flags, NULL, 0);
    if (peer.far[i] < 0) {
        errno = EPIPE;
        return -1;
    }
    if (peer.said_on != fd)
        peer.said_len = 0;
    peer.said_on = fd;
    MUST(len <= SAID_MOST - peer.said_len);
    memcpy(peer.said + peer.said_len, bytes, len);
    peer.said_len += len;
    answer(i);
    return (ssize_t)len;
}

/* ---- what is called ---------------------------------------------------------------------------------------------- */

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

enum { CLAIM, TAKEOVER, RENEW, SETTLE, RELEASE, FETCH, FORGET, EACH, STATUS };

static apr_status_t operate(idem_store *store, int operation, idem_call *call, idem_found *found)
{
    static const unsigned char slot[IDEM_SLOT_LEN] = {1}, token[IDEM_TOKEN_LEN] = {2};
    static const unsigned char lease[IDEM_HEAD_MIN] = {'I', 'D', 'E', 'M', 1, 1, [19] = 200};
    const idem_driver *driver = store->driver;
    idem_blob value = idem_blob_of(lease, sizeof(lease));
    idem_store_status status = {0};
    apr_status_t rv;
    int removed;

    switch (operation) {
    case CLAIM: return driver->claim(store, call, slot, value, found);
    case TAKEOVER: return driver->takeover(store, call, slot, token, value);
    case RENEW: return driver->renew(store, call, slot, token);
    case SETTLE: return driver->settle(store, call, slot, value);
    case RELEASE: return driver->release(store, call, slot, token);
    case FETCH: return driver->fetch(store, call, slot, found);
    case FORGET: return driver->forget(store, call, slot);
    case EACH: return driver->each(store, call, look, NULL);
    case STATUS:
        rv = driver->status(store, call, &status);
        sum += rv == APR_SUCCESS && status.text ? (unsigned)strlen(status.text) : 0;
        return rv;
    default: return driver->sweep(store, call, 1, &removed);
    }
}

static int is_answer(apr_status_t rv)
{
    return rv == APR_SUCCESS || rv == APR_EEXIST || rv == APR_NOTFOUND || (rv >= IDEM_ESTART && rv <= IDEM_EALIVE);
}

static void call_one(idem_store *store, int operation, apr_pool_t *pool)
{
    static const unsigned char slot[IDEM_SLOT_LEN] = {1};
    idem_call call = {.pool = pool, .deadline = apr_time_now() + PEER_TIMEOUT};
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = operate(store, operation, &call, &found);

    MUST(operation == CLAIM || rv != APR_EEXIST);
    MUST(operation != FETCH || rv < IDEM_ESTART || rv > IDEM_EALIVE);
    if (rv == APR_EEXIST || (operation == FETCH && rv == APR_SUCCESS))
        MUST(found.value.data && look(NULL, slot, &found));
    MUST(is_answer(rv) || rv == APR_ENOTIMPL || call.why);
}

void peer_use(idem_store *store, int first, int operations, apr_pool_t *pool)
{
    const char *why = NULL;
    apr_status_t rv = store->driver->open(store, pool, &why);

    MUST(rv == APR_SUCCESS || why);
    if (store->warning)
        sum += (unsigned)strlen(store->warning);
    why = NULL;
    rv = store->driver->attach(store, pool, &why);
    MUST(rv == APR_SUCCESS || why);
    if (rv != APR_SUCCESS)
        return;
    for (int i = 0; i < 3; i++)
        call_one(store, (first + i) % operations, pool);
    store->driver->detach(store);
}
