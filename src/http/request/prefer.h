/* SPDX-License-Identifier: Apache-2.0 */
/*
 * prefer.h - the header Prefer (RFC 7240): a client's wish, which a server may ignore.
 */
#ifndef IDEM_PREFER_H
#define IDEM_PREFER_H

/*
 * Does the field's value (several lines joined by commas, NULL for none) name this preference with this value? Of a
 * preference that is named more than once the first counts. Case does not matter.
 */
int idem_prefers(const char *field, const char *name, const char *value);

#endif
