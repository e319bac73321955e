/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - the two macros that write every message of the module: with a stable number, the request and its phase.
 *
 * A number is used once (tests/lint); warnings and errors each have a test that expects them. A key is never printed:
 * who is the first bytes of the slot.
 */
#ifndef IDEM_LOG_H
#define IDEM_LOG_H

#include <httpd.h> /* the others do not include it */

#include <http_log.h>

#ifndef IDEM_MODULE_RECORD /* the file with AP_DECLARE_MODULE, which says this itself */
APLOG_USE_MODULE(idempotency);
#endif

#define IDEM_LOG(txn, level, number, format, ...)                                                        \
    ap_log_rerror(APLOG_MARK, level, 0, (txn)->r, "IDEM%03d: [%s,%s] " format, number, (txn)->slot_name, \
                  idem_phase_name((txn)->phase), ##__VA_ARGS__)

#define IDEM_SLOG(server, level, number, format, ...) \
    ap_log_error(APLOG_MARK, level, 0, server, "IDEM%03d: " format, number, ##__VA_ARGS__)

#endif
