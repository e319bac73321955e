/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shown.h - what is shown, as JSON: one form for idemctl and the admin API.
 *
 * Objects are jansson's: the caller owns what is returned. A field whose value is not known is null, never left out.
 */
#ifndef IDEM_SHOWN_H
#define IDEM_SHOWN_H

#include "ops.h"

#include <jansson.h>

typedef enum idem_shown_detail {
    IDEM_SHOWN_ROW,     /* of a list */
    IDEM_SHOWN_HEADERS, /* with the response's header fields */
    IDEM_SHOWN_BODY     /* … and its body */
} idem_shown_detail;

json_t *idem_shown_view(const idem_view *view, idem_shown_detail detail, apr_pool_t *pool);

/* How often a key was sent again; last is null for never. */
json_t *idem_shown_again(apr_uint64_t replayed, apr_uint64_t refused, apr_time_t last, apr_pool_t *pool);

/* Of entries that were counted; and what the store says of itself. */
json_t *idem_shown_tally(const idem_tally *tally, apr_pool_t *pool);
json_t *idem_shown_store(const idem_front *front, const idem_store_status *status, const char *why, apr_pool_t *pool);

/* Which parts a scope has; a value that is absent is null. */
json_t *idem_shown_scope(const idem_scope *scope, apr_pool_t *pool);

/* Any bytes: what is no UTF-8 is taken for ISO 8859-1. text NULL is null. */
json_t *idem_shown_text(const char *text, apr_pool_t *pool);

/* "2026-11-30T19:36:06.123Z"; null for 0. */
json_t *idem_shown_time(apr_time_t time, apr_pool_t *pool);
const char *idem_shown_moment(apr_time_t time, apr_pool_t *pool);

#endif
