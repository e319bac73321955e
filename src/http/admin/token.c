/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.c - the token without which nothing is changed: a page of another site cannot read it.
 *
 * Called by the verbs that act. It is a keyed digest of the user, the host and the moment at which it ends. The key is
 * random, made once in the parent's life, and known to all children. Limits: each server has a key of its own, so a
 * token is good where it was given.
 */
#include "admin_private.h"

#include "digest.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <http_config.h>

#define LIFE apr_time_from_sec(12 * 3600)
#define KEPT "mod_idempotency: the key of the admin API's tokens"

static unsigned char *key;

apr_status_t idem_admin_open(server_rec *s)
{
    (void)s;
    key = ap_retained_data_get(KEPT);
    if (key)
        return APR_SUCCESS;
    key = ap_retained_data_create(KEPT, IDEM_DIGEST_LEN);
    return idem_random(key, IDEM_DIGEST_LEN);
}

static const char *token_until(request_rec *r, apr_int64_t ends)
{
    idem_blob secret = idem_blob_of(key, IDEM_DIGEST_LEN);
    unsigned char digest[IDEM_DIGEST_LEN], until[8];
    const char *host = apr_table_get(r->headers_in, "Host");
    idem_digest *d;

    if (idem_digest_start(&d, &secret) != APR_SUCCESS)
        return NULL;
    idem_put(until, (apr_uint64_t)ends, sizeof(until));
    idem_digest_feed_part(d, idem_blob_of(until, sizeof(until)));
    idem_digest_feed_part(d, idem_blob_str(r->user ? r->user : ""));
    idem_digest_feed_part(d, idem_blob_str(host ? host : ""));
    if (idem_digest_finish(d, digest) != APR_SUCCESS)
        return NULL;
    return apr_psprintf(r->pool, "%" APR_INT64_T_FMT ".%s", ends, apr_pescape_hex(r->pool, digest, sizeof(digest), 0));
}

const char *idem_admin_make_token(request_rec *r)
{
    return token_until(r, apr_time_sec(apr_time_now() + LIFE));
}

int idem_admin_is_token(request_rec *r, const char *token)
{
    apr_int64_t ends = apr_strtoi64(token, NULL, 10);
    const char *right = token_until(r, ends);
    apr_size_t len = right ? strlen(right) : 0;

    return right && ends >= apr_time_sec(apr_time_now()) && strlen(token) == len && idem_equal_ct(token, right, len);
}
