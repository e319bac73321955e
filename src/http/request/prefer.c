/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefer.c - finds one preference in the header Prefer.
 *
 * Called by the gate where a client may ask for an outcome. A cursor goes over the field: a comma inside a quoted
 * string ends no member. A member that is malformed names nothing, or has another value than any that is looked for.
 */
#include "prefer.h"

#include <string.h>
#include <strings.h>

#include "quoted.h"

#define BLANK " \t"

static int is_preference_word(const char *s, size_t len, const char *word)
{
    return strlen(word) == len && !strncasecmp(s, word, len);
}

/* The value behind a preference's name: a token or a quoted string; parameters follow behind a semicolon. */
static int has_value(const char *s, const char *end, const char *value)
{
    size_t len;

    s += strspn(s, BLANK);
    if (s >= end || *s != '=')
        return 0;
    s++;
    s += strspn(s, BLANK);
    if (s < end && *s == '"') {
        len = strcspn(s + 1, "\"");
        return s[1 + len] == '"' && is_preference_word(s + 1, len, value);
    }
    len = strcspn(s, BLANK ";,");
    return is_preference_word(s, len, value);
}

int idem_prefers(const char *field, const char *name, const char *value)
{
    const char *end;

    for (const char *s = field; s && *s; s = *end ? end + 1 : end) {
        size_t len;

        s += strspn(s, BLANK);
        end = idem_quoted_find(s, ',');
        len = strcspn(s, BLANK "=;,");
        if (is_preference_word(s, len, name))
            return has_value(s + len, end, value);
    }
    return 0;
}
