/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mpm.h - what the module must know of the MPM it runs under.
 */
#ifndef IDEM_MPM_H
#define IDEM_MPM_H

/* It runs several threads in a child anyway. Where it does not, a child stays alone until there is a need. */
int idem_threads_usual(void);

/* NULL, or a sentence: why no guarded request can be served under it. After the modules were loaded. */
const char *idem_mpm_unfit(void);

#endif
