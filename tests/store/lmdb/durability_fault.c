/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_fault.c - writes that fail, hang, or stop with their process: an honest answer by the deadline, and a
 * store that works again as soon as the disk does.
 */
#include "durability_kit.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define FAMILY 21
#define PATIENCE 300000             /* microseconds */
#define LATE (2 * APR_USEC_PER_SEC) /* beyond it: slowness of the machine */

static const char *const options[] = {"size=16M", NULL};

enum { READY, STOP, ASK };

/* ---- a process stopped in the middle of its commit --------------------------------------------------------------- */

/* Writes one record, then stops itself before the flush of the next. */
static void stopping_job(worker *w)
{
    kit_name kept = kit_slot(FAMILY, 1), token = kit_token(FAMILY, 1), slot = kit_slot(FAMILY, 2);

    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &kept, &token), APR_SUCCESS);
    kit_open_gate(w->k, READY);
    kit_pass_gate(w->k, STOP);
    atomic_store(&durability_find()->stop_flush, 1);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
}

/* What needs to write is told so in time; what needs only to read is not even slow. */
static void ask_while_stopped(worker *w)
{
    const idem_driver *d = w->k->driver;
    kit_name kept = kit_slot(FAMILY, 1), fresh = kit_slot(FAMILY, 3), token = kit_token(FAMILY, 3);
    idem_blob lease = kit_small(w, IDEM_STATE_LEASE, &fresh, &token);
    apr_time_t asked = kit_clock();

    kit_call(w)->deadline = apr_time_now() + PATIENCE;
    EXPECT(w, d->claim(w->store, &w->call, fresh.bytes, lease, &w->found), APR_TIMEUP);
    EXPECT_SAYS(w->k, w->call.why, "stopped");
    CHECK(w->k, kit_clock() - asked >= PATIENCE - 1000);
    CHECK(w->k, kit_clock() - asked < PATIENCE + LATE);

    kit_call(w)->deadline = apr_time_now() + PATIENCE;
    EXPECT(w, d->fetch(w->store, &w->call, kept.bytes, &w->found), APR_SUCCESS);
    EXPECT(w, d->fetch(w->store, &w->call, fresh.bytes, &w->found), APR_NOTFOUND);
    EXPECT(w, d->claim(w->store, &w->call, kept.bytes, kit_small(w, IDEM_STATE_LEASE, &kept, &token), &w->found),
           APR_EEXIST);
}

static void waiting_job(worker *w)
{
    kit_name fresh = kit_slot(FAMILY, 3), token = kit_token(FAMILY, 3);

    kit_open_gate(w->k, READY);
    kit_pass_gate(w->k, ASK);
    ask_while_stopped(w);
    kit_open_gate(w->k, READY);
    kit_pass_gate(w->k, ASK);
    EXPECT(w, kit_claim(w, &fresh, &token), APR_SUCCESS);
}

/* A restart, and a process that starts, while the writer is stopped: neither hangs. */
static void start_meanwhile(kit *k)
{
    idem_store *before = k->store;
    const char *why = NULL;
    apr_time_t asked = kit_clock();

    disk_open_well(k);
    EXPECT_SAYS(k, k->store->warning, "could not be checked");
    if (k->driver->attach(k->store, k->pool, &why) != APR_TIMEUP)
        kit_fail(k, __FILE__, __LINE__, "attached while the writer was stopped");
    EXPECT_SAYS(k, why, "stopped");
    CHECK(k, kit_clock() - asked < 20 * APR_USEC_PER_SEC);
    k->store = before;
}

static void await_stop(kit *k, pid_t pid)
{
    int status;
    CHECK(k, waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
}

/* then: SIGCONT or SIGKILL. */
static void stopped(kit *k, int then)
{
    pid_t writer, waiter;

    disk_open_well(k);
    writer = kit_start(k, 0, stopping_job, NULL);
    kit_pass_gate(k, READY);
    waiter = kit_start(k, 1, waiting_job, NULL);
    kit_pass_gate(k, READY);
    kit_open_gate(k, STOP);
    await_stop(k, writer);
    kit_open_gate(k, ASK);
    kit_pass_gate(k, READY);
    if (then == SIGKILL) {
        start_meanwhile(k);
        kit_kill(k, writer);
    }
    else
        kit_signal(k, writer, then);
    kit_open_gate(k, ASK);
    kit_join(k, waiter);
    if (then != SIGKILL)
        kit_join(k, writer);
}

static void stopped_case(kit *k)
{
    disk_use(k, "fault-stopped", options);
    stopped(k, SIGCONT);
}

static void killed_case(kit *k)
{
    disk_use(k, "fault-killed", options);
    stopped(k, SIGKILL);
}

/* ---- a disk that errs -------------------------------------------------------------------------------------------- */

/* One failure of one kind; the answer is no success, what stood stands, and the next call works. */
static void fail_once(worker *w, atomic_int *what, int error, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    apr_time_t until = kit_clock() + 5 * APR_USEC_PER_SEC;
    apr_status_t status;

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    atomic_store(&durability_find()->error, error);
    atomic_store(what, 1);
    status = kit_settle(w, IDEM_STATE_RECORD, &slot, &token);
    CHECK(w->k, status != APR_SUCCESS && status != IDEM_ELOST && status != APR_NOTFOUND);
    CHECK(w->k, w->call.why != NULL);
    CHECK_NUMBER(w->k, atomic_load(what), 0);

    while ((status = kit_fetch(w, &slot)) != APR_SUCCESS && kit_clock() < until)
        apr_sleep(20000); /* it is opened again at most once a second */
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_LEASE, &slot, &token));
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_RECORD, &slot, &token));
}

