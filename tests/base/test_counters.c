/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_counters.c - counts are exact among processes, and the table never grows.
 */
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "counters.h"
#include "digest.h"

#define SECOND APR_INT64_C(1000000)
static const idem_counter_rule three = {3, 10 * SECOND};

static idem_counters *new_table(void)
{
    void *place = mmap(NULL, sizeof(idem_counters), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(place, MAP_FAILED);
    return place;
}

static void drop_table(idem_counters *table)
{
    assert_int_equal(munmap(table, sizeof *table), 0);
}

static void name_of(uint32_t number, unsigned char name[IDEM_COUNTER_NAME])
{
    assert_int_equal(idem_digest_of(NULL, idem_blob_of(&number, sizeof number), name), APR_SUCCESS);
}

static void a_period_has_room_for_so_many(void **state)
{
    idem_counters *table = new_table();
    unsigned char a[IDEM_COUNTER_NAME], b[IDEM_COUNTER_NAME];
    apr_int64_t ends, first;

    (void)state;
    name_of(1, a);
    name_of(2, b);
    assert_int_equal(idem_counters_full(table, a, &three, SECOND), 0);
    assert_int_equal(idem_counters_take(table, a, &three, SECOND, &first), 0);
    assert_int_equal(first, 11 * SECOND);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(idem_counters_take(table, a, &three, 2 * SECOND, &ends), 0);
        assert_int_equal(ends, first);
    }
    assert_int_equal(idem_counters_take(table, a, &three, 4 * SECOND, &ends), 7 * SECOND);
    assert_int_equal(ends, 0);
    assert_int_equal(idem_counters_full(table, a, &three, 5 * SECOND), 6 * SECOND);
    assert_int_equal(idem_counters_full(table, b, &three, 5 * SECOND), 0);
    assert_int_equal(idem_counters_take(table, b, &three, 5 * SECOND, &ends), 0);
    assert_int_equal(ends, 15 * SECOND);
    assert_int_equal(idem_counters_full(table, a, &three, 11 * SECOND), 0);
    assert_int_equal(idem_counters_take(table, a, &three, 12 * SECOND, &ends), 0);
    assert_int_equal(ends, 22 * SECOND);
    drop_table(table);
}

static void what_is_given_back_makes_room_in_its_own_period(void **state)
{
    idem_counters *table = new_table();
    unsigned char a[IDEM_COUNTER_NAME];
    apr_int64_t first, ends;

    (void)state;
    name_of(1, a);
    for (int i = 0; i < 3; i++)
        assert_int_equal(idem_counters_take(table, a, &three, SECOND, &first), 0);
    idem_counters_give_back(table, a, first, SECOND);
    assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 0);
    assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 10 * SECOND);

    for (int i = 0; i < 3; i++) /* the next period */
        assert_int_equal(idem_counters_take(table, a, &three, 20 * SECOND, &ends), 0);
    idem_counters_give_back(table, a, first, 20 * SECOND);
    assert_int_equal(idem_counters_full(table, a, &three, 20 * SECOND), 10 * SECOND);
    for (int i = 0; i < 9; i++) /* never below none */
        idem_counters_give_back(table, a, ends, 20 * SECOND);
    for (int i = 0; i < 3; i++)
        assert_int_equal(idem_counters_take(table, a, &three, 20 * SECOND, &ends), 0);
    assert_int_equal(idem_counters_take(table, a, &three, 20 * SECOND, &ends), 10 * SECOND);
    drop_table(table);
}

/* Twice as many as there is room for: the later half is counted, the table is where it was. */
static void where_there_is_no_room_the_oldest_period_goes(void **state)
{
    const uint32_t many = 2 * IDEM_COUNTERS_BUCKETS * IDEM_COUNTERS_WAYS;
    const idem_counter_rule one = {1, 1000000 * SECOND};
    idem_counters *table = new_table();
    unsigned char name[IDEM_COUNTER_NAME];
    apr_int64_t ends;
    int counted = 0;

    (void)state;
    for (uint32_t i = 0; i < many; i++) {
        name_of(i, name);
        assert_int_equal(idem_counters_take(table, name, &one, i + 1, &ends), 0);
        assert_int_not_equal(idem_counters_full(table, name, &one, i + 1), 0);
    }
    for (uint32_t i = 0; i < many; i++) {
        name_of(i, name);
        counted += idem_counters_full(table, name, &one, many) != 0;
    }
    assert_true(counted > (int)many / 2 * 9 / 10 && counted <= (int)many / 2);
    name_of(0, name);
    assert_int_equal(idem_counters_full(table, name, &one, many), 0);
    drop_table(table);
}

static void take_as_many_as_there_are(idem_counters *table, const idem_counter_rule *rule)
{
    unsigned char name[IDEM_COUNTER_NAME];
    apr_int64_t ends;
    int got = 0;

    name_of(7, name);
    for (int i = 0; i < 1000; i++)
        got += idem_counters_take(table, name, rule, SECOND, &ends) == 0;
    _exit(got / 8); /* an exit code holds no more */
}

static void processes_share_a_count(void **state)
{
    const idem_counter_rule rule = {1600, SECOND};
    idem_counters *table = new_table();
    unsigned char name[IDEM_COUNTER_NAME];
    int status;

    (void)state;
    for (int i = 0; i < 4; i++)
        if (fork() == 0)
            take_as_many_as_there_are(table, &rule);
    for (int i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status));
    }
    name_of(7, name);
    assert_int_equal(idem_counters_full(table, name, &rule, SECOND), SECOND);
    for (int b = 0; b < IDEM_COUNTERS_BUCKETS; b++)
        for (int i = 0; i < IDEM_COUNTERS_WAYS; i++)
            if (table->buckets[b].counters[i].ends)
                assert_int_equal(table->buckets[b].counters[i].count, 1600);
    drop_table(table);
}

static pid_t dead_process(void)
{
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    return child;
}

static void hold_all_buckets(idem_counters *table, pid_t holder)
{
    for (int b = 0; b < IDEM_COUNTERS_BUCKETS; b++)
        table->buckets[b].holder = (apr_uint32_t)holder;
}

static void a_process_that_died_with_the_lock_holds_nobody(void **state)
{
    idem_counters *table = new_table();
    unsigned char a[IDEM_COUNTER_NAME];
    apr_int64_t ends;

    (void)state;
    name_of(1, a);
    hold_all_buckets(table, dead_process());
    for (int i = 0; i < 3; i++)
        assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 0);
    assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 10 * SECOND);
    drop_table(table);
}

static void a_process_that_is_stopped_with_the_lock_holds_nobody(void **state)
{
    idem_counters *table = new_table();
    unsigned char a[IDEM_COUNTER_NAME];
    apr_int64_t ends = 1;

    (void)state;
    name_of(1, a);
    hold_all_buckets(table, getpid()); /* alive, and never letting go */
    assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 0);
    assert_int_equal(ends, 0); /* not counted */
    assert_int_equal(idem_counters_full(table, a, &three, SECOND), 0);
    idem_counters_give_back(table, a, 11 * SECOND, SECOND);
    hold_all_buckets(table, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(idem_counters_take(table, a, &three, SECOND, &ends), 0);
    drop_table(table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_period_has_room_for_so_many),
        UNIT(what_is_given_back_makes_room_in_its_own_period),
        UNIT(where_there_is_no_room_the_oldest_period_goes),
        UNIT(processes_share_a_count),
        UNIT(a_process_that_died_with_the_lock_holds_nobody),
        UNIT(a_process_that_is_stopped_with_the_lock_holds_nobody),
    };

    return cmocka_run_group_tests_name("counters", tests, NULL, NULL);
}
