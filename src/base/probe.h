/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.h - what a process does that is forked to look at something as the server's user.
 */
#ifndef IDEM_PROBE_H
#define IDEM_PROBE_H

/* No handler of the server's runs from here on, and no core is written. */
void idem_probe_alone(void);

/* Root becomes the user, with all of its groups; anybody else stays who it is. 0, or an errno. */
int idem_probe_become(unsigned uid, unsigned gid);

#endif
