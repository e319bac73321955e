/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number.h - JSON numbers as RFC 8785 writes them (ECMAScript's Number::toString), and which numbers survive that.
 */
#ifndef IDEM_NUMBER_H
#define IDEM_NUMBER_H

#include <apr.h>

#define IDEM_NUMBER_MOST 32 /* "-2.2250738585072014e-308" has 24 */

/* Writes a finite number, NUL behind it, and returns its length. */
apr_size_t idem_number_write(double number, char out[IDEM_NUMBER_MOST]);

/*
 * Does the double nearest to this text stand for the same decimal value as the text, when it is written as above?
 * 9007199254740993 does not (it becomes ...992), 1.10 does. The text must be a number of JSON's grammar: for others any
 * answer may come.
 */
int idem_number_is_exact(const char *text, apr_size_t len);

#endif
