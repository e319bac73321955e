/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_url.c - any IdempotencyStore: the first line of an input is the address, the others are options.
 *
 * Nothing is opened. Options that name a file are left out: an input must not choose what is read. What must hold: a
 * refusal has a sentence, a front has an address that can be logged.
 */
#include "fuzz.h"
#include "front.h"

#include <apr_strings.h>

#define OPTIONS_MOST 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char *text = fuzz_string(data, size), *state, *url = apr_strtok(text, "\n", &state), *option;
    const char *options[OPTIONS_MOST + 1] = {NULL}, *why = NULL;
    idem_env env = {.state_dir = "/nowhere", .run_dir = "/nowhere", .processes = 4, .threads = 4};
    idem_front *front = NULL;
    int count = 0;

    while (url && count < OPTIONS_MOST && (option = apr_strtok(NULL, "\n", &state)))
        if (!strstr(option, "file:"))
            options[count++] = option;
    if (url && idem_front_configure(&front, &env, url, options, pool, &why) == APR_SUCCESS)
        MUST(idem_front_url(front) && idem_front_store(front));
    else if (url)
        MUST(why);
    apr_pool_destroy(pool);
    free(text);
    return 0;
}
