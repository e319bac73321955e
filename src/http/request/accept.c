/*
 * accept.c - reads the header Accept (RFC 9110 12.5.1), as far as our answers need it.
 *
 * Called for the module's own answers, which come in two forms each. A member that is malformed names nothing, or counts as liked fully:
 * the client gets one of the two in any case.
 */
#include "accept.h"

#include <apr_lib.h>
#include <apr_strings.h>

/* The quality among a member's parameters, in thousandths; 1000 where there is none. */
static int quality_of(const char *params)
{
    const char *q = params ? ap_strstr_c(params, "q=") : NULL;
    int thousandths = 0, scale = 100;

    if (!q || (q[2] != '0' && q[2] != '1'))
        return 1000;
    if (q[2] == '1')
        return 1000;
    for (q += q[3] == '.' ? 4 : 3; apr_isdigit(*q) && scale; q++, scale /= 10)
        thousandths += (*q - '0') * scale;
    return thousandths;
}

int idem_accept_quality(request_rec *r, const char *range)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");
    char *state, *member;
    int best = 0;

    if (!accept)
        return 0;
    for (member = apr_strtok(apr_pstrdup(r->pool, accept), ",", &state); member;
         member = apr_strtok(NULL, ",", &state)) {
        char *params = strchr(member, ';');
        int quality;

        if (params)
            *params++ = 0;
        if (params)
            apr_collapse_spaces(params, params);
        apr_collapse_spaces(member, member);
        quality = quality_of(params);
        if (!ap_cstr_casecmp(member, range) && quality > best)
            best = quality;
    }
    return best;
}
