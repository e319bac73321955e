/* SPDX-License-Identifier: Apache-2.0 */
/*
 * asked.h - what the client asks for, and the values that parts have in it.
 *
 * A request may lack what a part names. The part's value then has data == NULL; an empty value is another one.
 */
#ifndef IDEM_ASKED_H
#define IDEM_ASKED_H

#include "parts.h"

/*
 * The request as the client sent it. The decision is about r. first is the head of its chain of internal redirects
 * (r->prev); its method, path and query are the client's. Take header fields from sent: modules may have changed
 * r->headers_in.
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

/*
 * Does the request identify its client: by Authorization, by a user of httpd's, or by a cookie that is known to be a
 * session's?
 */
int idem_is_identified(const idem_asked *asked);

#endif
