/* SPDX-License-Identifier: Apache-2.0 */
/*
 * text.h - what logs and documents need: text inside of JSON, and times.
 */
#ifndef IDEM_TEXT_H
#define IDEM_TEXT_H

#include <apr_pools.h>
#include <apr_time.h>

/*
 * text as the inside of a JSON string (RFC 8259, section 7), whatever it holds: bytes that are no UTF-8 become U+FFFD.
 * It is text itself where nothing in it has to be written in another way.
 */
const char *idem_json_escaped(const char *text, apr_pool_t *pool);

/* "2026-11-30T20:15:00.123Z": RFC 3339, in UTC, milliseconds. */
const char *idem_time_text(apr_time_t at, apr_pool_t *pool);

#endif
