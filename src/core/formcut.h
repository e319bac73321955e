/* SPDX-License-Identifier: Apache-2.0 */
/*
 * formcut.h - takes a field out of the body of a form, and leaves every other byte as it was.
 *
 * A body may be known by its beginning only. A field whose end is not seen stays.
 */
#ifndef IDEM_FORMCUT_H
#define IDEM_FORMCUT_H

#include <apr.h>

/*
 * Both take each text field of this name out of body, in place, and return what is left of len. name consists of
 * letters, digits,
 * ".", "_" and "-". is_whole: the body ends at len.
 */
apr_size_t idem_formcut_urlencoded(char *body, apr_size_t len, int is_whole, const char *name);

/* boundary: unquoted. A part with a filename is a file, and stays. */
apr_size_t idem_formcut_multipart(char *body, apr_size_t len, const char *boundary, const char *name);

#endif
