/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password.h - a store's password out of a file, so that it stands in no configuration.
 */
#ifndef IDEM_PASSWORD_H
#define IDEM_PASSWORD_H

#include "idem_store.h"

/* value is of that option, "password": "file:" and an absolute path. The password is the file's first line; others than
 * root and the server's user must not be able to read it. */
apr_status_t idem_password_read(const char *option, const char *value, const idem_env *env, apr_pool_t *pool,
                                const char **password, const char **why);

#endif
