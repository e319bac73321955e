/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mpm.c - asks the MPM.
 *
 * Called at the beginning of a child by what would like a thread of its own, and when the configuration is checked.
 * Limits: the answers are not known before the configuration is read.
 */
#include "mpm.h"

#include <httpd.h> /* ap_mpm.h does not include it */

#include <ap_mpm.h>
#include <http_config.h>

/*
 * It forks each child once more for each connection, serves that in the fork, and lets every site's user be the fork's.
 * A key would belong to the child, which lives on when its fork is killed. A settlement that fails would end with the
 * connection. And the child's open files of the store would lie in every site's process.
 */
const char *idem_mpm_unfit(void)
{
    return ap_find_linked_module("mpm_itk.c") ? "mpm_itk serves each request in a process of its own, which "
                                                "ends with the request. mod_idempotency cannot keep keys for such "
                                                "processes: unload one of the two modules"
                                              : NULL;
}

int idem_threads_usual(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS && threaded != AP_MPMQ_NOT_SUPPORTED;
}
