/* SPDX-License-Identifier: Apache-2.0 */
/*
 * except.h - requests that pass although they carry a key (IdempotencyExcept).
 */
#ifndef IDEM_EXCEPT_H
#define IDEM_EXCEPT_H

#include "asked.h"
#include "config.h"

typedef enum idem_exception {
    IDEM_EXCEPT_NO,         /* it is guarded */
    IDEM_EXCEPT_YES,        /* what the directive names is there, and matches */
    IDEM_EXCEPT_WANTS_BODY, /* only the body can tell: asked->body has to be filled, then ask again */
} idem_exception;

/* rule NULL: there is no exception. */
idem_exception idem_except(const idem_asked *asked, const idem_except_rule *rule);

#endif
