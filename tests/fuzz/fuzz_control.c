/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_control.c - any value of Idempotency-Control.
 *
 * What must hold: a life span is within the bound, and never beside no-store.
 */
#include "control.h"
#include "fuzz.h"

#define TTL_MOST apr_time_from_sec(86400)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    apr_table_t *table = apr_table_make(pool, 1), *none = apr_table_make(pool, 1);
    char *value = fuzz_string(data, size);
    idem_control control;

    apr_table_setn(table, IDEM_CONTROL_HEADER, value);
    idem_control_read(none, table, TTL_MOST, pool, &control);
    MUST(control.ttl >= 0 && control.ttl <= TTL_MOST && control.invalid >= 0);
    MUST(!control.no_store || !control.ttl);
    apr_pool_destroy(pool);
    free(value);
    return 0;
}