/* A call that was interrupted is made again, and nobody notices. */
static void interrupt_once(worker *w, atomic_int *what, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    atomic_store(&durability_find()->error, EINTR);
    atomic_store(what, 1);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    CHECK_NUMBER(w->k, atomic_load(what), 0);
}

static void error_job(worker *w)
{
    durability *d = durability_find();

    fail_once(w, &d->fail_write, EIO, 10);
    fail_once(w, &d->fail_flush, EIO, 11);
    fail_once(w, &d->fail_meta, EIO, 12); /* the one that makes LMDB give up its environment */
    fail_once(w, &d->fail_meta, EIO, 13);
    interrupt_once(w, &d->fail_write, 14);
    interrupt_once(w, &d->fail_flush, 15);
    interrupt_once(w, &d->fail_meta, 16);
}

static void after_errors_job(worker *w)
{
    for (unsigned long number = 10; number < 17; number++) {
        kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
        EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
        CHECK_NUMBER(w->k, idem_value_state(w->found.value), IDEM_STATE_RECORD);
        EXPECT(w, kit_claim(w, &slot, &token), APR_EEXIST);
    }
}

static void error_case(kit *k)
{
    disk_use(k, "fault-error", options);
    disk_open_well(k);
    kit_alone(k, error_job, NULL);
    disk_open_well(k); /* nothing of it damaged the file */
    kit_alone(k, after_errors_job, NULL);
}

/* ---- a file system without room ---------------------------------------------------------------------------------- */

static void no_space_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 20), other = kit_slot(FAMILY, 21), token = kit_token(FAMILY, 20);
    durability *d = durability_find();

    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    atomic_store(&d->error, ENOSPC);
    atomic_store(&d->fail_write, -1);
    EXPECT(w, kit_claim(w, &other, &token), IDEM_EFULL);
    EXPECT_SAYS(w->k, w->call.why, "make room on its file system");
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), IDEM_EFULL);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_LEASE, &slot, &token));
    EXPECT(w, kit_fetch(w, &other), APR_NOTFOUND);
    atomic_store(&d->fail_write, 0);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &other, &token), APR_SUCCESS);
}

static void no_space_case(kit *k)
{
    disk_use(k, "fault-space", options);
    disk_open_well(k);
    kit_alone(k, no_space_job, NULL);
}

/* A transaction that does not fit is tried member by member: nobody pays for another. */
static void group_without_space_job(worker *w)
{
    unsigned long number = 100 + (unsigned long)w->number;
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);

    if (w->number == 0) {
        atomic_store(&durability_find()->error, ENOSPC);
        atomic_store(&durability_find()->fail_write, 1);
    }
    pthread_barrier_wait(&w->k->shared->barrier);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), APR_SUCCESS);
    EXPECT_STANDS(w, &slot, kit_small(w, IDEM_STATE_RECORD, &slot, &token));
}

static void group_without_space_case(kit *k)
{
    disk_use(k, "fault-group", options);
    disk_open_well(k);
    kit_together(k, 1, 8, group_without_space_job, NULL);
}

/* ---- a flush that takes too long --------------------------------------------------------------------------------- */

/* The first thread is held in its flush while the others' deadlines pass. */
#define PATIENT 0
#define CONDUCTOR 1

static void settle_by(worker *w, const kit_name *slot, apr_time_t patience, apr_status_t *status)
{
    kit_name token = kit_token(FAMILY, 200);
    idem_blob record = kit_small(w, IDEM_STATE_RECORD, slot, &token);

    kit_call(w)->deadline = apr_time_now() + patience;
    *status = w->k->driver->settle(w->store, &w->call, slot->bytes, record);
}

