/*
 * secret.c - reads the administrator's secrets, and refuses files that others can read.
 *
 * Called while the configuration is checked, as root where the server is started as root. What was read is wiped once the ring
 * is made.
 */
#include "secret.h"

#include <apr_file_info.h>
#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <http_core.h>
#include <openssl/crypto.h>
#include <unistd.h>
#include <unixd.h>

#define MOST 65536

/* Owner and mode of the file that was opened, so that nothing can be put in its place between look and read. */
static const char *fault_of_file(apr_file_t *file)
{
    apr_finfo_t info;

    if (apr_file_info_get(&info, APR_FINFO_TYPE | APR_FINFO_PROT | APR_FINFO_USER, file) != APR_SUCCESS)
        return "cannot be looked at";
    if (info.filetype != APR_REG)
        return "must be a regular file";
    if (info.user != 0 && info.user != geteuid() && info.user != ap_unixd_config.user_id)
        return "must belong to root or to the server's user";
    if (info.protection & (APR_FPROT_WREAD | APR_FPROT_WWRITE | APR_FPROT_WEXECUTE | APR_FPROT_GWRITE))
        return "must not be readable for others, nor writable for its group: chmod 640, or 600";
    return NULL;
}

static apr_status_t make_ring(char *text, apr_size_t len, apr_pool_t *pool, idem_keyring **ring, const char **why)
{
    apr_status_t rv = idem_keyring_parse(ring, text, len, pool, why);

    OPENSSL_cleanse(text, MOST);
    return rv;
}

static apr_status_t read_all(apr_file_t *file, char *text, apr_size_t *len)
{
    apr_status_t rv = apr_file_read_full(file, text, MOST, len);

    return rv == APR_EOF ? APR_SUCCESS : rv == APR_SUCCESS ? APR_ENOSPC : rv;
}

static apr_status_t from_file(const char *path, apr_pool_t *pool, apr_pool_t *ptemp, idem_keyring **ring,
                              const char **why)
{
    char *text = apr_palloc(ptemp, MOST), reason[120];
    apr_file_t *file;
    apr_size_t len;
    apr_status_t rv = apr_file_open(&file, path, APR_FOPEN_READ | APR_FOPEN_NONBLOCK, APR_FPROT_OS_DEFAULT, ptemp);

    if (rv == APR_SUCCESS) {
        *why = fault_of_file(file);
        if (!*why)
            rv = read_all(file, text, &len);
        apr_file_close(file);
    }
    if (rv != APR_SUCCESS)
        *why = apr_psprintf(ptemp, "cannot be read: %s", apr_strerror(rv, reason, sizeof(reason)));
    return *why ? APR_EINVAL : make_ring(text, len, pool, ring, why);
}

static apr_status_t start(apr_proc_t *proc, const char *command, apr_pool_t *ptemp)
{
    apr_procattr_t *attr;
    char **argv;
    apr_status_t rv = apr_tokenize_to_argv(command, &argv, ptemp);

    if (rv == APR_SUCCESS)
        rv = apr_procattr_create(&attr, ptemp);
    if (rv == APR_SUCCESS)
        rv = apr_procattr_io_set(attr, APR_NO_FILE, APR_FULL_BLOCK, APR_NO_PIPE);
    if (rv == APR_SUCCESS)
        rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM);
    return rv == APR_SUCCESS ? apr_proc_create(proc, argv[0], (const char *const *)argv, NULL, attr, ptemp) : rv;
}

static apr_status_t from_command(const char *command, apr_pool_t *pool, apr_pool_t *ptemp, idem_keyring **ring,
                                 const char **why)
{
    char *text = apr_palloc(ptemp, MOST), reason[120];
    apr_exit_why_e how;
    apr_size_t len = 0;
    apr_proc_t proc;
    int code = -1;
    apr_status_t rv = start(&proc, command, ptemp);

    if (rv == APR_SUCCESS) {
        rv = read_all(proc.out, text, &len);
        apr_file_close(proc.out);
        apr_proc_wait(&proc, &code, &how, APR_WAIT);
        if (rv == APR_SUCCESS && (!APR_PROC_CHECK_EXIT(how) || code != 0))
            *why = apr_psprintf(ptemp, "failed with exit code %d", code);
    }
    if (rv != APR_SUCCESS)
        *why = apr_psprintf(ptemp, "cannot be run: %s", apr_strerror(rv, reason, sizeof(reason)));
    return *why ? APR_EINVAL : make_ring(text, len, pool, ring, why);
}

apr_status_t idem_secret_read(const char *source, int only_check, apr_pool_t *pool, apr_pool_t *ptemp, idem_keyring **ring,
                              const char **why)
{
    *ring = NULL;
    *why = NULL;
    if (!strncmp(source, "file:", 5))
        return from_file(ap_server_root_relative(ptemp, source + 5), pool, ptemp, ring, why);
    return only_check ? APR_SUCCESS : from_command(source + 5, pool, ptemp, ring, why);
}
