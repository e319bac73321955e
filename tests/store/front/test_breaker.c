/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_breaker.c - the breaker before a store's driver: when it opens, who is let through meanwhile, and when it
 * closes.
 */
#include "watched.h"

#include "bytes.h"
#include "threads.h"

/* Claims until it is not refused. */
static apr_status_t claim_at_last(bench *b)
{
    apr_interval_time_t until = idem_monotonic() + PATIENCE;
    apr_status_t rv;

    while ((rv = claim(b)) == IDEM_EDOWN && idem_monotonic() < until)
        apr_sleep(apr_time_from_msec(5));
    return rv;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void test_failures_in_a_row_open_it(void **state)
{
    bench *b = *state;

    idem_front_let_probe(b->front, 1);
    open_it(b);
    assert_int_equal(told.opened, 1);
    assert_string_equal(told.last.reason, "5 calls in a row failed: nobody is at home");
    b->observed = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(claim(b), IDEM_EDOWN);
        assert_string_equal(b->why, "5 calls in a row failed: nobody is at home");
    }
    assert_int_equal(count.calls, 0);
    assert_int_equal(b->observed, 10); /* a refused call is told as well */
    assert_int_equal(health_of(b).refused, 10);
    assert_int_equal(health_of(b).failed, FAILURES);
    assert_int_equal(told.opened, 1);
}

static void test_an_answer_in_between_starts_anew(void **state)
{
    bench *b = *state;

    for (int round = 0; round < 3; round++) {
        fail_always(NULL);
        for (int i = 1; i < FAILURES; i++)
            assert_int_equal(claim(b), APR_ECONNREFUSED);
        mend_it();
        assert_int_equal(claim(b), APR_SUCCESS);
    }
    assert_state(b, CLOSED);
    assert_int_equal(told.opened, 0);
}

static void test_refusals_are_answers(void **state)
{
    static const apr_status_t refusals[] = {IDEM_EFULL, IDEM_ELOST, IDEM_EALIVE, APR_NOTFOUND, APR_EEXIST};
    bench *b = *state;

    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        plan.always = refusals[i];
        for (int n = 0; n <= FAILURES; n++)
            assert_int_equal(idem_front_renew(b->front, &b->head, b->pool, &b->why), refusals[i]);
    }
    assert_int_equal(health_of(b).failed, 0);
}

/* A driver that has nothing to sweep, or sees that a value is too large, has not asked its store. */
static void test_what_the_store_was_not_asked_says_nothing(void **state)
{
    bench *b = *state;
    int removed;

    fail_always(NULL);
    for (int i = 1; i < FAILURES; i++)
        assert_int_equal(claim(b), APR_ECONNREFUSED);
    plan.always = APR_ENOTIMPL;
    assert_int_equal(idem_front_sweep(b->front, 10, b->pool, &removed, &b->why), APR_SUCCESS);
    plan.always = IDEM_ETOOBIG;
    assert_int_equal(claim(b), IDEM_ETOOBIG);
    assert_state(b, CLOSED);
    fail_always(NULL);
    assert_int_equal(claim(b), APR_ECONNREFUSED);
    assert_state(b, OPEN);
}

/* ---- looking whether it is back ---------------------------------------------------------------------------------- */

static void test_after_a_pause_one_call_is_let_through(void **state)
{
    bench *b = *state;

    open_it(b);
    assert_int_equal(claim_at_last(b), APR_ECONNREFUSED);
    mend_it();
    assert_int_equal(claim_at_last(b), APR_SUCCESS);
    assert_state(b, CLOSED);
    assert_int_equal(told.opened, 1);
    assert_int_equal(told.closed, 1);
    assert_true(told.last.before > 0);
    assert_int_equal(told.last.opened, 1);
    count.calls = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(count.calls, 3);
}

static void test_where_others_look_no_caller_does(void **state)
{
    bench *b = *state;

    idem_front_let_probe(b->front, 1);
    open_it(b);
    apr_sleep(PAST_PAUSE);
    mend_it();
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(count.calls, 0);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    assert_state(b, CLOSED);
    assert_int_equal(claim(b), APR_SUCCESS);
}

/* A part of the store may answer, and readers may be answered where writers are not. */
static void test_a_probe_reads_the_slot_in_trouble_and_settles(void **state)
{
    bench *b = *state;

    idem_front_let_probe(b->front, 1);
    open_it(b);
    apr_sleep(PAST_PAUSE);
    plan.reads = 1;
    assert_true(idem_front_probe(b->front, 0, b->pool) > 0);
    assert_memory_equal(count.fetched, b->head.slot, IDEM_SLOT_LEN);
    assert_int_equal(count.calls, 2);
    assert_state(b, OPEN);
    mend_it();
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    assert_int_equal(count.calls, 4);
    assert_int_equal(claim(b), APR_SUCCESS); /* nothing stands there that was not there before */
}

/* ---- readers that wait for nobody -------------------------------------------------------------------------------- */

