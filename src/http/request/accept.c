/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.c - reads the headers Accept and Accept-Encoding (RFC 9110 12.5), as far as our answers need it.
 *
 * Called for the module's own answers, which come in two forms each, and for replays, which may be coded. A member that
 * is malformed names nothing, or counts as liked fully.
 */
#include "accept.h"

#include <apr_cstr.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* The quality among a member's parameters, in thousandths; 1000 where there is none. */
static int quality_of(const char *params)
{
    const char *q = params ? ap_strstr_c(params, "q=") : NULL;
    int thousandths = 0, scale = 100;

    if (params && !q)
        q = ap_strstr_c(params, "Q=");
    if (!q || (q[2] != '0' && q[2] != '1'))
        return 1000;
    if (q[2] == '1')
        return 1000;
    for (q += q[3] == '.' ? 4 : 3; apr_isdigit(*q) && scale; q++, scale /= 10)
        thousandths += (*q - '0') * scale;
    return thousandths;
}

/* The best quality with which the list of members names this one, as it is written; absent where it does not. */
static int best_quality(apr_pool_t *pool, const char *list, const char *name, int absent)
{
    char *state, *member;
    int best = absent;

    for (member = apr_strtok(apr_pstrdup(pool, list), ",", &state); member; member = apr_strtok(NULL, ",", &state)) {
        char *params = strchr(member, ';');
        int quality;

        if (params)
            *params++ = 0;
        if (params)
            apr_collapse_spaces(params, params);
        apr_collapse_spaces(member, member);
        quality = quality_of(params);
        if (!apr_cstr_casecmp(member, name) && quality > best)
            best = quality;
    }
    return best;
}

int idem_accept_quality(request_rec *r, const char *range)
{
    const char *accept = apr_table_get(r->headers_in, "Accept");

    return accept ? best_quality(r->pool, accept, range, 0) : 0;
}

/* RFC 9110 8.4.1 gives two of them a second name. */
static const char *other_name(const char *coding)
{
    if (!apr_cstr_casecmpn(coding, "x-", 2))
        return coding + 2;
    if (!apr_cstr_casecmp(coding, "gzip"))
        return "x-gzip";
    return apr_cstr_casecmp(coding, "compress") ? coding : "x-compress";
}

int idem_accepts_coding(request_rec *r, const char *coding)
{
    const char *accept = apr_table_get(r->headers_in, "Accept-Encoding");
    int quality, other;

    if (!accept)
        return 1;
    quality = best_quality(r->pool, accept, coding, -1);
    other = best_quality(r->pool, accept, other_name(coding), -1);
    if (other > quality)
        quality = other;
    if (quality < 0)
        quality = best_quality(r->pool, accept, "*", 0);
    return quality > 0;
}

const char *idem_accept_encoding_cleaned(request_rec *r)
{
    const char *accept = apr_table_get(r->headers_in, "Accept-Encoding"), *kept = NULL;
    char *state, *member;

    if (!accept)
        return NULL;
    for (member = apr_strtok(apr_pstrdup(r->pool, accept), ",", &state); member;
         member = apr_strtok(NULL, ",", &state)) {
        const char *params = strchr(member, ';');
        char *bare = params ? apr_pstrdup(r->pool, params + 1) : NULL;

        if (bare)
            apr_collapse_spaces(bare, bare);
        if (quality_of(bare))
            kept = kept ? apr_pstrcat(r->pool, kept, ",", member, NULL) : member;
    }
    return kept ? kept : "identity";
}
