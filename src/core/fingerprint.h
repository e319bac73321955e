/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fingerprint.h - what a request asked for, condensed; and whether two requests asked for the same.
 *
 * All parts but the body are condensed at once. The body may be known whole, in part (the first `hashed` bytes), or not
 * yet. Per part a short digest is kept too, only to be able to say which part differs; equality is decided on the long
 * ones. There are two forms. The brief one is written; the one of earlier versions is still compared.
 */
#ifndef IDEM_FINGERPRINT_H
#define IDEM_FINGERPRINT_H

#include "digest.h"
#include "key.h"

#define IDEM_PARTS_MAX 16
#define IDEM_PART_DIGEST_LEN 8
#define IDEM_LENGTH_UNKNOWN APR_UINT64_MAX

#define IDEM_BODY_USED 0x01   /* the body is one of the parts */
#define IDEM_BODY_KNOWN 0x02  /* body and hashed are filled */
#define IDEM_BODY_WHOLE 0x04  /* the body ended after hashed bytes */
#define IDEM_BODY_MARKED 0x08 /* by a version whose digest of a multipart body marks delimiters (bodyhash.c) */
#define IDEM_BODY_PARTED 0x10 /* a boundary was left out of the body and of its type; never without MARKED */
#define IDEM_PRINT_BRIEF 0x20 /* of the brief form */

typedef struct idem_print {
    unsigned char made_of[IDEM_PART_DIGEST_LEN];              /* digest over the parts' names in order */
    unsigned char rest[IDEM_DIGEST_LEN];                      /* digest over all parts but the body */
    unsigned char part[IDEM_PARTS_MAX][IDEM_PART_DIGEST_LEN]; /* the body's and unused ones are zero */
    unsigned char body[IDEM_DIGEST_LEN];
    apr_uint64_t hashed;   /* bytes of the body under the digest, as normalised */
    apr_uint64_t declared; /* Content-Length of the request, or IDEM_LENGTH_UNKNOWN */
    unsigned body_flags;   /* IDEM_BODY_…, IDEM_PRINT_BRIEF */
    unsigned parts;
} idem_print;

typedef enum idem_likeness {
    IDEM_LIKENESS_SAME,
    IDEM_LIKENESS_DIFFERENT,
    IDEM_LIKENESS_INCOMPARABLE /* made of other parts (the configuration changed), or a body's digest is missing on one
                                  side */
} idem_likeness;

/*
 * Condenses parts (at most IDEM_PARTS_MAX), all but the digest of each part. A part named "body" stands for the body
 * and its value is not looked at; the print then has IDEM_BODY_USED and its body is filled by the caller. brief: in the
 * form that is written; otherwise in that of earlier versions.
 */
apr_status_t idem_print_make(const idem_blob *secret, const idem_part_value *parts, int count, int brief,
                             idem_print *print);

/* The digest of each part, of what print was made of. An absent one's is zero in the brief form. */
apr_status_t idem_print_tell_parts(const idem_blob *secret, const idem_part_value *parts, idem_print *print);

/*
 * All parts but the body, of two prints of one form. *differ gets bit i for each part i that differs (0 when
 * IDEM_LIKENESS_SAME), where the parts of both are told. A kept print without MARKED cannot be compared with that of a
 * multipart body: it may be of one, and condensed otherwise.
 */
idem_likeness idem_print_compare_rest(const idem_print *kept, const idem_print *mine, unsigned *differ);

/*
 * The bodies, where both prints use them. mine must have been hashed over kept->hashed bytes or, both whole, may have
 * any length. kept whole: mine must be whole, of that length and digest. kept in part: the same declared length and
 * digest. A declared length that kept's was not is enough to differ, and mine need not be KNOWN then.
 * IDEM_LIKENESS_INCOMPARABLE if either is not KNOWN, or the hashed lengths do not allow a verdict.
 */
idem_likeness idem_print_compare_body(const idem_print *kept, const idem_print *mine);

#endif
