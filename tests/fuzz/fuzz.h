/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz.h - what every fuzz target has: one entry point, and an input that nothing may read past.
 *
 * The entry point is libFuzzer's; standalone.c calls the same one with the files of a corpus. A target checks what must
 * hold of any input with MUST and leaves the rest to the sanitizers. Limits: inputs are cut at FUZZ_INPUT_MOST bytes.
 */
#ifndef IDEM_FUZZ_H
#define IDEM_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "bytes.h"

#define FUZZ_INPUT_MOST 65536

/* Not assert(): it must stay in builds that define NDEBUG. */
#define MUST(condition) ((condition) ? (void)0 : fuzz_broken(#condition, __FILE__, __LINE__))

static inline _Noreturn void fuzz_broken(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A pool that outlives the process's inputs; each input gets a child of it. */
static inline apr_pool_t *fuzz_pool(void)
{
    static apr_pool_t *root;
    apr_pool_t *pool;

    if (!root)
        MUST(apr_initialize() == APR_SUCCESS && apr_pool_create(&root, NULL) == APR_SUCCESS);
    MUST(apr_pool_create(&pool, root) == APR_SUCCESS);
    return pool;
}

/* A copy of its own size with a NUL behind it: a pool's memory has neighbours that a sanitizer does not see. Freed by
 * the caller. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);

    MUST(copy);
    if (size)
        memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

#endif
