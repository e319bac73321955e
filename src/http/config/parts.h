/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - the one mini-language of IdempotencyKey, IdempotencyScope and IdempotencyFingerprint.
 *
 * A part is parsed once, when the configuration is read, and evaluated per request (asked.h).
 */
#ifndef IDEM_PARTS_H
#define IDEM_PARTS_H

#include "canonical.h"
#include "key.h"

#include <ap_expr.h>
#include <httpd.h>
#include <http_config.h>

typedef enum idem_part_kind {
    IDEM_PART_HEADER,
    IDEM_PART_QUERY_VALUE, /* query:NAME */
    IDEM_PART_COOKIE,
    IDEM_PART_ENV,
    IDEM_PART_EXPR,
    IDEM_PART_HOST,
    IDEM_PART_USER,
    IDEM_PART_CREDENTIALS,
    IDEM_PART_METHOD,
    IDEM_PART_PATH,
    IDEM_PART_QUERY,
    IDEM_PART_OPERATION, /* the fields by which a client says what is to be done */
    IDEM_PART_ADDR,
    IDEM_PART_BODY,
    IDEM_PART_FORM,        /* form:NAME */
    IDEM_PART_JSON,        /* json:/POINTER */
    IDEM_PART_BODY_FORM,   /* the fields of a form, in order */
    IDEM_PART_BODY_JSON,   /* canonical JSON */
    IDEM_PART_FINGERPRINT, /* the request is its own key */
    IDEM_PART_TOO_MANY /* stands for a list that became longer than IDEM_PARTS_MAX by merging: evaluating it fails */
} idem_part_kind;

/* Which of the three lists a part stands in: each allows its own kinds. */
typedef enum idem_part_use { IDEM_USE_KEY = 1, IDEM_USE_SCOPE = 2, IDEM_USE_FINGERPRINT = 4 } idem_part_use;

typedef struct idem_part {
    idem_part_kind kind;
    const char *spelled; /* normalised: "header:x-tenant" (lower case where names have none), "host", "expr=%{…}" */
    const char *name;    /* behind the colon, as it is looked up; NULL for kinds without */
    const ap_expr_info_t *expr;
    const idem_pointer *pointer;       /* json: only */
    const apr_array_header_t *without; /* body=json: of idem_pointer; body=form: of const char *; NULL for nothing */
} idem_part;

/*
 * Parses one word. Returns NULL, or a sentence without its subject, which is the directive's name, that says which
 * parts it takes. Lives in cmd->pool.
 */
const char *idem_part_parse(cmd_parms *cmd, const char *word, idem_part_use use, idem_part *part);

int idem_parts_have(const apr_array_header_t *parts, idem_part_kind kind);

/* Is it found in the body, which has to be read whole for it? The part "body" is not: its digest is made while others
 * read. */
int idem_part_is_in_body(const idem_part *part);
int idem_parts_in_body(const apr_array_header_t *parts);

#endif
