/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_locks.c - liveness and the lock between processes: what the kernel says when owners die, stop, fork and come
 * back.
 *
 * Children do their part, say so through a pipe, and are then killed or stopped; a pipe's end is how they wait, so none
 * outlives a failed test.
 */
#include "filelock.h"
#include "liveness.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static apr_pool_t *pool;
static char dir[] = "/tmp/test-locks-XXXXXX";
static const char *owners, *turn;

/* ---- children ---------------------------------------------------------------------------------------------------- */

typedef struct child {
    pid_t pid;
    int from, to; /* it writes a number into from; it ends when to is closed */
} child;

typedef apr_uint64_t child_part(void);

static child start(child_part *part)
{
    int up[2], down[2];
    child c;

    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        char wait;
        apr_uint64_t said = part();
        close(down[1]);
        if (write(up[1], &said, sizeof(said)) != sizeof(said))
            _exit(1);
        _exit(read(down[0], &wait, 1) == 1 ? 0 : 1); /* a word, not its end: other children hold the pipe too */
    }
    close(up[1]);
    close(down[0]);
    c.from = up[0];
    c.to = down[1];
    return c;
}

static apr_uint64_t said_by(const child *c)
{
    apr_uint64_t said = 0;
    assert_int_equal(read(c->from, &said, sizeof(said)), sizeof(said));
    return said;
}

static void end(child *c, int with)
{
    int status;
    if (with)
        assert_int_equal(kill(c->pid, with), 0);
    else
        assert_int_equal(write(c->to, "", 1), 1);
    close(c->to);
    close(c->from);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
}

