/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance.c - runs the specification of a store's driver against drivers that work without httpd.
 *
 *   conformance [-s PART] [-n ROUNDS] [-k KILLS] [-r SEED] [URL [OPTION=VALUE...]]
 *
 * Without a URL: the embedded store in a new directory under TMPDIR, once of an ordinary size and once so small that it
 * can be filled. -s runs the cases whose names contain PART, or with !PART those whose names do not; the others say how
 * hard to try.
 */
#include "conformance.h"
#include "front.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int usage(void)
{
    fprintf(stderr, "usage: conformance [-s PART] [-n ROUNDS] [-k KILLS] [-r SEED] [URL [OPTION=VALUE...]]\n");
    return 2;
}

static int run_url(const idem_env *env, const char *url, const char *const *options, const char *select,
                   apr_pool_t *pool)
{
    const char *names, *colon = strchr(url, ':');
    const idem_driver *driver =
        colon ? idem_registry_find(apr_pstrmemdup(pool, url, (apr_size_t)(colon - url)), &names, pool) : NULL;
    if (!driver) {
        fprintf(stderr, "conformance: \"%s\" names no driver of this build\n", url);
        return 1;
    }
    return idem_conformance_run(driver, env, colon + 1, options, select);
}

static void remove_store(const char *dir, apr_pool_t *pool)
{
    static const char *const files[] = {"data.mdb", "lock.mdb", "owners.lock", "write.lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        unlink(apr_pstrcat(pool, dir, "/", files[i], NULL));
    rmdir(dir);
}

/* The embedded store, where nobody names another. */
static int run_default(const idem_env *env, const char *select, apr_pool_t *pool)
{
    static const char *const ordinary[] = {"size=64M", NULL}, *const small[] = {"size=1M", NULL};
    const char *tmp = getenv("TMPDIR");
    char *dir = apr_pstrcat(pool, tmp ? tmp : "/tmp", "/conformance-XXXXXX", NULL);
    const char *large_dir, *small_dir;
    int failed;

    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    large_dir = apr_pstrcat(pool, dir, "/ordinary", NULL);
    small_dir = apr_pstrcat(pool, dir, "/small", NULL);
    failed = run_url(env, apr_pstrcat(pool, "lmdb:", large_dir, NULL), ordinary, select, pool);
    if (!select || *select == '!' || strstr("full", select))
        failed += run_url(env, apr_pstrcat(pool, "lmdb:", small_dir, NULL), small, "full", pool);
    remove_store(large_dir, pool);
    remove_store(small_dir, pool);
    rmdir(dir);
    return failed;
}

int main(int argc, char **argv)
{
    /* The timeout: no ordinary call takes so long, on a busy machine either. */
    idem_env env = {NULL, "/tmp", (unsigned)geteuid(), (unsigned)getegid(), 16, 16, NULL, apr_time_from_sec(5), 0, 0};
    idem_conformance_effort effort = {0, 0, 0};
    const char *select = NULL;
    apr_pool_t *pool;
    int letter, failed;

    while ((letter = getopt(argc, argv, "s:n:k:r:")) != -1) {
        switch (letter) {
        case 's': select = optarg; break;
        case 'n': effort.rounds = atoi(optarg); break;
        case 'k': effort.kills = atoi(optarg); break;
        case 'r': effort.seed = (unsigned)atoi(optarg); break;
        default: return usage();
        }
    }
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 1;
    env.state_dir = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    idem_conformance_set_effort(&effort);
    failed = optind < argc ? run_url(&env, argv[optind], (const char *const *)argv + optind + 1, select, pool)
                           : run_default(&env, select, pool);
    apr_pool_destroy(pool);
    apr_terminate();
    return failed ? 1 : 0;
}
