/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.h - tells whether bytes are those that were written: for damage, not against people.
 *
 * A writer with access to the store can also correct the checksum. Only a seal stops that writer.
 */
#ifndef IDEM_CHECKSUM_H
#define IDEM_CHECKSUM_H

#include "bytes.h"

#define IDEM_SUM_LEN 16

void idem_checksum(idem_blob data, unsigned char sum[IDEM_SUM_LEN]);

#endif
