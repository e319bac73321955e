/* SPDX-License-Identifier: Apache-2.0 */
/*
 * except.c - looks at one part of a request with a key, and tells whether the request is to pass.
 *
 * Called by the gate for requests that would be guarded. What always holds: only a value that is there and matches is
 * an exception. A value that is absent, cannot be read or stands in a body that is too long leaves the request guarded.
 */
#include "except.h"

#include "body_parts.h"

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
    if (!asked->body->whole || idem_body_key(asked, &rule->part, &value, &why) != IDEM_BODY_VALUE)
        return IDEM_EXCEPT_NO;
    return except_match(rule, value);
}

idem_exception idem_except(const idem_asked *asked, const idem_except_rule *rule)
{
    idem_blob value;
    const char *why;

    if (!rule)
        return IDEM_EXCEPT_NO;
    if (idem_part_is_in_body(&rule->part))
        return except_match_in_body(asked, rule);
    if (idem_part_value_of(asked, &rule->part, &value, &why) != APR_SUCCESS)
        return IDEM_EXCEPT_NO;
    return except_match(rule, value);
}
