/*
 * password.c - reads a store's password out of a file.
 *
 * Called by drivers when a configuration is read, in the parent, as root where there is one. What always holds: no sentence
 * for the administrator contains a password or a part of one. Limits: PASSWORD_MOST bytes, on one line.
 */
#include "password.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <string.h>

#define PASSWORD_MOST 1024

static apr_status_t read_first_line(const char *path, apr_pool_t *pool, char **line, apr_size_t *len)
{
    apr_file_t *file;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ, 0, pool);

    *line = apr_pcalloc(pool, PASSWORD_MOST + 2);
    *len = 0;
    if (rv != APR_SUCCESS)
        return rv;
    rv = apr_file_read_full(file, *line, PASSWORD_MOST + 1, len);
    apr_file_close(file);
    (*line)[strcspn(*line, "\r\n")] = '\0';
    return APR_STATUS_IS_EOF(rv) ? APR_SUCCESS : rv;
}

apr_status_t idem_password_read(const char *value, apr_pool_t *pool, const char **password, const char **why)
{
    static const char file[] = "file:";
    const char *path = value + sizeof(file) - 1;
    char *line, reason[120];
    apr_size_t len;
    apr_status_t rv;

    if (strncmp(value, file, sizeof(file) - 1) != 0) {
        *why = "option password= takes file:PATH, so that the password stands in no configuration";
        return APR_EINVAL;
    }
    if (*path != '/') {
        *why = apr_psprintf(pool, "option password=file:PATH needs an absolute path, not \"%s\"", path);
        return APR_EINVAL;
    }
    rv = read_first_line(path, pool, &line, &len);
    if (rv != APR_SUCCESS) {
        *why = apr_psprintf(pool, "option password=file:%s: it cannot be read: %s", path,
                            apr_strerror(rv, reason, sizeof(reason)));
        return APR_EINVAL;
    }
    if (!*line || len > PASSWORD_MOST) {
        *why = apr_psprintf(pool, "option password=file:%s: its first line must be the password, of at most %d bytes",
                            path, PASSWORD_MOST);
        return APR_EINVAL;
    }
    *password = line;
    return APR_SUCCESS;
}
