/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keysource.h - which key, if any, a request carries.
 */
#ifndef IDEM_KEYSOURCE_H
#define IDEM_KEYSOURCE_H

#include "config.h"
#include "problem.h"

/*
 * Tries the configured sources in order. IDEM_PROBLEM_NONE with key->data NULL: there is no key. IDEM_KEY_INVALID:
 * *detail says what is wrong, never the key. APR_EGENERAL in *status with *detail for the log: an expression failed.
 */
idem_problem idem_find_key(const idem_asked *asked, const idem_settings *settings, idem_blob *key, const char **detail,
                           apr_status_t *status);

#endif
