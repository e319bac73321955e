/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accept.h - which of the media types and content codings we can answer with a client likes.
 */
#ifndef IDEM_ACCEPT_H
#define IDEM_ACCEPT_H

#include <httpd.h>

/*
 * The best quality with which r's Accept names range ("text/html", or a wildcard as it is written), in thousandths; 0
 * where it does not. Wildcards of the client stand for nothing else here, parameters but q are not looked at.
 */
int idem_accept_quality(request_rec *r, const char *range);

/*
 * May r be answered in this content coding? Without Accept-Encoding in any, with an empty one in none (RFC 9110
 * 12.5.3). Never ask about identity: that is sent where nothing is accepted.
 */
int idem_accepts_coding(request_rec *r, const char *coding);

/* r's Accept-Encoding without the codings that it refuses, for filters that overlook q=0; NULL where r has none. */
const char *idem_accept_encoding_cleaned(request_rec *r);

#endif
