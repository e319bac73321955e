/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keysource.h - which key, if any, a request carries.
 */
#ifndef IDEM_KEYSOURCE_H
#define IDEM_KEYSOURCE_H

#include "asked.h"
#include "config.h"
#include "problem.h"

/* What was found. */
typedef struct idem_finding {
    idem_blob key;        /* data NULL: there is none */
    int is_request;       /* there is none, but the request is to be its own key (IdempotencyKey fingerprint) */
    int wants_body;       /* nothing can be said before the body is read */
    idem_problem problem; /* KEY_INVALID or BODY_TOO_LARGE */
    const char *detail;   /* what is wrong, never the key; NULL: the table's */
    apr_status_t status;  /* APR_EGENERAL with detail for the log: an expression failed */
} idem_finding;

/*
 * Tries the configured sources in order. The body is asked for only if no source before it gave a key, and if the
 * request's type allows one in it. The caller then fills asked->body, and everything is tried again.
 */
void idem_find_key(const idem_asked *asked, const idem_settings *settings, idem_finding *found);

#endif
