/*
 * password.h - a store's password out of a file, so that it stands in no configuration.
 */
#ifndef IDEM_PASSWORD_H
#define IDEM_PASSWORD_H

#include <apr_errno.h>
#include <apr_pools.h>

/* value is of the option "password=": "file:" and an absolute path. The password is the file's first line. */
apr_status_t idem_password_read(const char *value, apr_pool_t *pool, const char **password, const char **why);

#endif
