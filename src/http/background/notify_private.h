/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify_private.h - what goes through the pipe from those who post to the notifier.
 */
#ifndef IDEM_NOTIFY_PRIVATE_H
#define IDEM_NOTIFY_PRIVATE_H

#include "notify.h"

#define IDEM_POST_STORE 200

/* Less than PIPE_BUF: a write is whole, whoever else writes. Both ends are of one build, or of one size. */
typedef struct idem_post {
    unsigned size; /* of this; another one was written by a module of another version, and is not read */
    int what;      /* idem_notice */
    int percent;
    int has_slot;
    unsigned char slot[4];
    char store[IDEM_POST_STORE]; /* masked */
} idem_post;

/* The whole life of the notifier: never returns. command is IdempotencyNotify's, every the least pause. */
void idem_notifier_run(server_rec *s, int pipe, const char *command, apr_interval_time_t every, apr_pool_t *pool);

#endif