static void stop(const child *c)
{
    int status;
    assert_int_equal(kill(c->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(c->pid, &status, WUNTRACED), c->pid);
    assert_true(WIFSTOPPED(status));
}

/* ---- liveness ---------------------------------------------------------------------------------------------------- */

static idem_liveness *take(void)
{
    idem_liveness *l = NULL;
    const char *why = NULL;
    if (idem_liveness_open(&l, owners, pool, &why) != APR_SUCCESS)
        abort();
    return l;
}

static apr_uint64_t owner_part(void)
{
    return idem_liveness_owner(take());
}

static void test_owner_lives_until_killed(void **unused)
{
    idem_liveness *mine = take();
    child other = start(owner_part);
    apr_uint64_t owner = said_by(&other);
    (void)unused;

    assert_true(owner != 0 && owner >> 62 == 0 && owner != idem_liveness_owner(mine));
    assert_true(idem_liveness_alive(mine, idem_liveness_owner(mine)));
    assert_true(idem_liveness_alive(mine, owner));
    stop(&other);
    assert_true(idem_liveness_alive(mine, owner));
    end(&other, SIGKILL);
    assert_false(idem_liveness_alive(mine, owner));
    idem_liveness_close(mine);
}

static void test_numbers_nobody_has_are_dead(void **unused)
{
    idem_liveness *mine = take();
    (void)unused;
    assert_false(idem_liveness_alive(mine, 0));
    assert_false(idem_liveness_alive(mine, 1));
    assert_false(idem_liveness_alive(mine, UINT64_MAX));
    assert_false(idem_liveness_alive(mine, (apr_uint64_t)1 << 62));
    idem_liveness_close(mine);
}

/* Somebody else in the process opens and closes the file: the lock stays, where the system has locks that can. */
static apr_uint64_t careless_part(void)
{
    apr_uint64_t owner = owner_part();
    int fd = open(owners, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    close(fd);
    return owner;
}

static void test_closing_another_descriptor_keeps_the_lock(void **unused)
{
    idem_liveness *mine = take();
    child other = start(careless_part);
    (void)unused;
    assert_true(idem_liveness_alive(mine, said_by(&other)));
    end(&other, SIGKILL);
    idem_liveness_close(mine);
}

/* Forks once more without exec, and that child lives on until the test kills it. */
static atomic_int *helper; /* its pid, when it has got so far that it runs */

static apr_uint64_t forking_part(void)
{
    apr_uint64_t owner = owner_part();
    if (fork() == 0) {
        alarm(60);
        atomic_store(helper, getpid());
        pause();
        _exit(0);
    }
    while (!atomic_load(helper))
        usleep(1000);
    return owner;
}

static void test_forked_child_does_not_keep_the_owner_alive(void **unused)
{
    idem_liveness *mine = take();
    child other;
    apr_uint64_t owner;
    (void)unused;
    helper = mmap(NULL, sizeof(*helper), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(helper != MAP_FAILED);
    other = start(forking_part);
    owner = said_by(&other);
    assert_true(idem_liveness_alive(mine, owner));
    end(&other, SIGKILL);
    assert_int_equal(kill(atomic_load(helper), 0), 0);
    assert_false(idem_liveness_alive(mine, owner));
    kill(atomic_load(helper), SIGKILL);
    munmap(helper, sizeof(*helper));
    idem_liveness_close(mine);
}

static void test_closing_ends_the_owner(void **unused)
{
    idem_liveness *mine = take(), *second = take();
    apr_uint64_t owner = idem_liveness_owner(second);
    (void)unused;
    assert_true(idem_liveness_alive(mine, owner));
    idem_liveness_close(second);
    assert_false(idem_liveness_alive(mine, owner));
    idem_liveness_close(mine);
}

static void test_any_sees_owners_and_takes_no_number(void **unused)
{
    child other;
    (void)unused;
    assert_false(idem_liveness_any(owners));
    assert_false(idem_liveness_any(apr_pstrcat(pool, dir, "/nothing", NULL)));
    other = start(owner_part);
    said_by(&other);
    assert_true(idem_liveness_any(owners));
    end(&other, SIGKILL);
    assert_false(idem_liveness_any(owners));
}

static void test_missing_file_is_no_owner(void **unused)
{
    idem_liveness *l;
    const char *why = NULL;
    (void)unused;
    assert_int_not_equal(idem_liveness_open(&l, apr_pstrcat(pool, dir, "/nothing", NULL), pool, &why), APR_SUCCESS);
    assert_non_null(strstr(why, "/nothing"));
}

/* ---- the lock between processes ---------------------------------------------------------------------------------- */

static apr_time_t in(apr_interval_time_t milliseconds)
{
    return apr_time_now() + milliseconds * 1000;
}

static idem_filelock *open_turn(void)
{
    idem_filelock *l = NULL;
    const char *why = NULL;
    if (idem_filelock_open(&l, turn, in(5000), pool, &why) != APR_SUCCESS)
        abort();
    return l;
}

static apr_uint64_t holding_part(void)
{
    return (apr_uint64_t)idem_filelock_acquire(open_turn(), in(5000));
}

static void test_lock_is_exclusive_and_timed(void **unused)
{
    idem_filelock *mine = open_turn();
    child other = start(holding_part);
    apr_time_t before;
    (void)unused;

    assert_int_equal(said_by(&other), APR_SUCCESS);
    before = apr_time_now();
    assert_int_equal(idem_filelock_acquire(mine, in(100)), APR_TIMEUP);
    assert_true(apr_time_now() - before >= 99000);
    assert_int_equal(idem_filelock_acquire(mine, apr_time_now() - 1), APR_TIMEUP);
    stop(&other);
    assert_int_equal(idem_filelock_acquire(mine, in(100)), APR_TIMEUP);
    end(&other, SIGKILL);
    assert_int_equal(idem_filelock_acquire(mine, in(5000)), APR_SUCCESS); /* inherited from the dead */
    idem_filelock_release(mine);
    assert_int_equal(idem_filelock_acquire(mine, in(5000)), APR_SUCCESS); /* and whole again */
    idem_filelock_release(mine);
    idem_filelock_close(mine);
}

/* After a crash of everyone the file says locked, as it would after a reboot: nobody is left to inherit from. */
static void test_nothing_stale_is_believed(void **unused)
{
    child other = start(holding_part);
    idem_filelock *mine;
    int fd;
    (void)unused;

    assert_int_equal(said_by(&other), APR_SUCCESS);
    end(&other, SIGKILL);
    fd = open(turn, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    for (off_t at = 16; at < 4096; at += 8)
        assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, at), 8);
    close(fd);
    mine = open_turn();
    assert_int_equal(idem_filelock_acquire(mine, in(5000)), APR_SUCCESS);
    idem_filelock_release(mine);
    idem_filelock_close(mine);
}

static void test_other_layout_is_refused_while_in_use(void **unused)
{
    idem_filelock *mine = open_turn(), *second;
    const char *why = NULL;
    int fd = open(turn, O_RDWR | O_CLOEXEC);
    (void)unused;

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "IDEM-LOCK 9", 12, 0), 12);
    assert_int_not_equal(idem_filelock_open(&second, turn, in(1000), pool, &why), APR_SUCCESS);
    assert_non_null(strstr(why, "another version"));
    close(fd);
    idem_filelock_close(mine);
    mine = open_turn(); /* nobody uses it any more: made anew */
    idem_filelock_close(mine);
}

