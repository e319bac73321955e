/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faults.h - what the interposer, the module that arms it and the test share: one page of memory, mapped from a file.
 *
 * The test writes an order, sends a request with the header X-Fault, and reads what became of it. fault_page.py has the
 * same layout: change both. One order at a time; it ends with its request, or with the process that serves it.
 */
#ifndef IDEM_FAULTS_H
#define IDEM_FAULTS_H

#include <stdatomic.h>

#define FAULTS_FILE "IDEM_FAULTS_PAGE" /* the environment variable that names the file */
#define FAULTS_TEXT 6000

/* Which calls are counted, and fail. */
typedef enum fault_class {
    FAULT_NONE,
    FAULT_MEMORY,  /* malloc and its kin, except what APR's allocator asks for */
    FAULT_POOL,    /* what APR's allocator asks for: httpd aborts a child whose pools cannot grow */
    FAULT_OPEN,    /* open, mkstemp, pipe, dup */
    FAULT_READ,    /* read, pread, recv */
    FAULT_WRITE,   /* write, pwrite, writev, send, sendfile */
    FAULT_FLUSH,   /* fsync, fdatasync, msync */
    FAULT_CONNECT, /* socket, connect, setsockopt, getaddrinfo */
    FAULT_LOCK,    /* fcntl locks, mutexes with a deadline, semaphores */
    FAULT_WAIT,    /* poll, select, epoll_wait */
    FAULT_FILE,    /* unlink, rename, stat, lseek, ftruncate, statvfs, mmap of files */
    FAULT_THREAD   /* pthread_create */
} fault_class;

/* In place of an error number. */
enum { FAULT_SHORT = 0, FAULT_END = -1 }; /* half of what was asked for; nothing, as at the end of a file */

typedef struct fault_page {
    /* the order */
    atomic_int what;         /* fault_class */
    atomic_int first, times; /* the first call that fails, counted from 1, and how many do */
    atomic_int error;
    atomic_int everywhere; /* 0: in the thread that serves the request; 1: in its process, until withdrawn */
    /* what became of it */
    atomic_int armed; /* 1 while the request is under way */
    atomic_int pid;   /* who serves it */
    atomic_int seen, struck;
    atomic_int crashed;     /* the signal that ended the process */
    char text[FAULTS_TEXT]; /* the first call that was struck and its callers, then those of the crash */
} fault_page;

#endif
