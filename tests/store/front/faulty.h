/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faulty.h - what the tests of the store's front share: a front over a real lmdb store in a temporary directory.
 *
 * Between the two stands a driver, "faulty", that passes every call on unless the test has planned an answer for it.
 * What a test sees of it: how often it was called, and with which deadline.
 */
#ifndef IDEM_FAULTY_H
#define IDEM_FAULTY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "front.h"

/* What the driver is to do. Zeros: nothing of its own. */
typedef struct faulty_plan {
    apr_status_t answer[4]; /* for the next calls, in order; APR_SUCCESS: pass it on */
    int answers;
    apr_status_t always;      /* for every call after these */
    int reads;                /* fetch is passed on whatever is planned */
    int denied;               /* the answer is given after the call has been carried out */
    apr_interval_time_t slow; /* each call takes so long */
    const char *why;
    idem_blob found; /* given with APR_EEXIST and by fetch, if data is set */
    apr_status_t open, attach;
    apr_size_t max_value;
    int parts;      /* 2: slots with an odd first byte are the second's, and only with it goes as planned */
    unsigned flags; /* of the store, given at open */
    pthread_barrier_t *in_attach; /* waited for twice inside attach */
    pthread_barrier_t *in_call;   /* one for each call that hangs; waited for twice inside it */
    int hang_from, hangs;         /* the first of them, counted from 0, and how many */
} faulty_plan;
extern faulty_plan plan;

/* What it has seen. */
typedef struct faulty_count {
    atomic_int calls;
    int attaches, detaches;
    _Atomic apr_time_t deadline;          /* of the last call */
    unsigned char fetched[IDEM_SLOT_LEN]; /* the slot that was read last */
} faulty_count;
extern faulty_count count;

extern const idem_driver faulty_driver;

typedef struct bench {
    apr_pool_t *pool;
    char dir[64];
    idem_env env;
    idem_front *front;
    const char *why;
    idem_head head;
    idem_seen seen;

    int observed;
    idem_op op;
    apr_status_t status;
    apr_interval_time_t took;
} bench;

extern const char *const no_options[];

/* Configured; opened, attached and observed as well. */
int set_up(void **state);
int set_up_attached(void **state);
int tear_down(void **state);

#define FRESH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define ATTACHED(test) cmocka_unit_test_setup_teardown(test, set_up_attached, tear_down)

/* What set_up_attached() does behind set_up(). */
void open_and_attach(bench *b);
void observe(void *baton, idem_op op, apr_status_t status, apr_interval_time_t took);

/* A fresh lease for the slot that consists of this byte. */
idem_head head_for(bench *b, unsigned char slot);

/* Plans answers for the next two calls, and counts from here. */
void answer_with(apr_status_t first, apr_status_t second);

/* b->head as a lease; what was found is in b->seen. */
apr_status_t claim(bench *b);

#endif
