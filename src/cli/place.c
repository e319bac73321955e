/* SPDX-License-Identifier: Apache-2.0 */
/*
 * place.c - opens the store that a command works on.
 *
 * Called before each command. What always holds: a store is taken as it was made, and a look makes none. Root becomes
 * the owner of a local store, so no file there ever belongs to root. Secrets are read before that. A local store is
 * checked from end to end only on request, since that takes its time.
 */
#include "cli.h"

#include "probe.h"
#include "secretfile.h"

#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>
#include <openssl/crypto.h>

#define SECRETS_MOST 65536

#ifndef IDEM_STATEDIR
#define IDEM_STATEDIR "/var/lib/apache2"
#endif

/* ---- the secret -------------------------------------------------------------------------------------------------- */

static idem_exit read_ring(idem_cli *cli, unsigned uid, idem_keyring **ring)
{
    static char bytes[SECRETS_MOST];
    apr_size_t len = 0;
    const char *why;

    *ring = NULL;
    if (!cli->secret)
        return IDEM_EXIT_OK;
    why = idem_secretfile_read(cli->secret, uid, bytes, sizeof(bytes), &len, cli->pool);
    if (!why)
        idem_keyring_parse(ring, bytes, len, cli->pool, &why);
    OPENSSL_cleanse(bytes, sizeof(bytes));
    return why ? idem_cli_fail(cli, IDEM_EXIT_USAGE, "--secret %s %s", cli->secret, why) : IDEM_EXIT_OK;
}

/* ---- who --------------------------------------------------------------------------------------------------------- */

static const char *folder_of(const idem_cli *cli)
{
    const char *rest;

    if (strncmp(cli->store, "lmdb:", 5))
        return NULL;
    rest = cli->store + 5;
    return *rest == '/' ? rest : apr_pstrcat(cli->pool, IDEM_STATEDIR, "/", rest, NULL);
}

