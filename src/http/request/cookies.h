/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cookies.h - the cookies of a request, as sent, and the patterns that name some of them.
 */
#ifndef IDEM_COOKIES_H
#define IDEM_COOKIES_H

#include "asked.h"

typedef struct idem_cookie {
    idem_blob name; /* empty where there is no '=' */
    idem_blob value;
} idem_cookie;

/* The value of the first cookie of that name; data NULL if there is none. */
idem_blob idem_cookie_value(const idem_asked *asked, const char *name);

/*
 * The cookies that tell the client from others: those in asked->session_cookies, or all cookies where none of those was
 * sent. Ordered by name, those of one name as they were sent. An array of idem_cookie in the request's pool. *named
 * says which of the two it is.
 */
apr_array_header_t *idem_cookies_of_client(const idem_asked *asked, int *named);

#endif
