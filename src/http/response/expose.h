/* SPDX-License-Identifier: Apache-2.0 */
/*
 * expose.h - what leaves the module's responses last: a filter behind mod_headers.
 *
 * Where a response carries Access-Control-Allow-Origin, scripts may read the module's headers only if they are named in
 * Access-Control-Expose-Headers; whether it carries it is known only behind mod_headers. On requests that are not
 * guarded the same filter removes an application's Idempotency-Control.
 */
#ifndef IDEM_EXPOSE_H
#define IDEM_EXPOSE_H

#include <httpd.h>

void idem_expose_register(apr_pool_t *pool);
void idem_expose_join(request_rec *r);

#endif
