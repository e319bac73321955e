/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts.h - the one mini-language of IdempotencyKey, IdempotencyScope and IdempotencyFingerprint, and its evaluation.
 *
 * A part is parsed once, when the configuration is read, and evaluated per request. What it names may be absent in a
 * request: then its value has data == NULL, which is not the same as being empty.
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

/*
 * The request as the client sent it: r is the request a decision is made for, first the head of its chain of internal
 * redirects (r->prev), whose method, path and query are the client's. Who wants a header field asks sent: r->headers_in
 * is what modules have made of it.
 */
typedef struct idem_asked {
    request_rec *r;
    request_rec *first;
    const apr_table_t *sent; /* header fields (sent.h) */
    const char *method;      /* from the request line */
    idem_blob path, query;   /* octets as sent; query.data NULL without '?' or with nothing behind it */
    const apr_array_header_t *session_cookies; /* of const char *, patterns (cookies.h), for credentials */
    const char *content_type;                  /* with a multipart boundary taken out, NULL if there is none */
    const char *boundary;                      /* the boundary taken out, NULL if none was */
    const apr_array_header_t *fingerprint;     /* of idem_part: what else is compared */
    struct idem_body *body;                    /* read ahead (body_parts.h); NULL where it was not */
} idem_asked;

/* Fills all of asked but what stands behind query in it. */
void idem_asked_of(request_rec *r, idem_asked *asked);

/*
 * Evaluates into asked->r->pool. APR_EGENERAL and *why for an expression that fails, or a part in the body that cannot
 * be told. BODY gives no value.
 */
apr_status_t idem_part_value_of(const idem_asked *asked, const idem_part *part, idem_blob *value, const char **why);

/* All field lines of that name in order, as sent; NULL if there is none. May point into the request. */
const char *idem_header_joined(const idem_asked *asked, const char *name, const char *separator);

/*
 * The Authorization field where it is the application's to check, NULL if there is none. Where httpd has authenticated
 * a user by this very field, it is httpd's, and the user stands for it.
 */
const char *idem_application_auth(const idem_asked *asked);

/* Is it said who the client is: by Authorization, as a user of httpd's, or by a cookie that is known to be a
 * session's? */
int idem_is_identified(const idem_asked *asked);

#endif
