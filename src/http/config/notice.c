/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice.c - the line at start by which an administrator sees what runs: version, store and limits.
 *
 * Called once by post_config. The limits are the main server's: sections may say otherwise.
 */
#include "notice.h"

#include "config.h"
#include "log.h"
#include "stores.h"

#include <apr_strings.h>

typedef struct unit {
    const char *name;
    apr_int64_t size;
} unit;

/* In the largest unit that gives a whole number. Units end with one of size 1. */
static const char *in_units(apr_int64_t amount, const unit *units, apr_pool_t *pool)
{
    while (units->size > 1 && (amount < units->size || amount % units->size))
        units++;
    return apr_psprintf(pool, "%" APR_INT64_T_FMT "%s", amount / units->size, units->name);
}

static const char *duration_text(apr_int64_t microseconds, apr_pool_t *pool)
{
    static const unit units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};

    return in_units(apr_time_sec(microseconds), units, pool);
}

static const char *size_text(apr_int64_t bytes, apr_pool_t *pool)
{
    static const unit units[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {" bytes", 1}};

    return in_units(bytes, units, pool);
}

void idem_notice_say(server_rec *s, apr_pool_t *ptemp)
{
    const idem_settings *settings = idem_defaults_of(s);
    const apr_array_header_t *fronts = idem_stores_all();

    for (int i = 0; i < fronts->nelts; i++)
        IDEM_SLOG(s, APLOG_NOTICE, 66,
                  "mod_idempotency/" IDEM_VERSION ", store %s: keys live %s, request bodies up to %s are read ahead, "
                  "responses up to %s are kept, unless a section says otherwise",
                  idem_front_url(APR_ARRAY_IDX(fronts, i, idem_front *)), duration_text(settings->ttl, ptemp),
                  size_text(settings->spool, ptemp), size_text(settings->max_response, ptemp));
}
