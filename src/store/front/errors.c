/* SPDX-License-Identifier: Apache-2.0 */
/*
 * errors.c - what a store's answer means: a sentence for each status, and whether it is an answer at all.
 */
#include "front_private.h"

#include <apr_strings.h>

const char *idem_store_sentence(apr_status_t status, apr_pool_t *pool)
{
    char text[200];
    switch (status) {
    case APR_EEXIST: return "the slot is taken";
    case APR_NOTFOUND: return "the slot is empty";
    case APR_TIMEUP: return "the store did not answer in time";
    case IDEM_ELOST: return "the slot holds another's token";
    case IDEM_EFULL: return "the store is full";
    case IDEM_ETOOBIG: return "the value is larger than the store can hold";
    case IDEM_EDAMAGED: return "the store is damaged";
    case IDEM_EALIVE: return "the owner of the lease lives";
    case IDEM_EDOWN: return "the store is not attached";
    default: return apr_pstrdup(pool, apr_strerror(status, text, sizeof(text)));
    }
}

int idem_store_answered(apr_status_t rv)
{
    switch (rv) {
    case APR_SUCCESS:
    case APR_EEXIST:
    case APR_NOTFOUND:
    case IDEM_ELOST:
    case IDEM_EFULL:
    case IDEM_ETOOBIG:
    case IDEM_EDAMAGED:
    case IDEM_EALIVE:
    case IDEM_EDOWN: return 1;
    default: return 0;
    }
}
