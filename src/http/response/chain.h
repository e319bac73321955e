/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain.h - where a response is recorded in a request's chain of output filters, and where a replay of it enters.
 *
 * Both follow one rule. A filter that made the recorded bytes never sees them again. A filter that codes them for a
 * client does so for the client that asks now.
 */
#ifndef IDEM_CHAIN_H
#define IDEM_CHAIN_H

#include "record.h"

#include <util_filter.h>

/* The recorder's type: behind generators, rewriters and inspectors (mod_security has the same type), before
 * compression. */
#define IDEM_CHAIN_PLACE ((ap_filter_type)(AP_FTYPE_CONTENT_SET - 3))

/* The first filter of r that stands behind the recorder's place: where an answer enters that no handler wrote. */
ap_filter_t *idem_chain_entry(request_rec *r);

/*
 * The last filter, of next and those behind it, that may change the body. Such a filter is unknown, or it puts a file
 * in the place of a response that names the file. NULL for none: that is usual. r's response head must be complete.
 */
ap_filter_t *idem_chain_maker(request_rec *r, ap_filter_t *next);

/* Notes in a response that is to be recorded that its bytes come from this maker. */
void idem_chain_note(idem_response *response, const char *maker);

/*
 * Where a replay of record enters r's chain: idem_chain_entry(), or directly behind the maker that its bytes come from.
 * Takes makers that did not see the first answer out of the chain.
 */
ap_filter_t *idem_chain_replay_entry(request_rec *r, const idem_response *record);

#endif
