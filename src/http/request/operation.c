/* SPDX-License-Identifier: Apache-2.0 */
/*
 * operation.c - the part "operation": the fields by which a client says what is to be done, beside method and path.
 *
 * Called for guarded requests by values.c. What always holds: each field goes into the part with its name, and both
 * with their lengths. So two different sets of fields give different octets. An absent field is not in the part, an
 * empty one is. Limits: lines of one field that the client repeated are one value, since httpd joins them before any
 * module sees them.
 */
#include "parts_private.h"
#include "wiped.h"

#include <string.h>

#include <apr_strings.h>

/* One more makes other prints of requests that have it: their records from before would be refused with 422. */
/* clang-format off */
static const char *const fields[] = {
    "Content-Disposition", "Content-Encoding", "Content-Range",          "Depth",    "Destination", "Overwrite",
    "Slug",                "SOAPAction",       "Upload-Offset",          "X-Amz-Target",
    "X-HTTP-Method",       "X-HTTP-Method-Override",                     "X-Method-Override",
};
/* clang-format on */
#define FIELDS (int)(sizeof(fields) / sizeof(*fields))
#define LENGTH 8

static unsigned char *put_piece(unsigned char *to, const char *text)
{
    apr_size_t len = strlen(text);

    return idem_put_bytes(idem_put(to, len, LENGTH), text, len);
}

idem_blob idem_operation(const idem_asked *asked)
{
    const char *values[FIELDS];
    apr_size_t len = 0;
    unsigned char *data, *to;

    for (int i = 0; i < FIELDS; i++) {
        values[i] = idem_header_joined(asked, fields[i], ", ");
        if (values[i])
            len += 2 * LENGTH + strlen(fields[i]) + strlen(values[i]);
    }
    if (!len)
        return idem_blob_of(NULL, 0);
    data = to = idem_wiped_alloc(asked->r->pool, len);
    for (int i = 0; i < FIELDS; i++)
        if (values[i])
            to = put_piece(put_piece(to, fields[i]), values[i]);
    return idem_blob_of(data, len);
}
