/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - telling a program of the administrator's what he should know: IdempotencyNotify.
 *
 * The finder posts its news and goes on. A post is one write of a few bytes into a pipe: it takes no lock and never
 * waits. A process of its own reads the pipe and runs the program (notifier.c).
 */
#ifndef IDEM_NOTIFY_H
#define IDEM_NOTIFY_H

#include "front.h"

#include <httpd.h>

typedef enum idem_notice {
    IDEM_TELL_UNKNOWN, /* nobody knows what became of a request */
    IDEM_TELL_LOST,    /* a request lost its lease while it ran */
    IDEM_TELL_DOWN,    /* a store is not called any more */
    IDEM_TELL_UP,      /* it is, by every process; nobody posts this */
    IDEM_TELL_FULL,    /* it has nearly no room left, or none */
    IDEM_TELLS
} idem_notice;

/* post_config, after the metrics: starts the process where IdempotencyNotify is set. It ends with pconf. */
void idem_notify_start(server_rec *s, apr_pool_t *pconf);

/* Any thread of any child. slot may be NULL; percent: how full a store is. Nothing happens where nobody is told. */
void idem_notify_post(idem_notice what, const idem_front *front, const unsigned char *slot, int percent);

/* A store was asked how full it is, or had no room: posted where that is much. */
void idem_notify_room(idem_front *front, apr_pool_t *pool);

#endif
