/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conformance_kit.c - processes, names, values and calls for the cases; see conformance_kit.h.
 *
 * A worker dies with the process that started it (PR_SET_PDEATHSIG), so that a failed case leaves nobody behind.
 */
#include "conformance_kit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GATE_TIME 60         /* seconds */
#define EXPIRY_TIME 20000000 /* microseconds beyond the time to live */
#define POLL_PAUSE 2000

/* ---- processes and threads --------------------------------------------------------------------------------------- */

static void init_worker(worker *w, kit *k, int number, void *baton)
{
    memset(w, 0, sizeof(*w));
    w->k = k;
    w->number = number;
    w->store = k->store;
    w->baton = baton;
    if (apr_pool_create(&w->pool, NULL) != APR_SUCCESS)
        kit_fail(k, __FILE__, __LINE__, "no pool");
}

static void attach(kit *k)
{
    const char *why = NULL;
    apr_status_t status = k->driver->attach(k->store, k->pool, &why);
    if (status != APR_SUCCESS)
        kit_fail(k, __FILE__, __LINE__, "attach gave %s: %s", kit_status(status), why ? why : "no reason given");
}

static void run_attached(kit *k, int number, kit_job *job, void *baton)
{
    worker w;
    attach(k);
    init_worker(&w, k, number, baton);
    job(&w);
    k->driver->detach(k->store);
    apr_pool_destroy(w.pool);
}

static pid_t fork_child(kit *k)
{
    pid_t parent = getpid(), pid = fork();

    if (pid < 0)
        kit_fail(k, __FILE__, __LINE__, "fork: %s", strerror(errno));
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

pid_t kit_start(kit *k, int number, kit_job *job, void *baton)
{
    pid_t pid = fork_child(k);
    if (pid == 0) {
        run_attached(k, number, job, baton);
        _exit(0);
    }
    return pid;
}

static int await_end(kit *k, pid_t pid)
{
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR)
            kit_fail(k, __FILE__, __LINE__, "waitpid: %s", strerror(errno));
    }
    return status;
}

void kit_join(kit *k, pid_t pid)
{
    int status = await_end(k, pid);
    if (WIFSIGNALED(status))
        kit_fail(k, __FILE__, __LINE__, "a worker ended with %s", strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == KIT_EXIT_SKIPPED)
        _exit(KIT_EXIT_SKIPPED); /* the worker has said why */
    if (WEXITSTATUS(status) != 0)
        kit_fail(k, __FILE__, __LINE__, "a worker ended with code %d", WEXITSTATUS(status));
}

void kit_kill(kit *k, pid_t pid)
{
    kill(pid, SIGKILL);
    await_end(k, pid);
}

