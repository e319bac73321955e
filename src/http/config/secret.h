/* SPDX-License-Identifier: Apache-2.0 */
/*
 * secret.h - IdempotencySecret: where the key ring comes from.
 */
#ifndef IDEM_SECRET_H
#define IDEM_SECRET_H

#include "keyring.h"

#include <httpd.h>

/*
 * check_config: NULL, or a sentence about what is wrong with a file. A command is not run: configtest should do
 * nothing. A starting server reads its configuration a second time, and nobody sees the messages of that time.
 */
const char *idem_secret_check(const char *source, apr_pool_t *ptemp);

/*
 * post_config: reads "file:PATH", or runs "exec:COMMAND" and reads what it prints. The ring lives in pool. *why is a
 * sentence without a secret in it.
 */
apr_status_t idem_secret_read(const char *source, apr_pool_t *pool, apr_pool_t *ptemp, idem_keyring **ring,
                              const char **why);

#endif
