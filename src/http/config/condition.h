/* SPDX-License-Identifier: Apache-2.0 */
/*
 * condition.h - an expression of httpd's that may also ask for values in the request's body: form('NAME') and
 * json('/POINTER').
 *
 * Only conditions know these two functions: elsewhere in httpd an expression is evaluated before a body was read.
 */
#ifndef IDEM_CONDITION_H
#define IDEM_CONDITION_H

#include "parts.h"

typedef struct idem_condition {
    const ap_expr_info_t *expr; /* NULL: there is no condition */
    int in_body;                /* it asks for form() or json() */
} idem_condition;

/* The value of a part in the body, NULL where it has none. */
typedef const char *idem_condition_value(void *baton, const idem_part *part);

/* Returns NULL, or a sentence without its subject. Lives in cmd->pool. */
const char *idem_condition_parse(cmd_parms *cmd, const char *text, idem_condition *condition);

/* 0 as well where it cannot be evaluated. value is called for each form() and json() that is come to. */
int idem_condition_is_met(const idem_condition *condition, request_rec *r, idem_condition_value *value, void *baton);

#endif
