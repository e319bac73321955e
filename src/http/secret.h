/*
 * secret.h - IdempotencySecret: where the key ring comes from.
 */
#ifndef IDEM_SECRET_H
#define IDEM_SECRET_H

#include "keyring.h"

#include <httpd.h>

/*
 * Reads "file:PATH" or, unless only_check is set, runs "exec:COMMAND" and reads what it prints. The ring lives in pool. *why is a
 * sentence without a secret in it. With only_check (configtest) *ring is NULL for exec:.
 */
apr_status_t idem_secret_read(const char *source, int only_check, apr_pool_t *pool, apr_pool_t *ptemp,
                              idem_keyring **ring, const char **why);

#endif
