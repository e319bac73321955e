/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quoted.c - header fields whose members or parameters may be quoted strings (RFC 9110, section 5.6.4).
 *
 * Called by bodyhash.c for the parameters of a Content-Type, and by prefer.c for the members of a list. A string that
 * is never closed reaches to the end of its field.
 */
#include "quoted.h"

const char *idem_quoted_find(const char *s, char separator)
{
    int quoted = 0;

    for (; *s && (quoted || *s != separator); s++) {
        if (*s == '"')
            quoted = !quoted;
        else if (quoted && *s == '\\' && s[1])
            s++;
    }
    return s;
}
