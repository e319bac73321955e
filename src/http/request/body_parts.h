/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body_parts.h - what stands in the body of a request: the parts form:, json:, body=form and body=json.
 *
 * Called for guarded requests by keysource.c and values.c. The body was read before (transaction/intake.c), as the
 * client sent it behind transfer decoding. The Content-Type decides how a body is read. A body cannot be read if it has
 * another form, or if two readers may understand it differently. Then no key is taken from it, and scope and
 * fingerprint have the whole body as raw bytes in place of the part.
 */
#ifndef IDEM_BODY_PARTS_H
#define IDEM_BODY_PARTS_H

#include "asked.h"

#include <apr_buckets.h>
#include <apr_file_io.h>

/* Of a form's field; one more than IdempotencyKeyLength may allow, so that what is too long stays so. */
#define IDEM_BODY_KEY_MOST 1025

typedef struct idem_body {
    apr_bucket_brigade *kept; /* the beginning, in memory; file buckets are passed over */
    apr_file_t *file;         /* what follows; NULL for nothing */
    apr_off_t in_file;
    apr_uint64_t length;
    int whole;              /* it ends there; else nothing but its beginning is known */
    int looked;             /* at json */
    struct idem_json *json; /* NULL where it cannot be read */
    const char *why;        /* … because */
} idem_body;

/* May this part be found in a body of the type that the request says? If not it is absent, whatever the body holds. */
int idem_body_may_have(const idem_asked *asked, const idem_part *part);

typedef enum idem_body_found { IDEM_BODY_ABSENT, IDEM_BODY_VALUE, IDEM_BODY_UNFIT } idem_body_found;

/* A key out of the whole body; of UNFIT *why says what is wrong, for the client. */
idem_body_found idem_body_key(const idem_asked *asked, const idem_part *part, idem_blob *key, const char **why);

/* A part of scope or fingerprint. APR_EGENERAL and *why where it cannot be told. */
apr_status_t idem_body_value(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why);

/* The whole body's digest, a multipart boundary left out. */
apr_status_t idem_body_raw(const idem_asked *asked, idem_blob *value);

/* What was made of the body is not needed any more. */
void idem_body_forget(idem_body *body);

#endif
