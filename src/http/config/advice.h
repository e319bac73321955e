/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice.h - configurations that are valid, and hardly what was meant.
 */
#ifndef IDEM_ADVICE_H
#define IDEM_ADVICE_H

#include <httpd.h>

/* post_config: one warning for each place and fault. */
void idem_advice_give(server_rec *main_server, apr_pool_t *ptemp);

#endif
