/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secretfile.c - reads a file that holds a secret, and refuses one that others can read.
 *
 * Called for IdempotencySecret and for a store's password= while a configuration is read, as root where the server is
 * started as root. A symbolic link is followed. The checks look at the opened file, so nobody can put another one in
 * its place between look and read.
 */
#include "secretfile.h"

#include <apr_file_info.h>
#include <apr_strings.h>
#include <unistd.h>

static const char *fault_of_file(apr_file_t *file, unsigned uid)
{
    apr_finfo_t info;

    if (apr_file_info_get(&info, APR_FINFO_TYPE | APR_FINFO_PROT | APR_FINFO_USER, file) != APR_SUCCESS)
        return "cannot be examined";
    if (info.filetype != APR_REG)
        return "must be a regular file";
    if (info.user != 0 && info.user != geteuid() && info.user != uid)
        return "must belong to root or to the server's user";
    if (info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE | APR_FPROT_WEXECUTE | APR_FPROT_GWRITE))
        return "must not be readable for others, nor writable for its group: chmod 640, or 600";
    return NULL;
}

const char *idem_secretfile_read_all(apr_file_t *from, char *bytes, apr_size_t most, apr_size_t *len, apr_pool_t *pool)
{
    char reason[120];
    apr_status_t rv = apr_file_read_full(from, bytes, most, len);

    if (rv == APR_EOF)
        return NULL;
    if (rv == APR_SUCCESS)
        return apr_psprintf(pool, "has more than %" APR_SIZE_T_FMT " bytes", most - 1);
    return apr_psprintf(pool, "cannot be read: %s", apr_strerror(rv, reason, sizeof(reason)));
}

const char *idem_secretfile_read(const char *path, unsigned uid, char *bytes, apr_size_t most, apr_size_t *len,
                                 apr_pool_t *pool)
{
    char reason[120];
    apr_file_t *file;
    const char *why;
    /* Not blocking: opening a pipe would wait for somebody to write into it. */
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_NONBLOCK, APR_FPROT_OS_DEFAULT, pool);

    *len = 0;
    if (rv != APR_SUCCESS)
        return apr_psprintf(pool, "cannot be read: %s", apr_strerror(rv, reason, sizeof(reason)));
    why = fault_of_file(file, uid);
    if (!why)
        why = idem_secretfile_read_all(file, bytes, most, len, pool);
    apr_file_close(file);
    return why;
}
