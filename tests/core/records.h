/* SPDX-License-Identifier: Apache-2.0 */
/*
 * records.h - the records that the tests of record.c encode, damage and compare. Linked to every unit test.
 */
#ifndef IDEM_UNIT_RECORDS_H
#define IDEM_UNIT_RECORDS_H

#include "unit.h"

#include "record.h"

/* No two members of a head or a response have the same value, nothing is left out; the bare one has its status
 * alone. */
idem_head unit_head(idem_state state);
idem_response unit_response(apr_pool_t *pool);
idem_response unit_response_with_places(apr_pool_t *pool);
idem_response unit_bare_response(void);

/* Encoded without fail, before an unreadable page. */
idem_blob unit_encoded(apr_pool_t *pool, const idem_head *head, const idem_response *response);

/* unit_head() and unit_response() as a RECORD. */
idem_blob unit_record(apr_pool_t *pool);

/* As whoever can write to a store can do it; by the rule of the version that value says it is of. */
void unit_make_sum_right(unsigned char *value, apr_size_t len);

/* The same as versions with SHA-256 checksums have written it. */
idem_blob unit_older(apr_pool_t *pool, idem_blob value);

void unit_assert_same_head(const idem_head *one, const idem_head *two);
void unit_assert_same_response(const idem_response *one, const idem_response *two);

#endif
