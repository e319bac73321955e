/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keytime.h - the time that some kinds of keys carry in themselves: when their client made them.
 */
#ifndef IDEM_KEYTIME_H
#define IDEM_KEYTIME_H

#include "bytes.h"

#include <apr_time.h>

#define IDEM_KEYTIME_UUIDV7 0x01U
#define IDEM_KEYTIME_ULID 0x02U
#define IDEM_KEYTIME_FIRST_SENT 0x04U /* not the key's: a header field beside it */
#define IDEM_KEYTIME_ALL 0x07U
#define IDEM_KEYTIME_REQUIRED 0x80U /* a key without any of these is refused */

/*
 * Is key of one of these kinds? Then *made is its time, in whole milliseconds. A UUID of version 7 (RFC 9562, 5.7) has
 * 36 characters in either case, a ULID 26 of Crockford's alphabet in either case.
 */
int idem_key_time(idem_blob key, unsigned kinds, apr_time_t *made);

#endif