static void test_free_readers_are_answered_while_it_is_open(void **state)
{
    bench *b = *state;
    idem_head other = head_for(b, 1);

    idem_front_let_probe(b->front, 1);
    assert_int_equal(claim(b), APR_SUCCESS);
    plan.reads = 1;
    fail_always(NULL);
    b->head = head_for(b, 2);
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(claim(b), APR_ECONNREFUSED);
        assert_int_equal(idem_front_fetch(b->front, other.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    }
    assert_state(b, OPEN); /* what was read says nothing about what can be written */
    assert_int_equal(idem_front_claim(b->front, &other, b->pool, &b->seen, &b->why), APR_EEXIST);
    assert_int_equal(b->seen.head.state, IDEM_STATE_LEASE);
    assert_memory_equal(b->seen.head.slot, other.slot, IDEM_SLOT_LEN);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_non_null(strstr(b->why, "calls in a row failed"));
    assert_int_equal(idem_front_fetch(b->front, other.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_state(b, OPEN);
}

static int set_up_free_readers(void **state)
{
    int rv = set_up(state);

    memset(&told, 0, sizeof(told));
    plan.flags = IDEM_READS_FREE;
    if (rv == 0)
        open_and_attach(*state);
    return rv;
}

/* ---- parts that fail one by one ---------------------------------------------------------------------------------- */

static idem_breaker_state state_of_part(bench *b, int part)
{
    idem_health health;

    idem_front_part_health(b->front, part, &health);
    assert_int_equal(health.part, part);
    assert_int_equal(health.parts, 2);
    return health.state;
}

static void use_two_parts(bench *b)
{
    plan.parts = 2;
    assert_int_equal(idem_front_configure(&b->front, &b->env, "faulty:store", no_options, b->pool, &b->why),
                     APR_SUCCESS);
    idem_front_let_probe(b->front, 1);
}

static void test_a_part_that_fails_leaves_the_others_alone(void **state)
{
    bench *b = *state;
    idem_head even;

    use_two_parts(b);
    open_and_attach(b);
    even = head_for(b, 2);
    open_it(b); /* with a slot of the second */
    assert_int_equal(state_of_part(b, 0), IDEM_BREAKER_CLOSED);
    assert_int_equal(state_of_part(b, 1), IDEM_BREAKER_OPEN);
    assert_int_equal(health_of(b).part, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(idem_front_claim(b->front, &even, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_state(b, OPEN);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    mend_it();
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 1, b->pool), 0);
    assert_memory_equal(count.fetched, b->head.slot, IDEM_SLOT_LEN);
    assert_state(b, CLOSED);
    assert_int_equal(claim(b), APR_SUCCESS);
}

static void test_one_part_that_answers_is_enough_to_begin(void **state)
{
    bench *b = *state;

    use_two_parts(b);
    fail_always("nobody is at home");
    open_and_attach(b);
    assert_int_equal(state_of_part(b, 0), IDEM_BREAKER_CLOSED);
    assert_int_equal(state_of_part(b, 1), IDEM_BREAKER_OPEN);
    mend_it();
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 1, b->pool), 0);
    assert_int_equal(claim(b), APR_SUCCESS);
}

/* ---- the driver's own life --------------------------------------------------------------------------------------- */

static void test_a_store_that_is_not_attached_is_as_one_that_does_not_answer(void **state)
{
    bench *b = *state;
    apr_interval_time_t until = idem_monotonic() + PATIENCE;

    memset(&told, 0, sizeof(told));
    idem_front_set_watcher(b->front, watch, NULL);
    idem_front_let_probe(b->front, 1);
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    plan.attach = APR_EACCES;
    plan.why = "the door is locked";
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), APR_EACCES);
    assert_state(b, OPEN);
    assert_string_equal(health_of(b).reason, "the door is locked");
    assert_int_equal(told.opened, 0); /* whoever attaches it knows */
    plan.attach = APR_SUCCESS;
    plan.why = NULL;
    b->head = head_for(b, 1);
    apr_sleep(apr_time_from_msec(1050)); /* the front may try again after a second */
    assert_int_equal(claim(b), IDEM_EDOWN);
    while (idem_front_probe(b->front, 0, b->pool) > 0)
        assert_true(idem_monotonic() < until);
    assert_int_equal(count.attaches, 2);
    assert_int_equal(told.closed, 1);
    assert_int_equal(claim(b), APR_SUCCESS);
}

static void test_a_damaged_store_is_not_looked_after(void **state)
{
    bench *b = *state;

    answer_with(IDEM_EDAMAGED, APR_SUCCESS);
    plan.why = "a page is torn";
    assert_int_equal(claim(b), IDEM_EDAMAGED);
    assert_state(b, OPEN);
    assert_string_equal(health_of(b).reason, "a page is torn");
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    assert_int_equal(count.calls, 1);
    assert_int_equal(told.opened, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED(test_failures_in_a_row_open_it),
        WATCHED(test_an_answer_in_between_starts_anew),
        WATCHED(test_refusals_are_answers),
        WATCHED(test_what_the_store_was_not_asked_says_nothing),
        WATCHED(test_after_a_pause_one_call_is_let_through),
        WATCHED(test_where_others_look_no_caller_does),
        WATCHED(test_a_probe_reads_the_slot_in_trouble_and_settles),
        cmocka_unit_test_setup_teardown(test_free_readers_are_answered_while_it_is_open, set_up_free_readers,
                                        tear_down),
        FRESH(test_a_part_that_fails_leaves_the_others_alone),
        FRESH(test_one_part_that_answers_is_enough_to_begin),
        FRESH(test_a_store_that_is_not_attached_is_as_one_that_does_not_answer),
        WATCHED(test_a_damaged_store_is_not_looked_after),
    };
    return cmocka_run_group_tests_name("breaker", tests, NULL, NULL);
}
