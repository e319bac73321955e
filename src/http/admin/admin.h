/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin.h - the handler idempotency-admin: the verbs of src/ops as JSON over HTTP. docs/internals/admin.md has its
 * shape.
 */
#ifndef IDEM_ADMIN_H
#define IDEM_ADMIN_H

#include <httpd.h>

/* post_config: the key of the tokens, which outlives reloads. */
apr_status_t idem_admin_open(server_rec *s);

/* The hook. */
int idem_admin_handler(request_rec *r);

#endif