static void await_held(kit *k, long held)
{
    for (int i = 0; atomic_load(&durability_find()->held) < held; i++) {
        CHECK(k, i < 20000);
        apr_sleep(1000);
    }
}

static void slow_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 200 + (unsigned long)w->number), after = kit_slot(FAMILY, 250);
    durability *d = durability_find();
    apr_status_t status;

    if (w->number == PATIENT)
        atomic_store(&d->hold_flush, 1);
    pthread_barrier_wait(&w->k->shared->barrier);
    if (w->number == PATIENT) {
        settle_by(w, &slot, KIT_CALL_TIME, &status);
        EXPECT(w, status, APR_SUCCESS); /* a leader brings its own commit home, however late */
        pthread_barrier_wait(&w->k->shared->barrier);
        EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &after, &after),
               APR_SUCCESS); /* would carry out what had been left behind */
        return;
    }
    await_held(w->k, 1);
    settle_by(w, &slot, PATIENCE, &status);
    EXPECT(w, status, APR_TIMEUP);
    EXPECT_SAYS(w->k, w->call.why, "nothing was written");
    if (atomic_fetch_add(&w->k->shared->counter[0], 1) == 2)
        atomic_store(&d->release, 1);
    pthread_barrier_wait(&w->k->shared->barrier);
}

static void nothing_written_job(worker *w)
{
    for (unsigned long number = 201; number < 204; number++) {
        kit_name slot = kit_slot(FAMILY, number);
        EXPECT(w, kit_fetch(w, &slot), APR_NOTFOUND);
    }
}

static void queue_timeout_case(kit *k)
{
    disk_use(k, "fault-queue", options);
    disk_open_well(k);
    kit_together(k, 1, 4, slow_job, NULL);
    kit_alone(k, nothing_written_job, NULL);
}

/*
 * Two flushes are held one after another while deadlines pass: in the queue, which is certain, or after the second
 * flush has begun, which is not. Whichever it was for whom, the sentence must be true.
 */
static void truthful_job(worker *w)
{
    kit_name slot = kit_slot(FAMILY, 300 + (unsigned long)w->number);
    durability *d = durability_find();
    apr_status_t status;

    if (w->number == PATIENT) {
        atomic_store(&d->hold_flush, 1);
        settle_by(w, &slot, KIT_CALL_TIME, &status);
        EXPECT(w, status, APR_SUCCESS);
        return;
    }
    await_held(w->k, 1);
    if (w->number == CONDUCTOR) {
        atomic_store(&d->hold_flush, 1); /* the next one too, which carries the rest out */
        apr_sleep(PATIENCE / 2);
        atomic_store(&d->release, 1);
        await_held(w->k, 2);
        apr_sleep(PATIENCE);
        atomic_store(&d->release, 1);
        return;
    }
    settle_by(w, &slot, w->number == 2 ? KIT_CALL_TIME : PATIENCE, &status);
    if (status == APR_TIMEUP)
        CHECK(w->k, strstr(w->call.why, "nothing was written") || strstr(w->call.why, "may yet be done"));
    else
        EXPECT(w, status, APR_SUCCESS);
    atomic_store(&w->k->shared->counter[w->number], status != APR_TIMEUP || strstr(w->call.why, "may yet be done"));
}

static void truth_job(worker *w)
{
    for (int number = 2; number < 6; number++) {
        kit_name slot = kit_slot(FAMILY, 300 + (unsigned long)number);
        EXPECT(w, kit_fetch(w, &slot), atomic_load(&w->k->shared->counter[number]) ? APR_SUCCESS : APR_NOTFOUND);
    }
}

static void truthful_case(kit *k)
{
    disk_use(k, "fault-truth", options);
    disk_open_well(k);
    kit_together(k, 1, 6, truthful_job, NULL);
    kit_alone(k, truth_job, NULL);
}

const kit_case durability_cases_fault[] = {
    {"a writer stopped in its commit: writes time out by their deadline, reads go on, and all is well after", 0,
     stopped_case},
    {"a writer stopped in its commit and killed: restarts do not hang, and all is well at once", 0, killed_case},
    {"a failed write, flush or meta page is no success, damages nothing, and the next call works", 0, error_case},
    {"a full file system refuses with the cure and works again when there is room", 0, no_space_case},
    {"a group that finds no room is carried out one by one", 0, group_without_space_case},
    {"who times out in the queue has written nothing", 0, queue_timeout_case},
    {"who times out is told the truth about what may yet be done", 0, truthful_case},
    {NULL, 0, NULL},
};
