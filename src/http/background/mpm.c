/*
 * mpm.c - asks the MPM.
 *
 * Called at the beginning of a child by what would like a thread of its own. Limits: the answer is not known before the configuration is read.
 */
#include "mpm.h"

#include <httpd.h> /* ap_mpm.h does not include it */

#include <ap_mpm.h>

int idem_threads_usual(void)
{
    int threaded = AP_MPMQ_NOT_SUPPORTED;

    return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS && threaded != AP_MPMQ_NOT_SUPPORTED;
}
