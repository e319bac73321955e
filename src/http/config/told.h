/* SPDX-License-Identifier: Apache-2.0 */
/*
 * told.h - what the configuration says about the module's own answers, problem by problem.
 */
#ifndef IDEM_TOLD_H
#define IDEM_TOLD_H

#include <apr_tables.h>

/*
 * The number that a list of "NAME=NUMBER" (problem_status, retry_after of idem_settings) has for name; usual where it
 * has none.
 */
int idem_told_number(const apr_array_header_t *words, const char *name, int usual);

#endif
