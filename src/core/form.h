/* SPDX-License-Identifier: Apache-2.0 */
/*
 * form.h - the fields of an HTML form, urlencoded or multipart, told one by one while the body is fed.
 *
 * Constant memory, whatever a field holds. A body that two readers may understand differently is refused at its end.
 * The caller must then discard all fields that it was given. Names and values are octets: no character set is
 * converted.
 */
#ifndef IDEM_FORM_H
#define IDEM_FORM_H

#include <apr_pools.h>

#include "bytes.h"

#define IDEM_FORM_NAME_MOST 4096    /* bytes of a field's name, decoded */
#define IDEM_FORM_HEADERS_MOST 8192 /* bytes of a part's header */

/* A field as it begins. For urlencoded fields only the name is given. */
typedef struct idem_form_field {
    idem_blob name;
    idem_blob filename; /* data NULL: a text field */
    idem_blob type;     /* the part's Content-Type as sent; data NULL where it has none */
} idem_form_field;

/* Who is told. Each field begins, has data in any number of pieces, and ends. */
typedef struct idem_form_listener {
    void (*begin)(void *baton, const idem_form_field *field); /* blobs are the parser's */
    void (*data)(void *baton, const void *bytes, apr_size_t len);
    void (*end)(void *baton);
    void *baton;
} idem_form_listener;

typedef struct idem_form idem_form;

/* boundary: of a multipart/form-data body, unquoted, at most IDEM_BOUNDARY_MAX bytes; NULL for a urlencoded one. */
idem_form *idem_form_create(const char *boundary, const idem_form_listener *listener, apr_pool_t *pool);
void idem_form_feed(idem_form *form, const void *data, apr_size_t len);

/* The body ends. NULL, or why it cannot be read: half a sentence behind "the form in the body cannot be read: ". */
const char *idem_form_finish(idem_form *form);

#endif
