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

/* Cheap, and never 0 for one of fields: most requests have none, and need no look for each. */
static int may_be_operation(const char *name)
{
    switch (name[0] | 0x20) {
    case 'c': return strlen(name) > 8 && strchr("der", name[8] | 0x20); /* Content-…: not Type, not Length */
    case 'd':
    case 'o':
    case 's':
    case 'u':
    case 'x': return 1;
    default: return 0;
    }
}

static int may_have_operation(const apr_table_t *sent)
{
    const apr_array_header_t *elts = apr_table_elts(sent);

    for (int i = 0; i < elts->nelts; i++)
        if (may_be_operation(APR_ARRAY_IDX(elts, i, const apr_table_entry_t).key))
            return 1;
    return 0;
}

idem_blob idem_operation(const idem_asked *asked)
{
    const char *values[FIELDS];
    apr_size_t len = 0;
    unsigned char *data, *to;

    if (!may_have_operation(asked->sent))
        return idem_blob_of(NULL, 0);
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
