/* SPDX-License-Identifier: Apache-2.0 */
/*
 * coding.h - a record that the application has coded (Content-Encoding), for a client that may refuse the coding.
 */
#ifndef IDEM_CODING_H
#define IDEM_CODING_H

#include "record.h"

#include <util_filter.h>

/* How many codings of record's body, from the outermost inwards, must be undone for r; -1 where that cannot be done. */
int idem_coding_to_undo(request_rec *r, const idem_response *record);

/*
 * Sends bb, record's body and its end, from next on, with so many codings undone; r has the record's fields. Filters
 * behind see an Accept-Encoding that refuses nothing by q=0.
 */
apr_status_t idem_coding_pass(request_rec *r, ap_filter_t *next, apr_bucket_brigade *bb, const idem_response *record,
                              int undone);

#endif
