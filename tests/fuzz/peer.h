/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer.h - a store's server whose answers are the input of a fuzz target.
 *
 * The driver's connections end here: connect() gives it one end of a pair of sockets, and each command it sends is
 * answered, before send() returns, with the next piece of the input. So no thread and no clock is involved, and an
 * input always does the same. When the pieces have run out the connection is closed.
 */
#ifndef IDEM_FUZZ_PEER_H
#define IDEM_FUZZ_PEER_H

#include "fuzz.h"
#include "idem_store.h"

/* Stands between two pieces. */
#define PEER_NEXT 0xff

/* How many bytes of text are one command; 0 if it is not whole. */
typedef size_t peer_command(const char *text, size_t len);

/* Says what this command is answered with, if not with the next piece; returns the length, 0 for the next piece. */
typedef size_t peer_usual(const char *command, size_t len, char *answer, size_t room);

#define PEER_TIMEOUT apr_time_from_msec(20)

void peer_begin(peer_command *command, peer_usual *usual, const uint8_t *data, size_t size);

/* Opens the store, attaches it, and calls three of its first so many operations, beginning with one of them. What must
 * hold: each call returns in time, a value can be read to its last byte, and a failure has its sentence. */
void peer_use(idem_store *store, int first, int operations, apr_pool_t *pool);

void peer_end(void);

#endif
