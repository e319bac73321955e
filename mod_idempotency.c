/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mod_idempotency.c - the module record, and where its hooks and filters stand.
 *
 * Nothing is decided here. Read on in src/core/lease.c (what can happen to a request) and src/http/gate.c (how it
 * happens).
 */
#define IDEM_MODULE_RECORD

#include "admin.h"
#include "advice.h"
#include "config.h"
#include "expose.h"
#include "formkey.h"
#include "formstrip.h"
#include "gate.h"
#include "intake.h"
#include "child.h"
#include "compat.h"
#include "log.h"
#include "logline.h"
#include "metrics.h"
#include "mpm.h"
#include "notice.h"
#include "notify.h"
#include "places.h"
#include "quota.h"
#include "recent.h"
#include "recorder.h"
#include "sent.h"
#include "src/store/socache/socache.h"
#include "stores.h"
#include "wakeup.h"
#include "witness.h"

#include <http_config.h>
#include <http_core.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    idem_config_begin(pconf);
    if (idem_socache_pre_config(pconf) != APR_SUCCESS)
        return HTTP_INTERNAL_SERVER_ERROR;
    idem_stores_register(pconf);
    idem_logline_register(pconf);
    return OK;
}

static int check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const char *unfit = idem_mpm_unfit();

    (void)plog;
    if (!unfit)
        return idem_stores_configure(pconf, ptemp, s);
    IDEM_SLOG(s, APLOG_EMERG, 170, "%s", unfit);
    return HTTP_INTERNAL_SERVER_ERROR;
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    idem_sent_begin(s, idem_engine_named(), idem_key_fields());
    idem_config_ready(s, pconf);
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK; /* the configuration is read twice at a start: a store is opened once */
    if (idem_wakeup_open(pconf, idem_server_settings_of(s)->max_waiters) != APR_SUCCESS ||
        idem_quota_open(pconf) != APR_SUCCESS || idem_child_open(pconf) != APR_SUCCESS ||
        idem_metrics_open(s) != APR_SUCCESS || idem_recent_open(s) != APR_SUCCESS ||
        idem_admin_open(s) != APR_SUCCESS) {
        IDEM_SLOG(s, APLOG_EMERG, 80, "no shared memory for IdempotencyMaxWaiters, IdempotencyMaxKeys and metrics");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    if (idem_stores_open(pconf, ptemp) != OK)
        return HTTP_INTERNAL_SERVER_ERROR;
    idem_notice_say(s, ptemp);
    idem_advice_give(s, ptemp);
    idem_notify_start(s, pconf);
    return OK;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    idem_metrics_attach();
    idem_wakeup_attach();
    idem_stores_attach(pchild, s);
    idem_child_start(pchild, s);
}

static void register_hooks(apr_pool_t *pool)
{
    /* core.c and mod_cache.c also stand at REALLY_FIRST: core's upgrade and a cache's hit come before any decision of
     * ours. */
    static const char *const before_us[] = {"core.c", "mod_cache.c", NULL};

    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* Also run by configtest (httpd -t), which post_config is not: a wrong URL is reported there. */
    ap_hook_check_config(check_config, NULL, NULL, APR_HOOK_MIDDLE);
    /* After mod_unixd and the socache providers have read their configuration. */
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
#if IDEM_HAS_CHILD_STOPPING
    ap_hook_child_stopping(idem_child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
#endif
    ap_hook_child_status(idem_metrics_child_status, NULL, NULL, APR_HOOK_MIDDLE);

    /* Before all others of REALLY_FIRST: mod_headers (early), mod_setenvif and mod_security may change fields in this
     * hook. */
    ap_hook_post_read_request(idem_sent_keep, NULL, NULL, APR_HOOK_REALLY_FIRST - 10);
    /* Behind mod_ssl (FIRST), which makes an Authorization of a client's certificate; before those that read it
     * (MIDDLE). */
    ap_hook_check_authn(idem_sent_check, NULL, NULL, APR_HOOK_MIDDLE - 1, AP_AUTH_INTERNAL_PER_CONF);

    /* Behind every access check, with the filter chain standing, before every real handler. */
    ap_hook_handler(idem_gate, before_us, NULL, APR_HOOK_REALLY_FIRST);
    /* A real handler, where a configuration names it. */
    ap_hook_handler(idem_metrics_handler, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_handler(idem_admin_handler, NULL, NULL, APR_HOOK_MIDDLE);
    idem_metrics_status_register();
    /* Any time: it only listens. */
    idem_witness_register();
    /* Before mod_log_config reads the variables. */
    ap_hook_log_transaction(idem_gate_log, NULL, NULL, APR_HOOK_FIRST);

    /* A look-up that asks whether a replay's client may go on to a place begins before, and ends behind, what others
     * do. */
    idem_places_register();

    /* The body as sent: after transfer decoding, before content decoders (AP_FTYPE_CONTENT_SET + 1). */
    idem_intake_register(pool);
    /* A form's body without its key, for the handlers: above all who keep or decode it (AP_FTYPE_RESOURCE - 8). */
    idem_formstrip_register();
    /* The response as written: after generators and rewriters, before compression (AP_FTYPE_CONTENT_SET - 3). */
    idem_recorder_register(pool);
    /* Pages, where it is named: behind generators and rewriters, before the recorder (AP_FTYPE_CONTENT_SET - 4). */
    idem_formkey_register();
    /* Behind mod_headers, which decides whether a response is for other origins (AP_FTYPE_CONTENT_SET + 2). */
    idem_expose_register(pool);
}

/* All else is hidden (-fvisibility=hidden); this is what LoadModule looks up. */
#pragma GCC visibility push(default)
AP_DECLARE_MODULE(idempotency) = {
    STANDARD20_MODULE_STUFF,  idem_create_dir_config, idem_merge_dir_config, idem_create_server_config,
    idem_merge_server_config, idem_commands,          register_hooks,
#if defined(AP_MODULE_FLAG_NONE)
    AP_MODULE_FLAG_NONE
#endif
};
#pragma GCC visibility pop
