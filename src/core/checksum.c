/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checksum.c - XXH3 with 128 bits, of xxHash; the only file that knows it.
 *
 * Called by record.c for each value that is read or written. The library's header is compiled in: nothing of it is
 * loaded when httpd runs. Its canonical form is the same on every machine, and its authors keep the values as they are
 * since version 0.8. It fails never, and asks for no memory.
 */
#include "checksum.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

_Static_assert(XXH_VERSION_NUMBER >= 800, "the values of XXH3 are final since xxHash 0.8.0");

void idem_checksum(idem_blob data, unsigned char sum[IDEM_SUM_LEN])
{
    XXH128_canonical_t canonical;

    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.data, data.len));
    memcpy(sum, canonical.digest, IDEM_SUM_LEN);
}
