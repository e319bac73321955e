/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key.h - the field value of Idempotency-Key, and what a store sees of a key: its slot.
 *
 * The key itself leaves this layer only inside the caller's pool; no function here logs or keeps it.
 */
#ifndef IDEM_KEY_H
#define IDEM_KEY_H

#include "bytes.h"

typedef enum idem_key_fault {
    IDEM_KEY_OK,
    IDEM_KEY_EMPTY,
    IDEM_KEY_SHORT,   /* below the configured minimum */
    IDEM_KEY_LONG,    /* above the configured maximum */
    IDEM_KEY_BYTES,   /* control or non-ASCII bytes */
    IDEM_KEY_QUOTING, /* a String that does not end, a bad escape, a quote or comma in the bare form */
    IDEM_KEY_AFTER,   /* something after the String that is no parameter */
    IDEM_KEY_LINES    /* more than one field line, as far as can be seen */
} idem_key_fault;

/*
 * May value be several field lines that httpd has made one of? It joins repeated lines with a comma and a space before
 * any module sees them, equal and empty ones too (RFC 9110 5.3). One line with a comma and a space in it looks the
 * same.
 */
int idem_key_may_be_lines(idem_blob value);

/* A sentence about the fault for the client; never contains the key. */
const char *idem_key_fault_text(idem_key_fault fault);

/*
 * The field value of Idempotency-Key: a structured-field String (RFC 8941 3.3.3; escapes \" and \\; parameters are
 * parsed and ignored) or the bare form, '!'…'~' without '"' and ','. Leading and trailing spaces and tabs are not part
 * of it. "abc" and abc give the same key. *key points into value or into pool. Length limits are idem_key_check()'s.
 */
idem_key_fault idem_key_parse(idem_blob value, apr_pool_t *pool, idem_blob *key);

/* What every source's key must be: min…max bytes, each printable ASCII (space included). */
idem_key_fault idem_key_check(idem_blob key, apr_size_t min, apr_size_t max);

/* One part of a scope or a fingerprint. value.data NULL: the request has no such part, which is not the empty part. */
typedef struct idem_part_value {
    const char *name; /* as configured: "host", "header:x-tenant" */
    idem_blob value;
} idem_part_value;

/* Slot = SHA-256 (HMAC with a secret) over names, presence, lengths and values of the scope's parts, and the key. */
apr_status_t idem_slot_make(const idem_blob *secret, const idem_part_value *scope, int parts, idem_blob key,
                            unsigned char slot[IDEM_SLOT_LEN]);

#endif
