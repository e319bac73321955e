/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logline.h - a line of the access log as JSON: %^IJ in a LogFormat.
 */
#ifndef IDEM_LOGLINE_H
#define IDEM_LOGLINE_H

#include <apr_pools.h>

/* pre_config, when mod_log_config has begun its own: nothing happens where that is not loaded. */
void idem_logline_register(apr_pool_t *pconf);

#endif
