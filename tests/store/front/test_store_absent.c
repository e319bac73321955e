/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store_absent.c - a store that is not there, not yet, or damaged: when the front tries to attach it, and when it
 * does not.
 */
#include "faulty.h"

#include <sys/wait.h>
#include <unistd.h>

static void wait_for_the_next_try(void)
{
    apr_sleep(apr_time_from_msec(1050)); /* the front looks again after a second */
}

static void test_a_store_is_attached_later_and_once_a_second(void **state)
{
    bench *b = *state;

    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    plan.attach = APR_EACCES;
    plan.why = "the door is locked";
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), APR_EACCES);
    assert_string_equal(b->why, "the door is locked");
    idem_front_set_observer(b->front, observe, b);
    b->head = head_for(b, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(claim(b), IDEM_EDOWN);
        assert_string_equal(b->why, "the door is locked");
    }
    assert_int_equal(count.attaches, 1);
    assert_int_equal(b->observed, 10); /* a refused call is told as well */
    assert_int_equal(b->status, IDEM_EDOWN);

    wait_for_the_next_try();
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(count.attaches, 2);

    plan.attach = APR_SUCCESS;
    plan.why = NULL;
    wait_for_the_next_try();
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_null(b->why);
    assert_int_equal(count.attaches, 3);
    assert_int_equal(idem_front_fetch(b->front, b->head.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_int_equal(count.attaches, 3);
    assert_int_equal(b->seen.head.owner,
                     idem_front_store(b->front)->owner); /* which was not known when head was made */
}

static void test_a_process_that_never_attached_is_told_so(void **state)
{
    bench *b = *state;

    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_non_null(b->why);
    assert_int_equal(count.attaches, 0);
}

static void test_a_process_forked_from_the_one_that_attached_has_no_store(void **state)
{
    bench *b = *state;
    int status = 0;
    pid_t forked;

    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), APR_SUCCESS);
    b->head = head_for(b, 1);
    forked = fork();
    if (forked == 0) {
        int refused = claim(b) == IDEM_EDOWN && b->why != NULL;

        idem_front_detach(b->front); /* what it has inherited stays as it is */
        _exit(refused ? 0 : 1);
    }
    assert_int_equal(waitpid(forked, &status, 0), forked);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(claim(b), APR_SUCCESS);
}

static void *claim_in_thread(void *data)
{
    bench *b = data;
    const char *why;
    idem_seen seen;
    apr_pool_t *pool;
    apr_status_t rv;

    apr_pool_create(&pool, NULL);
    rv = idem_front_claim(b->front, &b->head, pool, &seen, &why);
    apr_pool_destroy(pool);
    return (void *)(intptr_t)rv;
}

static void test_one_thread_attaches_and_the_others_do_not_wait(void **state)
{
    bench *b = *state;
    pthread_barrier_t barrier;
    pthread_t thread;
    void *result;

    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    plan.attach = APR_EACCES;
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), APR_EACCES);
    b->head = head_for(b, 1);
    wait_for_the_next_try();

    plan.attach = APR_SUCCESS;
    pthread_barrier_init(&barrier, NULL, 2);
    plan.in_attach = &barrier;
    assert_int_equal(pthread_create(&thread, NULL, claim_in_thread, b), 0);
    pthread_barrier_wait(&barrier); /* it is inside attach */
    assert_int_equal(claim(b), IDEM_EDOWN);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, APR_SUCCESS);
    assert_int_equal(count.attaches, 2);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(claim(b), APR_SUCCESS); /* the same token */
}

static void test_a_store_that_was_absent_at_the_start_is_used_when_it_is_there(void **state)
{
    bench *b = *state;
    idem_front *administrator;

    plan.open = APR_EACCES;
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_EACCES);
    assert_non_null(b->why);
    plan.open = APR_SUCCESS;
    assert_int_not_equal(idem_front_attach(b->front, b->pool, &b->why), APR_SUCCESS);
    assert_non_null(b->why);

    assert_int_equal(idem_front_configure(&administrator, &b->env, "lmdb:store", no_options, b->pool, &b->why),
                     APR_SUCCESS);
    assert_int_equal(idem_front_open(administrator, b->pool, &b->why), APR_SUCCESS);
    wait_for_the_next_try();
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), APR_SUCCESS);
}

static void test_a_store_found_damaged_at_the_start_is_left_alone(void **state)
{
    bench *b = *state;

    plan.open = IDEM_EDAMAGED;
    plan.why = "the last page is missing";
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), IDEM_EDAMAGED);
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), IDEM_EDAMAGED);
    assert_string_equal(b->why, "the last page is missing");
    wait_for_the_next_try();
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), IDEM_EDAMAGED);
    assert_string_equal(b->why, "the last page is missing");
    assert_int_equal(count.attaches, 0);
    assert_int_equal(count.calls, 0);
}

static void test_a_store_found_damaged_in_use_is_left_alone(void **state)
{
    bench *b = *state;

    answer_with(IDEM_EDAMAGED, APR_SUCCESS);
    plan.why = "a page is torn";
    assert_int_equal(claim(b), IDEM_EDAMAGED);
    assert_int_equal(idem_front_fetch(b->front, b->head.slot, b->pool, &b->seen, &b->why), IDEM_EDAMAGED);
    assert_string_equal(b->why, "a page is torn");
    assert_int_equal(count.calls, 1);
    idem_front_detach(b->front); /* what was attached is given back all the same */
    assert_int_equal(count.detaches, 1);
}

static void test_after_detach_nothing_reaches_the_driver(void **state)
{
    bench *b = *state;
    int before;

    idem_front_detach(b->front);
    assert_int_equal(count.detaches, 1);
    before = count.calls; /* attaching has looked for the mark of a slot secret */
    assert_int_equal(claim(b), IDEM_EDOWN);
    wait_for_the_next_try();
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(count.calls, before);
    assert_int_equal(count.attaches, 1);
    idem_front_detach(b->front);
    assert_int_equal(count.detaches, 1);
}

static void test_the_process_pool_may_go_first(void **state)
{
    bench *b = *state;
    apr_pool_t *child;

    apr_pool_create(&child, b->pool);
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    plan.attach = APR_EACCES;
    assert_int_equal(idem_front_attach(b->front, child, &b->why), APR_EACCES);
    apr_pool_destroy(child);
    wait_for_the_next_try();
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(count.attaches, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_a_store_is_attached_later_and_once_a_second),
        FRESH(test_a_process_that_never_attached_is_told_so),
        FRESH(test_a_process_forked_from_the_one_that_attached_has_no_store),
        FRESH(test_one_thread_attaches_and_the_others_do_not_wait),
        FRESH(test_a_store_that_was_absent_at_the_start_is_used_when_it_is_there),
        FRESH(test_a_store_found_damaged_at_the_start_is_left_alone),
        ATTACHED(test_a_store_found_damaged_in_use_is_left_alone),
        ATTACHED(test_after_detach_nothing_reaches_the_driver),
        FRESH(test_the_process_pool_may_go_first),
    };
    return cmocka_run_group_tests_name("store_absent", tests, NULL, NULL);
}
