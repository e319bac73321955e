/* SPDX-License-Identifier: Apache-2.0 */
/*
 * quoted.h - header fields whose members or parameters may be quoted strings (RFC 9110, section 5.6.4).
 */
#ifndef IDEM_QUOTED_H
#define IDEM_QUOTED_H

/* The first separator at or behind s that stands outside of quoted strings; the end of s where there is none. */
const char *idem_quoted_find(const char *s, char separator);

#endif
