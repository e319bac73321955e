/*
 * parts_private.h - what values.c, credentials.c and operation.c share.
 */
#ifndef IDEM_PARTS_PRIVATE_H
#define IDEM_PARTS_PRIVATE_H

#include "parts.h"

/* All field lines of that name in order; NULL if there is none. May point into the request. */
const char *idem_header_joined(request_rec *r, const char *name, const char *separator);

/* The value of the first cookie of that name, as sent; data NULL if there is none. */
idem_blob idem_cookie_value(request_rec *r, const char *name);

/* The part "operation"; data NULL where none of its fields is there. */
idem_blob idem_operation(const idem_asked *asked);

/* The part "credentials". */
idem_blob idem_credentials(const idem_asked *asked);

#endif
