/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parts_private.h - what values.c, credentials.c and operation.c share.
 */
#ifndef IDEM_PARTS_PRIVATE_H
#define IDEM_PARTS_PRIVATE_H

#include "asked.h"

/* The part "operation"; data NULL where none of its fields is there. */
idem_blob idem_operation(const idem_asked *asked);

/* The part "credentials". */
idem_blob idem_credentials(const idem_asked *asked);

#endif
