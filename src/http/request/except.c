/* SPDX-License-Identifier: Apache-2.0 */
/*
 * except.c - looks at a part of a request with a key, or at a condition, and tells whether the request is to pass.
 *
 * Called by the gate for requests that would be guarded. What always holds: only a value that is there and matches is
 * an exception. A value that is absent, cannot be read or stands in a body that is too long leaves the request guarded.
 * In a condition an absent value is an empty one; all that cannot be read leaves the request guarded here as well.
 */
#include "except.h"

#include "body_parts.h"
#include "wiped.h"

#include <string.h>

/* A longer value of a form is known by its beginning only. */
static int is_cut_value(const idem_part *part, idem_blob value)
{
    return part->kind == IDEM_PART_FORM && value.len >= IDEM_BODY_KEY_MOST;
}

static idem_exception except_match(const idem_except_rule *rule, idem_blob value)
{
    if (!value.data || ap_regexec_len(rule->regex, (const char *)value.data, value.len, 0, NULL, 0) != 0)
        return IDEM_EXCEPT_NO;
    return IDEM_EXCEPT_YES;
}

static idem_exception except_match_in_body(const idem_asked *asked, const idem_except_rule *rule)
{
    idem_blob value;
    const char *why;

    if (!idem_body_may_have(asked, &rule->part))
        return IDEM_EXCEPT_NO;
    if (!asked->body)
        return IDEM_EXCEPT_WANTS_BODY;
    if (!asked->body->whole || idem_body_key(asked, &rule->part, &value, &why) != IDEM_BODY_VALUE ||
        is_cut_value(&rule->part, value))
        return IDEM_EXCEPT_NO;
    return except_match(rule, value);
}

/* ---- conditions -------------------------------------------------------------------------------------------------- */

typedef struct looking {
    const idem_asked *asked;
    int in_doubt; /* something could not be read */
} looking;

/* A NUL would end the value before its end. */
static const char *value_in_body(void *baton, const idem_part *part)
{
    looking *l = baton;
    idem_body_found found = IDEM_BODY_ABSENT;
    idem_blob value;
    const char *why;
    char *text;

    if (idem_body_may_have(l->asked, part))
        found = idem_body_key(l->asked, part, &value, &why);
    if (found == IDEM_BODY_UNFIT ||
        (found == IDEM_BODY_VALUE && (is_cut_value(part, value) || memchr(value.data, 0, value.len))))
        l->in_doubt = 1;
    if (found != IDEM_BODY_VALUE)
        return NULL;
    text = idem_wiped_alloc(l->asked->r->pool, value.len + 1);
    idem_put_bytes((unsigned char *)text, value.data, value.len);
    text[value.len] = '\0';
    return text;
}

static idem_exception except_condition(const idem_asked *asked, const idem_condition *condition)
{
    looking l = {asked, 0};
    int is_met;

    if (condition->in_body && !asked->body)
        return IDEM_EXCEPT_WANTS_BODY;
    if (condition->in_body && !asked->body->whole)
        return IDEM_EXCEPT_NO;
    is_met = idem_condition_is_met(condition, asked->r, value_in_body, &l);
    return is_met && !l.in_doubt ? IDEM_EXCEPT_YES : IDEM_EXCEPT_NO;
}

idem_exception idem_except(const idem_asked *asked, const idem_except_rule *rule)
{
    idem_blob value;
    const char *why;

    if (!rule)
        return IDEM_EXCEPT_NO;
    if (rule->condition.expr)
        return except_condition(asked, &rule->condition);
    if (idem_part_is_in_body(&rule->part))
        return except_match_in_body(asked, rule);
    if (idem_part_value_of(asked, &rule->part, &value, &why) != APR_SUCCESS)
        return IDEM_EXCEPT_NO;
    return except_match(rule, value);
}
