/* SPDX-License-Identifier: Apache-2.0 */
/*
 * identity.h - the marks of a request's client, in a line for its record. They tell an administrator what differed.
 */
#ifndef IDEM_IDENTITY_H
#define IDEM_IDENTITY_H

#include "asked.h"
#include "record.h"

/*
 * Notes the marks of asked's client in response, which is to be recorded: names, and a digest of each value. A digest
 * is too short for any use but to tell values apart. secret: the ring's, or NULL. Where there are no credentials, or no
 * memory for digests, it notes nothing.
 */
void idem_identity_note(const idem_asked *asked, const idem_blob *secret, idem_response *response);

/*
 * Names what differs between the client of asked and the one that record, a response, was made for:
 * "Authorization,cookie sid"; never a value. NULL if it is beyond what was noted. A record without a note is one of a
 * client without credentials.
 */
const char *idem_identity_differs(const idem_asked *asked, const idem_blob *secret, const idem_response *record);

#endif
