/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_formcut.c - any bytes as the body of a form.
 *
 * What must hold: the result is not longer than the input, and has no field to take out of it. Without the name in the
 * input no byte changes.
 */
#include "formcut.h"
#include "fuzz.h"

/* A second run takes nothing. A field is taken only where both ends were seen, so the first run makes no new field. */
static void cut(const uint8_t *data, size_t size, const char *boundary)
{
    char *body = fuzz_string(data, size), *again;
    apr_size_t left =
        boundary ? idem_formcut_multipart(body, size, boundary, "key") : idem_formcut_urlencoded(body, size, 1, "key");

    MUST(left <= size);
    if (left == size)
        MUST(!size || !memcmp(body, data, size));
    again = fuzz_string((const uint8_t *)body, left);
    if (!boundary)
        MUST(idem_formcut_urlencoded(again, left, 1, "key") == left);
    else
        MUST(idem_formcut_multipart(again, left, boundary, "key") <= left);
    free(again);
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cut(data, size, NULL);
    cut(data, size, "B");
    cut(data, size, "--b b");
    return 0;
}
