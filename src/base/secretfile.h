/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretfile.h - reads a file that holds a secret, and refuses one that others can read.
 */
#ifndef IDEM_SECRETFILE_H
#define IDEM_SECRETFILE_H

#include <apr_file_io.h>

/*
 * All of path's bytes, at most `most`; the caller wipes them. NULL, or what is wrong with it, to stand behind its name.
 * uid is the server's user, who may own it, as root may, and who reads it.
 */
const char *idem_secretfile_read(const char *path, unsigned uid, char *bytes, apr_size_t most, apr_size_t *len,
                                 apr_pool_t *pool);

/* The same of what is open already, whatever it is. */
const char *idem_secretfile_read_all(apr_file_t *from, char *bytes, apr_size_t most, apr_size_t *len, apr_pool_t *pool);

#endif