void kit_signal(kit *k, pid_t pid, int signal)
{
    int status;
    CHECK(k, kill(pid, signal) == 0);
    if (signal == SIGSTOP)
        CHECK(k, waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

void kit_alone(kit *k, kit_job *job, void *baton)
{
    kit_join(k, kit_start(k, 0, job, baton));
}

typedef struct thread_start {
    kit *k;
    int number;
    kit_job *job;
    void *baton;
} thread_start;

static void *run_thread(void *data)
{
    thread_start *s = data;
    worker w;
    init_worker(&w, s->k, s->number, s->baton);
    s->job(&w);
    apr_pool_destroy(w.pool);
    return NULL;
}

static void run_threads(kit *k, int first, int threads, thread_start model)
{
    pthread_t *ids = calloc((size_t)threads, sizeof(*ids));
    thread_start *starts = calloc((size_t)threads, sizeof(*starts));

    CHECK(k, ids && starts);
    attach(k);
    for (int i = 0; i < threads; i++) {
        starts[i] = model;
        starts[i].number = first + i;
        CHECK(k, pthread_create(&ids[i], NULL, run_thread, &starts[i]) == 0);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(ids[i], NULL);
    k->driver->detach(k->store);
    free(ids);
    free(starts);
}

void kit_together(kit *k, int processes, int threads, kit_job *job, void *baton)
{
    thread_start model = {k, 0, job, baton};
    pthread_barrierattr_t attr;
    pid_t pids[64];

    CHECK(k, processes <= 64);
    pthread_barrierattr_init(&attr);
    pthread_barrierattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&k->shared->barrier, &attr, (unsigned)(processes * threads));
    pthread_barrierattr_destroy(&attr);
    for (int p = 0; p < processes; p++) {
        pids[p] = fork_child(k);
        if (pids[p] == 0) {
            run_threads(k, p * threads, threads, model);
            _exit(0);
        }
    }
    /* In whatever order they end: one that failed leaves the others at the barrier, and they end with this process. */
    for (int p = 0; p < processes; p++)
        kit_join(k, -1);
}

void kit_open_gate(kit *k, int gate)
{
    sem_post(&k->shared->gate[gate]);
}

void kit_pass_gate(kit *k, int gate)
{
    struct timespec until;
    int rc;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += GATE_TIME;
    do
        rc = sem_timedwait(&k->shared->gate[gate], &until);
    while (rc != 0 && errno == EINTR);
    if (rc != 0)
        kit_fail(k, __FILE__, __LINE__, "nobody opened gate %d", gate);
}

apr_time_t kit_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (apr_time_t)t.tv_sec * APR_USEC_PER_SEC + t.tv_nsec / 1000;
}

/* ---- names and values -------------------------------------------------------------------------------------------- */

/* splitmix64: every driver gets well mixed bytes, and every run the same. */
apr_uint64_t kit_random(apr_uint64_t *state)
{
    apr_uint64_t z = (*state += 0x9E3779B97F4A7C15ULL);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
    return z ^ (z >> 31);
}

static kit_name name_of(apr_uint64_t kind, unsigned family, unsigned long number)
{
    kit_name name;
    apr_uint64_t state = kind << 56 ^ (apr_uint64_t)family << 40 ^ number;

    for (int i = 0; i < IDEM_SLOT_LEN; i += 8)
        idem_put(name.bytes + i, kit_random(&state), 8);
    return name;
}

kit_name kit_slot(unsigned family, unsigned long number)
{
    return name_of(1, family, number);
}

kit_name kit_token(unsigned family, unsigned long number)
{
    return name_of(2, family, number);
}

idem_blob kit_make(const kit_value *value, apr_pool_t *pool)
{
    unsigned char *data = apr_pcalloc(pool, value->len), *to = data;
    apr_uint64_t state = value->len ^ idem_value_number(value->token, 8) ^ value->state;

    to = idem_put_bytes(to, "IDEM", 4);
    to = idem_put(to, 1, 1);
    to = idem_put(to, value->state, 1);
    to = idem_put(to, 0, 2);
    to = idem_put(to, value->ttl, 8);
    to = idem_put(to, 60000, 4); /* a lease of a minute, where leases lapse */
    to = idem_put(to, 1, 4);
    to = idem_put(to, value->owner, 8);
    to = idem_put_bytes(to, value->slot, IDEM_SLOT_LEN);
    to = idem_put_bytes(to, value->token, IDEM_TOKEN_LEN);
    while (to < data + value->len)
        *to++ = (unsigned char)kit_random(&state);
    return idem_blob_of(data, value->len);
}

idem_blob kit_small(worker *w, idem_state state, const kit_name *slot, const kit_name *token)
{
    kit_value value = {state, slot->bytes, token->bytes, w->store->owner, KIT_LONG, KIT_SMALL};
    return kit_make(&value, w->pool);
}

int kit_same(idem_blob a, idem_blob b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

idem_call *kit_call(worker *w)
{
    w->call.pool = w->pool;
    w->call.deadline = apr_time_now() + (w->is_fat ? KIT_FAT_TIME : KIT_CALL_TIME);
    w->call.why = NULL;
    memset(&w->found, 0, sizeof(w->found));
    return &w->call;
}

apr_status_t kit_claim(worker *w, const kit_name *slot, const kit_name *token)
{
    return w->k->driver->claim(w->store, kit_call(w), slot->bytes, kit_small(w, IDEM_STATE_LEASE, slot, token),
                               &w->found);
}

apr_status_t kit_settle(worker *w, idem_state state, const kit_name *slot, const kit_name *token)
{
    return w->k->driver->settle(w->store, kit_call(w), slot->bytes, kit_small(w, state, slot, token));
}

apr_status_t kit_fetch(worker *w, const kit_name *slot)
{
    return w->k->driver->fetch(w->store, kit_call(w), slot->bytes, &w->found);
}

apr_status_t kit_renew(worker *w, const kit_name *slot, const kit_name *token)
{
    return w->k->driver->renew(w->store, kit_call(w), slot->bytes, token->bytes);
}

apr_status_t kit_release(worker *w, const kit_name *slot, const kit_name *token)
{
    return w->k->driver->release(w->store, kit_call(w), slot->bytes, token->bytes);
}

apr_status_t kit_takeover(worker *w, const kit_name *slot, const kit_name *seen, const kit_name *token)
{
    return w->k->driver->takeover(w->store, kit_call(w), slot->bytes, seen->bytes,
                                  kit_small(w, IDEM_STATE_LEASE, slot, token));
}

apr_status_t kit_forget(worker *w, const kit_name *slot)
{
    return w->k->driver->forget(w->store, kit_call(w), slot->bytes);
}

apr_status_t kit_forget_seen(worker *w, const kit_name *slot, const kit_name *token)
{
    return w->k->driver->forget_seen(w->store, kit_call(w), slot->bytes, token->bytes);
}

void kit_orphan(worker *w, const kit_name *slot, const kit_name *token)
{
    apr_uint64_t nobody = idem_value_number(token->bytes, 8) >> 2;
    kit_value value = {IDEM_STATE_LEASE, slot->bytes, token->bytes, nobody, KIT_LONG, KIT_SMALL};
    idem_blob lease = kit_make(&value, w->pool);
    apr_time_t until = kit_clock() + EXPIRY_TIME;

    if (!(w->store->flags & IDEM_HOST_LOCAL))
        idem_put((unsigned char *)(apr_uintptr_t)lease.data + 16, 1, 4); /* a lease of a millisecond */
    EXPECT(w, w->k->driver->claim(w->store, kit_call(w), slot->bytes, lease, &w->found), APR_SUCCESS);
    EXPECT(w, kit_fetch(w, slot), APR_SUCCESS);
    while (!w->found.owner_dead && kit_clock() < until) {
        usleep(POLL_PAUSE);
        EXPECT(w, kit_fetch(w, slot), APR_SUCCESS);
    }
    CHECK(w->k, w->found.owner_dead);
}

void kit_expect_stands(worker *w, const char *file, int line, const kit_name *slot, idem_blob value)
{
    kit_expect(w, file, line, "fetch", kit_fetch(w, slot), APR_SUCCESS);
    if (!kit_same(w->found.value, value))
        kit_fail(w->k, file, line, "something else stands there (%lu bytes of state %d, not %lu of %d)",
                 (unsigned long)w->found.value.len,
                 w->found.value.len >= IDEM_HEAD_MIN ? (int)idem_value_state(w->found.value) : -1,
                 (unsigned long)value.len, (int)idem_value_state(value));
}

void kit_await_expiry(worker *w, const kit_name *slot, apr_time_t not_before)
{
    apr_time_t until = kit_clock() + EXPIRY_TIME;
    apr_status_t status;

    while ((status = kit_fetch(w, slot)) == APR_SUCCESS && kit_clock() < until) {
        apr_pool_clear(w->pool);
        usleep(POLL_PAUSE);
    }
    EXPECT(w, status, APR_NOTFOUND);
    if (kit_clock() < not_before)
        kit_fail(w->k, __FILE__, __LINE__, "expired %ld ms early", (long)((not_before - kit_clock()) / 1000));
}