/* The user whose files a local store's are. */
static idem_exit find_owner(idem_cli *cli, idem_env *env)
{
    const char *folder = folder_of(cli);
    struct stat st;
    const struct passwd *user;

    env->uid = geteuid();
    env->gid = getegid();
    if (cli->become) {
        user = getpwnam(cli->become);
        if (!user)
            return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--become: there is no user %s", cli->become);
        env->uid = user->pw_uid;
        env->gid = user->pw_gid;
        return IDEM_EXIT_OK;
    }
    if (!folder || stat(folder, &st) != 0)
        return IDEM_EXIT_OK;
    env->uid = st.st_uid;
    env->gid = st.st_gid;
    return IDEM_EXIT_OK;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static idem_exit no_store(idem_cli *cli, const char *why)
{
    return idem_cli_fail(cli, IDEM_EXIT_FAILED, "%s: %s", idem_front_url(cli->front), why ? why : "cannot be used");
}

#define ASK_SERVER "ask the server instead, by --url where it has SetHandler idempotency-admin"

/* Stores that only httpd can open: where each has its entries, and what to do. NULL for others. */
static const char *only_in_httpd(const char *store)
{
    static const struct {
        const char *begins, *sentence;
    } kinds[] = {
        {"socache:shmcb", "its entries are in the memory of httpd, where no other program can look: " ASK_SERVER},
        {"socache:dbm", "its file is guarded by a lock that only httpd's processes have: " ASK_SERVER},
        {"socache:memcache", "httpd does not take socache's memcache for a store: name memcache:HOST"},
        {"socache:redis", "httpd does not take socache's redis for a store: name redis://HOST"},
        {"socache:", "its provider is a module of httpd: " ASK_SERVER},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (!strncasecmp(store, kinds[i].begins, strlen(kinds[i].begins)))
            return kinds[i].sentence;
    return NULL;
}

static idem_exit configure_store(idem_cli *cli, idem_env *env)
{
    const char *why = only_in_httpd(cli->store);

    if (why)
        return idem_cli_fail(cli, IDEM_EXIT_UNABLE, "%s: %s", cli->store, why);

    APR_ARRAY_PUSH(cli->store_options, const char *) = NULL;
    if (idem_front_configure(&cli->front, env, cli->store, (const char *const *)cli->store_options->elts, cli->pool,
                             &why) != APR_SUCCESS)
        return idem_cli_fail(cli, IDEM_EXIT_USAGE, "--store: %s", why);
    if (!(idem_front_store(cli->front)->flags & IDEM_OFFLINE))
        return idem_cli_fail(cli, IDEM_EXIT_UNABLE, "%s lives inside httpd, and only there it can be looked at",
                             idem_front_url(cli->front));
    idem_front_set_timeout(cli->front, cli->timeout);
    return IDEM_EXIT_OK;
}

/* Another secret's store is not filled: its keys would not be found. */
static idem_exit check_secret(idem_cli *cli, const idem_keyring *ring)
{
    static const unsigned char no_secret[IDEM_DIGEST_LEN];

    if (!cli->mark)
        return IDEM_EXIT_OK;
    idem_front_want_mark(cli->front, cli->mark);
    if (!ring || !memcmp(cli->mark, idem_keyring_mark(ring), IDEM_DIGEST_LEN))
        return IDEM_EXIT_OK;
    return idem_cli_fail(cli, IDEM_EXIT_REFUSED, "--secret %s: the export was made %s", cli->secret,
                         memcmp(cli->mark, no_secret, IDEM_DIGEST_LEN) ? "with another one" : "without a secret");
}

static idem_exit attach_store(idem_cli *cli, idem_opening how)
{
    const char *why = NULL, *folder = folder_of(cli);
    apr_status_t rv = APR_SUCCESS;

    if (folder && how != IDEM_OPEN_TO_FILL && access(folder, F_OK) != 0)
        return no_store(cli, "there is no such store");
    if (how != IDEM_OPEN_TO_LOOK || !folder)
        rv = idem_front_open(cli->front, cli->pool, &why);
    if (rv == APR_SUCCESS)
        rv = idem_front_attach(cli->front, cli->pool, &why);
    if (rv == IDEM_EDAMAGED && cli->mark) {
        no_store(cli, why);
        return IDEM_EXIT_REFUSED;
    }
    return rv == APR_SUCCESS ? IDEM_EXIT_OK : no_store(cli, why);
}

idem_exit idem_cli_open(idem_cli *cli, idem_opening how)
{
    idem_env *env = apr_pcalloc(cli->pool, sizeof(*env));
    idem_keyring *ring = NULL;
    idem_exit code;

    env->state_dir = IDEM_STATEDIR;
    env->run_dir = "/tmp";
    env->processes = 64; /* as a server would: who comes first lays out the table of readers */
    env->threads = 64;
    env->timeout = cli->timeout;
    env->look_only = how != IDEM_OPEN_TO_FILL || cli->dry_run;
    env->guest = 1;
    code = find_owner(cli, env);
    if (code == IDEM_EXIT_OK)
        code = read_ring(cli, env->uid, &ring);
    if (code == IDEM_EXIT_OK)
        code = configure_store(cli, env);
    if (code != IDEM_EXIT_OK)
        return code;
    idem_front_set_ring(cli->front, ring);
    if (how == IDEM_OPEN_TO_LOOK || how == IDEM_OPEN_TO_VERIFY || cli->dry_run)
        idem_front_be_guest(cli->front);
    code = check_secret(cli, ring);
    if (code != IDEM_EXIT_OK)
        return code;
    if (geteuid() == 0 && env->uid != 0 && idem_probe_become(env->uid, env->gid) != 0)
        return idem_cli_fail(cli, IDEM_EXIT_FAILED, "cannot become the owner of the store");
    return attach_store(cli, how);
}

void idem_cli_close(idem_cli *cli)
{
    if (cli->front)
        idem_front_detach(cli->front);
}
