/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stores.h - which server uses which store: one front per URL, configured, opened, attached and swept with the server.
 */
#ifndef IDEM_STORES_H
#define IDEM_STORES_H

#include "front.h"

#include <httpd.h>

/*
 * check_config: every URL parses, every secret in a file can be read, one store is not named with two sets of options.
 * OK or HTTP_INTERNAL_SERVER_ERROR, logged.
 */
int idem_stores_configure(apr_pool_t *pconf, apr_pool_t *ptemp, server_rec *s);

/* post_config: gives them their secrets and opens them. A named local store that cannot be opened stops the start. */
int idem_stores_open(apr_pool_t *pconf, apr_pool_t *ptemp);

/* The secrets of s, NULL without. */
const idem_keyring *idem_stores_ring(server_rec *s);

/* child_init. */
void idem_stores_attach(apr_pool_t *pchild, server_rec *s);

/* The front of the virtual host s. */
idem_front *idem_stores_front(server_rec *s);

/* The fronts of this configuration, for the keeper. */
const apr_array_header_t *idem_stores_all(void);

/* Registers the compiled-in drivers as providers and lets the registry find others' (pre_config). */
void idem_stores_register(apr_pool_t *pconf);

#endif
