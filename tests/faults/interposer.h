/* SPDX-License-Identifier: Apache-2.0 */
/*
 * interposer.h - what interposer.c tells the stand-ins for the C library's calls (interposer_calls.c), and the
 * functions that mod_idem_faults.c finds by name.
 */
#ifndef IDEM_FAULTS_INTERPOSER_H
#define IDEM_FAULTS_INTERPOSER_H

#include "faults.h"

#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT void idem_faults_watch(void); /* a process that serves requests begins: its crashes are told */
EXPORT void idem_faults_arm(void);   /* the calling thread has the request */
EXPORT void idem_faults_disarm(void);

/* Is this call to fail? caller is its return address. errno stays. */
int idem_faults_strike(fault_class what, const char *name, const void *caller);

/* The error number with which it is to fail, or 0. */
int idem_faults_error(fault_class what, const char *name, const void *caller);

/* The same for a call that moves *len bytes; 0 also where it is to move fewer, which *len then says. */
int idem_faults_transfer(fault_class what, const char *name, const void *caller, size_t *len);

/* Is this request for memory to fail? */
int idem_faults_memory(const char *name, const void *caller);

#endif
