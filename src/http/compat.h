/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compat.h - what an older httpd lacks, down to 2.4.37 (RHEL 8), under the names that newer ones have.
 *
 * Included by the files that use these names. What always holds: with a current httpd this file defines nothing but
 * IDEM_HAS_CHILD_STOPPING.
 */
#ifndef IDEM_COMPAT_H
#define IDEM_COMPAT_H

#include <ap_mmn.h>

#include <apr_lib.h>
#include <apr_strings.h>

/* 2.4.44: a number of decimal digits and nothing else. Without it: apr_strtoff() takes blanks and signs as well. */
#if !AP_MODULE_MAGIC_AT_LEAST(20120211, 93)
#define ap_parse_strict_length idem_parse_strict_length
static inline int idem_parse_strict_length(apr_off_t *length, const char *text)
{
    char *end;

    return apr_isdigit(*text) && apr_strtoff(length, text, &end, 10) == APR_SUCCESS && *end == '\0';
}
#endif

/* 2.4.49: a hook before the cleanups of a child that ends. Without it: child.c listens to the first of the cleanups. */
#define IDEM_HAS_CHILD_STOPPING AP_MODULE_MAGIC_AT_LEAST(20120211, 110)

#endif
