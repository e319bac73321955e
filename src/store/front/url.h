/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - the address of a store as it may appear in a log.
 */
#ifndef IDEM_URL_H
#define IDEM_URL_H

#include <apr_pools.h>

/*
 * A copy of url in pool with its password replaced by "***". The password stands between the user and the last '@'
 * behind "://". Everything behind the first "pass…=" or "pwd=" is cut, too, since databases quote their parameters in
 * different ways.
 */
const char *idem_url_masked(const char *url, apr_pool_t *pool);

#endif
