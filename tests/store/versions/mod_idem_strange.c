/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idem_strange.c - stores for versions of the drivers' interface that this mod_idempotency does not take.
 *
 * Loaded by tests/http/store/test_driver_versions.py. What always holds: whoever calls one of them crashes.
 */
#include <httpd.h>
#include <http_config.h>

#include <ap_provider.h>

#include "idem_store.h"

extern module AP_MODULE_DECLARE_DATA __attribute__((visibility("default"))) idem_strange_module;

static void register_strangers(apr_pool_t *pool)
{
    static const idem_driver empty = {.scheme = "strange"};

    ap_register_provider(pool, IDEM_STORE_GROUP, "older", "0", &empty);
    ap_register_provider(pool, IDEM_STORE_GROUP, "newer", "3", &empty);
    ap_register_provider(pool, IDEM_STORE_GROUP, "newest", "3", &empty);
    ap_register_provider(pool, IDEM_STORE_GROUP, "newest", "4", &empty);
    ap_register_provider(pool, "another-group", "stranger", "3", &empty);
}

AP_DECLARE_MODULE(idem_strange) = {STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_strangers, 0};
