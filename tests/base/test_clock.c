/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_clock.c - the store's clock: however the wall clock is set, it never jumps, never runs backwards, and never
 * makes a time to live shorter than IDEM_CLOCK_LEAN says.
 */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SECOND APR_USEC_PER_SEC
#define HOUR (3600 * SECOND)
#define START (1000000 * SECOND)

static idem_clock_state started(void)
{
    idem_clock_state s = {START, 0, START};
    return s;
}

static void test_follows_a_good_clock(void **unused)
{
    idem_clock_state s = started();
    (void)unused;
    for (apr_time_t t = 0; t < HOUR; t += 1234567)
        assert_int_equal(idem_clock_step(&s, START + t, t), START + t);
}

static void test_jump_forwards_is_leant_into(void **unused)
{
    idem_clock_state s = started();
    apr_time_t caught_up = HOUR * IDEM_CLOCK_LEAN;
    (void)unused;
    for (apr_time_t t = SECOND; t <= caught_up; t += SECOND)
        assert_int_equal(idem_clock_step(&s, START + HOUR + t, t), START + t + t / IDEM_CLOCK_LEAN);
    for (apr_time_t t = caught_up; t < caught_up + HOUR; t += SECOND)
        assert_int_equal(idem_clock_step(&s, START + HOUR + t, t), START + HOUR + t);
}

/* Looks closer together than the lean can be counted in must not lose it. */
static void test_lean_survives_many_looks(void **unused)
{
    idem_clock_state s = started();
    apr_time_t now = 0;
    (void)unused;
    for (apr_time_t t = 1; t <= SECOND; t += 3)
        now = idem_clock_step(&s, START + HOUR, t);
    assert_true(now >= START + SECOND + SECOND / IDEM_CLOCK_LEAN - 2000);
    assert_true(now <= START + SECOND + SECOND / IDEM_CLOCK_LEAN);
}

static void test_jump_backwards_is_ignored(void **unused)
{
    idem_clock_state s = started();
    (void)unused;
    for (apr_time_t t = 0; t < HOUR; t += SECOND)
        assert_int_equal(idem_clock_step(&s, START - HOUR + t, t), START + t);
}

static void test_never_backwards_whatever_the_wall_does(void **unused)
{
    idem_clock_state s = started();
    apr_time_t before = START, uptime = 0;
    apr_uint64_t x = 1;
    (void)unused;
    for (int i = 0; i < 100000; i++) {
        apr_time_t now, passed;
        x = x * 6364136223846793005ULL + 1442695040888963407ULL;
        passed = (apr_time_t)(x >> 33) % (2 * SECOND);
        if (x >> 62 == 0)
            passed %= 700; /* below what moves the anchor */
        uptime += passed;
        now = idem_clock_step(&s, START + (apr_time_t)(x >> 20) - (apr_time_t)1 * HOUR, uptime);
        assert_true(now >= before);
        assert_true(now - START <= uptime + uptime / IDEM_CLOCK_LEAN);
        assert_true(now - START >= uptime);
        before = now;
    }
}

static void test_another_process_is_further(void **unused)
{
    idem_clock clock;
    apr_time_t now;
    (void)unused;
    idem_clock_start(&clock, START);
    assert_true(idem_clock_now(&clock) >= START);
    idem_clock_raise(&clock, START + HOUR);
    now = idem_clock_now(&clock);
    assert_true(now >= START + HOUR);
    idem_clock_raise(&clock, START); /* behind: changes nothing */
    assert_true(idem_clock_now(&clock) >= now);
    idem_clock_stop(&clock);
}

static void test_boot_has_a_name(void **unused)
{
    char one[IDEM_BOOT_ID_LEN + 1], two[IDEM_BOOT_ID_LEN + 1];
    (void)unused;
    if (idem_clock_boot_id(one) != APR_SUCCESS)
        skip();
    assert_int_equal(idem_clock_boot_id(two), APR_SUCCESS);
    assert_string_equal(one, two);
    assert_int_equal(strlen(one), IDEM_BOOT_ID_LEN);
}

static void test_deadline_is_as_far_as_it_says(void **unused)
{
    struct timespec before, at, after;
    apr_time_t far;
    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &before);
    at = idem_clock_deadline(apr_time_now() + 10 * SECOND);
    clock_gettime(CLOCK_MONOTONIC, &after);
    far = (apr_time_t)(at.tv_sec - before.tv_sec) * SECOND + (at.tv_nsec - before.tv_nsec) / 1000;
    assert_true(far >= 10 * SECOND - 2); /* rounded to microseconds twice */
    far = (apr_time_t)(at.tv_sec - after.tv_sec) * SECOND + (at.tv_nsec - after.tv_nsec) / 1000;
    assert_true(far <= 10 * SECOND);

    at = idem_clock_deadline(apr_time_now() - 10 * SECOND); /* over: now, not the past */
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(at.tv_sec >= before.tv_sec && at.tv_sec <= after.tv_sec);
    assert_true(at.tv_nsec >= 0 && at.tv_nsec < 1000000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_follows_a_good_clock),
        cmocka_unit_test(test_jump_forwards_is_leant_into),
        cmocka_unit_test(test_lean_survives_many_looks),
        cmocka_unit_test(test_jump_backwards_is_ignored),
        cmocka_unit_test(test_never_backwards_whatever_the_wall_does),
        cmocka_unit_test(test_another_process_is_further),
        cmocka_unit_test(test_boot_has_a_name),
        cmocka_unit_test(test_deadline_is_as_far_as_it_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
