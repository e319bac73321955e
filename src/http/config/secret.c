/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.c - reads the administrator's secrets, and refuses files that others can read.
 *
 * Called while the configuration is checked and when stores are opened, as root where the server is started as root.
 * The bytes that were read are wiped before the function returns, whatever comes of it. A symbolic link is followed;
 * the checks look at the opened file.
 */
#include "secret.h"

#include "secretfile.h"

#include <apr_file_io.h>
#include <apr_strings.h>
#include <apr_thread_proc.h>
#include <http_core.h>
#include <openssl/crypto.h>
#include <unixd.h>

#define MOST 65536 /* of text; more than any list of secrets needs */

typedef struct secret_text {
    char bytes[MOST];
    apr_size_t len;
} secret_text;

static apr_status_t start_command(apr_proc_t *proc, const char *command, apr_pool_t *ptemp)
{
    apr_procattr_t *attr;
    char **argv;
    apr_status_t rv = apr_tokenize_to_argv(command, &argv, ptemp);

    if (rv == APR_SUCCESS)
        rv = apr_procattr_create(&attr, ptemp);
    if (rv == APR_SUCCESS)
        rv = apr_procattr_io_set(attr, APR_NO_FILE, APR_FULL_BLOCK, APR_NO_PIPE);
    if (rv == APR_SUCCESS)
        rv = apr_procattr_cmdtype_set(attr, APR_PROGRAM_ENV);
    if (rv == APR_SUCCESS)
        rv = apr_procattr_error_check_set(attr, 1);
    return rv == APR_SUCCESS ? apr_proc_create(proc, argv[0], (const char *const *)argv, NULL, attr, ptemp) : rv;
}

static const char *read_command(const char *command, secret_text *text, apr_pool_t *ptemp)
{
    char reason[120];
    apr_exit_why_e how;
    const char *why;
    apr_proc_t proc;
    int code = -1;
    apr_status_t rv = start_command(&proc, command, ptemp);

    if (rv != APR_SUCCESS)
        return apr_psprintf(ptemp, "cannot be run: %s", apr_strerror(rv, reason, sizeof(reason)));
    why = idem_secretfile_read_all(proc.out, text->bytes, MOST, &text->len, ptemp);
    apr_file_close(proc.out);
    apr_proc_wait(&proc, &code, &how, APR_WAIT);
    if (why || (APR_PROC_CHECK_EXIT(how) && code == 0))
        return why;
    return apr_psprintf(ptemp, APR_PROC_CHECK_EXIT(how) ? "failed with exit code %d" : "was ended by signal %d", code);
}

static int is_file(const char *source)
{
    return !strncmp(source, "file:", 5);
}

apr_status_t idem_secret_read(const char *source, apr_pool_t *pool, apr_pool_t *ptemp, idem_keyring **ring,
                              const char **why)
{
    secret_text *text = apr_pcalloc(ptemp, sizeof(*text));
    const char *place = source + 5; /* behind "file:" or "exec:" */
    apr_status_t rv;

    *ring = NULL;
    *why = is_file(source) ? idem_secretfile_read(ap_server_root_relative(ptemp, place), ap_unixd_config.user_id,
                                                  text->bytes, MOST, &text->len, ptemp)
                           : read_command(place, text, ptemp);
    rv = *why ? APR_EINVAL : idem_keyring_parse(ring, text->bytes, text->len, pool, why);
    OPENSSL_cleanse(text, sizeof(*text));
    return rv;
}

const char *idem_secret_check(const char *source, apr_pool_t *ptemp)
{
    const char *why = NULL;
    idem_keyring *ring;

    if (is_file(source))
        idem_secret_read(source, ptemp, ptemp, &ring, &why);
    return why;
}