#define ADDS 2000

static apr_uint64_t counting_part(void)
{
    idem_filelock *l = open_turn();
    int fd = open(apr_pstrcat(pool, dir, "/count", NULL), O_RDWR | O_CLOEXEC);
    for (int i = 0; i < ADDS; i++) {
        long n = 0;
        if (idem_filelock_acquire(l, in(30000)) != APR_SUCCESS)
            abort();
        if (pread(fd, &n, sizeof(n), 0) < 0)
            abort();
        n++;
        if (pwrite(fd, &n, sizeof(n), 0) != sizeof(n))
            abort();
        idem_filelock_release(l);
    }
    return ADDS;
}

static void test_it_excludes(void **unused)
{
    child c[3];
    long n = 0;
    int fd = open(apr_pstrcat(pool, dir, "/count", NULL), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    (void)unused;
    for (int i = 0; i < 3; i++)
        c[i] = start(counting_part);
    for (int i = 0; i < 3; i++)
        assert_int_equal(said_by(&c[i]), ADDS);
    for (int i = 2; i >= 0; i--) /* each has inherited the pipes of those before it */
        end(&c[i], 0);
    assert_int_equal(pread(fd, &n, sizeof(n), 0), sizeof(n));
    assert_int_equal(n, 3 * ADDS);
    close(fd);
}

/* ---- */

static int begin(void **unused)
{
    (void)unused;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS || !mkdtemp(dir))
        return -1;
    owners = apr_pstrcat(pool, dir, "/owners.lock", NULL);
    turn = apr_pstrcat(pool, dir, "/write.lock", NULL);
    return idem_liveness_create(owners) == APR_SUCCESS && idem_filelock_create(turn) == APR_SUCCESS ? 0 : -1;
}

static int finish(void **unused)
{
    (void)unused;
    unlink(owners);
    unlink(turn);
    unlink(apr_pstrcat(pool, dir, "/count", NULL));
    rmdir(dir);
    apr_pool_destroy(pool);
    apr_terminate();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner_lives_until_killed),
        cmocka_unit_test(test_numbers_nobody_has_are_dead),
        cmocka_unit_test(test_closing_another_descriptor_keeps_the_lock),
        cmocka_unit_test(test_forked_child_does_not_keep_the_owner_alive),
        cmocka_unit_test(test_closing_ends_the_owner),
        cmocka_unit_test(test_any_sees_owners_and_takes_no_number),
        cmocka_unit_test(test_missing_file_is_no_owner),
        cmocka_unit_test(test_lock_is_exclusive_and_timed),
        cmocka_unit_test(test_nothing_stale_is_believed),
        cmocka_unit_test(test_other_layout_is_refused_while_in_use),
        cmocka_unit_test(test_it_excludes),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
