/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files_1.c - the example of a store, as it was compiled when the drivers' interface had version 1.
 *
 * Loaded by tests/http/store/test_driver_versions.py. The header of that version is 1/idem_store.h, and stays as it
 * was. What always holds: behind the table that it registers is nothing that anybody may call.
 */
#include <httpd.h>
#include <http_config.h>

#include <ap_provider.h>
#include <string.h>

#include "idem_store.h"

/* The shorter table, and a trap behind it. */
static void register_with_trap(apr_pool_t *pool, const char *scheme, const char *version, const idem_driver *driver)
{
    static struct {
        idem_driver table;
        char trap[8 * sizeof(void *)];
    } trapped;

    trapped.table = *driver;
    memset(trapped.trap, 0xff, sizeof(trapped.trap));
    ap_register_provider(pool, IDEM_STORE_GROUP, scheme, version, &trapped);
}
#define ap_register_provider(pool, group, scheme, version, driver) register_with_trap(pool, scheme, version, driver)

#include "../example/files_slot.c"
#include "../example/mod_idem_files.c"
