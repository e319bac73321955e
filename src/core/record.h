/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record.h - the bytes under a slot: a fixed plain head, then a response, then a checksum.
 *
 *   head      the first IDEM_HEAD_MIN bytes as idem_store.h has them, then the fingerprint; IDEM_HEAD_LEN in all
 *   rest      RECORD only: places (versions 2 and 4), status, reason, type, encoding, languages, header fields, body;
 *             each behind its length; with a key ring all of it sealed (seal.h), the head being the associated data
 *   checksum  IDEM_SUM_LEN bytes over all before it (checksum.h); in versions 1 and 2 the first of its SHA-256
 *
 * Versions 3 and 4 are written, all four are read. Version 4 is a RECORD with places, version 3 whatever has none.
 * Big-endian throughout, the same on every machine. The decoder refuses, with a reason, every value that the encoder
 * would not make. It never reads past the value's end.
 */
#ifndef IDEM_RECORD_H
#define IDEM_RECORD_H

#include "checksum.h"
#include "fingerprint.h"
#include "keyring.h"

#include <apr_tables.h>

#define IDEM_RECORD_VERSION 4
#define IDEM_HEAD_LEN 320 /* IDEM_HEAD_MIN, the fingerprint, zeros up to here */

typedef struct idem_head {
    idem_state state;
    unsigned flags;          /* IDEM_HEAD_… below; unknown bits are refused */
    apr_interval_time_t ttl; /* microseconds, kept in milliseconds */
    apr_interval_time_t lease;
    apr_uint32_t attempt; /* 1, 2 after a takeover… */
    apr_uint64_t owner;
    unsigned char slot[IDEM_SLOT_LEN];
    unsigned char token[IDEM_TOKEN_LEN];
    idem_print print;
} idem_head;

#define IDEM_HEAD_SEALED 0x0001 /* the rest is sealed; the encoder's to set */
#define IDEM_HEAD_RETRY 0x0002  /* of an UNKNOWN: an administrator lets the next request run, whatever is configured */

#define IDEM_FIELD_ERR 0x01  /* the field stood in err_headers_out */
#define IDEM_FIELD_NOTE 0x02 /* no field of the response: what a replay must know of how it was made; never sent */
#define IDEM_FIELD_FLAGS (IDEM_FIELD_ERR | IDEM_FIELD_NOTE)

typedef struct idem_field {
    const char *name, *value;
    unsigned flags; /* IDEM_FIELD_… */
} idem_field;

#define IDEM_PLACES_MAX 32

/* Where a request went on to inside the server, beside the place that its client asked for. */
typedef struct idem_place {
    const char *uri; /* begins with "/"; escaped, with its query */
    const char *method;
    int status; /* that the server had when it went there, 200…999; 0 where it did so in place, without a redirect */
} idem_place;

typedef struct idem_response {
    int status;               /* 200…599 */
    const char *reason;       /* "418 I'm a teapot" as status_line has it, or NULL for the status's usual words */
    const char *content_type; /* or NULL */
    const char *content_encoding;
    const char *languages;      /* content_languages joined by ", ", or NULL */
    apr_array_header_t *fields; /* of idem_field, in order, repeated ones repeated; NULL for none */
    apr_array_header_t *places; /* of idem_place, in order, at most IDEM_PLACES_MAX; NULL for none */
    idem_blob body;
} idem_response;

/* How long the encoding of this response will be, head, seal and checksum included; response NULL for none. */
apr_size_t idem_record_size(const idem_keyring *ring, const idem_response *response);

/* Encodes into pool, sealed if ring is given. response must be given for IDEM_STATE_RECORD and NULL for the others. */
apr_status_t idem_record_encode(const idem_keyring *ring, const idem_head *head, const idem_response *response,
                                apr_pool_t *pool, idem_blob *value);

/*
 * Decodes what stands in slot. head is filled; response (may be NULL) for IDEM_STATE_RECORD: strings are in pool, the
 * body points into value or, where it was sealed, into pool. With a ring an unsealed response is refused: anybody who
 * can write to the store could have put it there. Returns NULL, or a sentence about what is torn, foreign, malformed,
 * of another slot or of a newer version.
 */
const char *idem_record_decode(const idem_keyring *ring, idem_blob value, const unsigned char slot[IDEM_SLOT_LEN],
                               apr_pool_t *pool, idem_head *head, idem_response *response);

/* This very sentence says nothing about the value: there was no memory to look at it. */
extern const char idem_record_not_looked_at[];

#endif
