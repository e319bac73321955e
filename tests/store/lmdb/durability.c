/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability.c - the embedded store against its disk: acknowledged entries have been flushed, failures are mended,
 * damage is noticed. Beyond what any driver must do, which is conformance.c's.
 *
 *   durability INTERPOSER.so [PART [SEED]]
 *
 * Starts itself again with the interposer preloaded; PART selects cases by a part of their names, SEED other random
 * wounds. The stores are in a new directory under TMPDIR.
 */
#include "durability_kit.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <dlfcn.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * Whatever the preloaded library exports, or NULL; a function pointer through the object pointer that POSIX promises.
 */
static void *interposed(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

durability *durability_find(void)
{
    durability *(*find)(void);
    *(void **)&find = interposed("durability_interposed");
    return find ? find() : NULL;
}

int durability_snapshot(const char *from, const char *to)
{
    int (*snapshot)(const char *, const char *);
    *(void **)&snapshot = interposed("durability_interposed_snapshot");
    return snapshot(from, to);
}

long durability_unflushed(void)
{
    long (*unflushed)(void);
    *(void **)&unflushed = interposed("durability_interposed_unflushed");
    return unflushed();
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

/* Under a sanitizer its own library must come first. */
static int start_again(const char *interposer, char **argv, apr_pool_t *pool)
{
    const char *before = getenv("LD_PRELOAD");

    setenv("LD_PRELOAD", before ? apr_pstrcat(pool, before, ":", interposer, NULL) : interposer, 1);
    execv("/proc/self/exe", argv);
    perror("/proc/self/exe");
    return 2;
}

static int run(const char *select, apr_pool_t *pool)
{
    static const kit_case *const all[] = {durability_cases_flush, durability_cases_fault, durability_cases_damage,
                                          durability_cases_place};
    const char *tmp = getenv("TMPDIR");
    idem_env env = {NULL, "/tmp", (unsigned)geteuid(), (unsigned)getegid(), 4, 16, NULL, 0, 0, 0};
    char *dir = apr_pstrcat(pool, tmp ? tmp : "/tmp", "/durability-XXXXXX", NULL);
    kit_score score = {0, 0, 0};
    kit k;

    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    kit_init(&k, pool);
    k.driver = &idem_driver_lmdb;
    k.env = &env;
    k.rest = dir;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        kit_run_cases(&k, all[i], select, &score);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return kit_finish(&score) ? 1 : 0;
}

int main(int argc, char **argv)
{
    apr_pool_t *pool;

    if (argc < 2) {
        fprintf(stderr, "usage: durability INTERPOSER.so [PART [SEED]]\n");
        return 2;
    }
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        return 1;
    if (!durability_find())
        return start_again(argv[1], argv, pool);
    unsetenv("LD_PRELOAD");
    if (argc > 3) {
        idem_conformance_effort effort = {0, 0, (unsigned)atoi(argv[3])};
        idem_conformance_set_effort(&effort);
    }
    return run(argc > 2 ? argv[2] : NULL, pool);
}
