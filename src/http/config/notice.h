/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notice.h - what a server says of the module when it starts.
 */
#ifndef IDEM_NOTICE_H
#define IDEM_NOTICE_H

#include <httpd.h>

/* post_config, after the stores were opened: one line a store. */
void idem_notice_say(server_rec *s, apr_pool_t *ptemp);

#endif
