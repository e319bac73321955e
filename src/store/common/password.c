/* SPDX-License-Identifier: Apache-2.0 */
/*
 * password.c - reads a store's password out of a file.
 *
 * Called by drivers when a configuration is read, in the parent, as root where there is one. What always holds: no
 * sentence for the administrator contains a password or a part of one. A file that others can read is refused. Limits:
 * PASSWORD_MOST bytes, on one line.
 */
#include "password.h"

#include "secretfile.h"

#include <apr_strings.h>
#include <string.h>

#define PASSWORD_MOST 1024

apr_status_t idem_password_read(const char *option, const char *value, const idem_env *env, apr_pool_t *pool,
                                const char **password, const char **why)
{
    static const char file[] = "file:";
    const char *path = value + sizeof(file) - 1, *fault;
    char *line = apr_pcalloc(pool, PASSWORD_MOST + 2);
    apr_size_t len;

    if (strncmp(value, file, sizeof(file) - 1) != 0) {
        *why =
            apr_psprintf(pool, "option %s= takes file:PATH: the configuration must not contain the password", option);
        return APR_EINVAL;
    }
    if (*path != '/') {
        *why = apr_psprintf(pool, "option %s=file:PATH needs an absolute path, not \"%s\"", option, path);
        return APR_EINVAL;
    }
    fault = idem_secretfile_read(path, env->uid, line, PASSWORD_MOST + 1, &len, pool);
    line[strcspn(line, "\r\n")] = '\0';
    if (fault && len <= PASSWORD_MOST) {
        *why = apr_psprintf(pool, "option %s=file:%s: it %s", option, path, fault);
        return APR_EINVAL;
    }
    if (!*line || len > PASSWORD_MOST) {
        *why = apr_psprintf(pool, "option %s=file:%s: its first line must be the password, of at most %d bytes", option,
                            path, PASSWORD_MOST);
        return APR_EINVAL;
    }
    *password = line;
    return APR_SUCCESS;
}
