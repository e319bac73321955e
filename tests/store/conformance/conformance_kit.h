/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_kit.h - what the cases of a store's tests are written with.
 *
 * The runner gives each case a process of its own, which attaches to nothing: a store must not cross a fork. The case
 * starts workers, which attach; they talk through one shared page of counters and gates. A check that fails writes one
 * sentence into that page and ends the process; everything the case started ends with it.
 */
#ifndef IDEM_CONFORMANCE_KIT_H
#define IDEM_CONFORMANCE_KIT_H

#include "bytes.h"
#include "conformance.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/types.h>

#define KIT_COUNTERS 64
#define KIT_GATES 16
#define KIT_CALL_TIME \
    apr_time_from_sec(10)                  /* of an ordinary call: never the subject; entries may live so much longer */
#define KIT_FAT_TIME apr_time_from_sec(60) /* of one with megabytes: valgrind is slow, load is more */
#define KIT_SMALL 256                      /* bytes of an ordinary value; any driver holds it */
#define KIT_LONG 3600000                   /* milliseconds: longer than any test */
#define KIT_EXIT_SKIPPED 77

typedef struct kit_shared {
    atomic_int failed;
    char failure[1024];
    atomic_long counter[KIT_COUNTERS];
    sem_t gate[KIT_GATES];
    pthread_barrier_t barrier;
} kit_shared;

/* One run of a suite; in a case and its workers a copy of the runner's. */
typedef struct kit {
    const idem_driver *driver;
    const idem_env *env;
    const char *rest;
    const char *const *options;
    idem_conformance_effort effort;
    apr_pool_t *pool;
    idem_store *store; /* opened; attached in workers only */
    kit_shared *shared;
} kit;

/* One thread that may use the store. */
typedef struct worker {
    kit *k;
    int number;
    apr_pool_t *pool;
    idem_store *store;
    idem_call call; /* of the last call */
    idem_found found;
    void *baton;
    int is_fat; /* its calls carry megabytes */
} worker;

typedef void kit_job(worker *w);

typedef struct kit_case {
    const char *name;
    unsigned excused; /* flags of stores that cannot promise this */
    void (*run)(kit *k);
} kit_case;

/* ---- the runner -------------------------------------------------------------------------------------------------- */

typedef struct kit_score {
    int passed, failed, skipped;
} kit_score;

/* cases ends with a NULL name. */
void kit_run_cases(kit *k, const kit_case *cases, const char *select, kit_score *score);
int kit_finish(const kit_score *score);
void kit_init(kit *k, apr_pool_t *pool);

/* Ends the case; everything it started with it. */
void kit_skip(kit *k, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));
void kit_fail(kit *k, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5), noreturn));

#define CHECK(k, condition)                                      \
    do {                                                         \
        if (!(condition))                                        \
            kit_fail((k), __FILE__, __LINE__, "%s", #condition); \
    } while (0)
#define CHECK_NUMBER(k, expression, wanted)                                                         \
    do {                                                                                            \
        long kit_is = (long)(expression), kit_want = (long)(wanted);                                \
        if (kit_is != kit_want)                                                                     \
            kit_fail((k), __FILE__, __LINE__, "%s is %ld, not %ld", #expression, kit_is, kit_want); \
    } while (0)
/* The last call's status, with its why. */
#define EXPECT(w, expression, wanted) kit_expect((w), __FILE__, __LINE__, #expression, (expression), (wanted))
void kit_expect(worker *w, const char *file, int line, const char *what, apr_status_t is, apr_status_t wanted);
const char *kit_status(apr_status_t status);

/* ---- processes and threads --------------------------------------------------------------------------------------- */

/* Opens another instance of the same store, as a restart does. */
idem_store *kit_open(kit *k, apr_pool_t *pool);

/* An attached process that runs job and ends. */
pid_t kit_start(kit *k, int number, kit_job *job, void *baton);
void kit_join(kit *k, pid_t pid);               /* it must end well */
void kit_kill(kit *k, pid_t pid);               /* SIGKILL, and its end awaited */
void kit_signal(kit *k, pid_t pid, int signal); /* SIGSTOP: until it has stopped */
void kit_alone(kit *k, kit_job *job, void *baton);

/* As many processes with as many threads each, numbered through; k->shared->barrier is for all of them. */
void kit_together(kit *k, int processes, int threads, kit_job *job, void *baton);

void kit_open_gate(kit *k, int gate);
void kit_pass_gate(kit *k, int gate); /* fails the case after some seconds */
apr_time_t kit_clock(void);           /* microseconds that nobody can set */

/* Memory that workers share; zeroed; unmapped with the case. */
void *kit_share(kit *k, apr_size_t bytes);

/* ---- slots, tokens, values --------------------------------------------------------------------------------------- */

typedef struct kit_name {
    unsigned char bytes[IDEM_SLOT_LEN]; /* a slot; its first half a token */
} kit_name;

/* The same numbers give the same name. Cases use different families. */
kit_name kit_slot(unsigned family, unsigned long number);
kit_name kit_token(unsigned family, unsigned long number);
apr_uint64_t kit_random(apr_uint64_t *state);

typedef struct kit_value {
    idem_state state;
    const unsigned char *slot, *token;
    apr_uint64_t owner;
    apr_uint64_t ttl; /* milliseconds */
    apr_size_t len;
} kit_value;

/* A head and bytes that follow from all of it. */
idem_blob kit_make(const kit_value *value, apr_pool_t *pool);
idem_blob kit_small(worker *w, idem_state state, const kit_name *slot, const kit_name *token);
int kit_same(idem_blob a, idem_blob b);

/* ---- calls, with an ordinary deadline ---------------------------------------------------------------------------- */

idem_call *kit_call(worker *w);
apr_status_t kit_claim(worker *w, const kit_name *slot, const kit_name *token);
apr_status_t kit_settle(worker *w, idem_state state, const kit_name *slot, const kit_name *token);
apr_status_t kit_fetch(worker *w, const kit_name *slot);
apr_status_t kit_renew(worker *w, const kit_name *slot, const kit_name *token);
apr_status_t kit_release(worker *w, const kit_name *slot, const kit_name *token);
apr_status_t kit_takeover(worker *w, const kit_name *slot, const kit_name *seen, const kit_name *token);
apr_status_t kit_forget(worker *w, const kit_name *slot);
apr_status_t kit_forget_seen(worker *w, const kit_name *slot, const kit_name *token);

/* A lease whose owner is dead: of a number that nobody holds, or lapsed. */
void kit_orphan(worker *w, const kit_name *slot, const kit_name *token);

/* What stands there is this, exactly. */
#define EXPECT_STANDS(w, slot, value) kit_expect_stands((w), __FILE__, __LINE__, (slot), (value))
void kit_expect_stands(worker *w, const char *file, int line, const kit_name *slot, idem_blob value);

/* Waits until the slot reads as absent; fails the case if it does before its time or not at all. */
void kit_await_expiry(worker *w, const kit_name *slot, apr_time_t not_before);

/* ---- the cases --------------------------------------------------------------------------------------------------- */

extern const kit_case kit_cases_slot[];  /* conformance_slot.c: each operation on one slot */
extern const kit_case kit_cases_value[]; /* conformance_value.c: sizes, bytes, enumeration */
extern const kit_case kit_cases_time[];  /* conformance_time.c: expiry and sweep */
extern const kit_case kit_cases_race[];  /* conformance_race.c: many at once */
extern const kit_case kit_cases_owner[]; /* conformance_owner.c: processes that die, stop and come back */
extern const kit_case kit_cases_full[];  /* conformance_full.c: a store without room */

#endif
