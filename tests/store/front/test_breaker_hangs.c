/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_breaker_hangs.c - the breaker before a driver whose calls do not come back, and with many threads.
 */
#include "watched.h"

#include "bytes.h"
#include "threads.h"

#define TIMEOUT apr_time_from_msec(200)

typedef struct hanging {
    bench *b;
    pthread_t thread;
    pthread_barrier_t *gate;
    int probes; /* instead of claiming */
    idem_head head;
    apr_status_t rv;
} hanging;

static pthread_barrier_t gates[2];

static void *call_in_thread(void *data)
{
    hanging *h = data;
    const char *why;
    idem_seen seen;
    apr_pool_t *pool;

    apr_pool_create_unmanaged_ex(&pool, NULL, NULL);
    if (h->probes)
        idem_front_probe(h->b->front, 0, pool);
    else
        h->rv = idem_front_claim(h->b->front, &h->head, pool, &seen, &why);
    apr_pool_destroy(pool);
    return NULL;
}

/* Returns when it is inside the driver. No other call may come before another is made to hang. */
static void hang(bench *b, hanging *h, unsigned char slot)
{
    idem_front_set_timeout(b->front, TIMEOUT);
    idem_front_set_observer(b->front, NULL, NULL); /* it is one thread's */
    if (!plan.in_call) {
        plan.hang_from = count.calls;
        plan.in_call = gates;
    }
    h->b = b;
    h->head = head_for(b, slot);
    h->gate = &gates[plan.hangs++];
    pthread_barrier_init(h->gate, NULL, 2);
    assert_int_equal(pthread_create(&h->thread, NULL, call_in_thread, h), 0);
    pthread_barrier_wait(h->gate);
}

static void wait_until_stuck(bench *b, int how_many)
{
    apr_interval_time_t until = idem_monotonic() + PATIENCE;

    while (health_of(b).stuck < how_many) {
        assert_true(idem_monotonic() < until);
        apr_sleep(apr_time_from_msec(5));
    }
}

static void come_back(hanging *h)
{
    pthread_barrier_wait(h->gate);
    pthread_join(h->thread, NULL);
    pthread_barrier_destroy(h->gate);
}

static void test_a_call_that_does_not_come_back_opens_it(void **state)
{
    bench *b = *state;
    hanging h = {0};

    hang(b, &h, 9);
    assert_state(b, CLOSED); /* nobody has come by and noticed */
    wait_until_stuck(b, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    assert_int_equal(count.calls, 1);
    assert_state(b, OPEN);
    assert_non_null(strstr(b->why, "a call has not returned for "));
    assert_int_equal(health_of(b).inside, 1);
    come_back(&h);
    assert_int_equal(h.rv, APR_SUCCESS); /* late, and an answer: its caller has waited for it */
    assert_state(b, CLOSED);
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(told.opened + told.closed, 2);
    assert_int_equal(health_of(b).inside, 0);
}

static void test_a_call_that_comes_back_without_an_answer_closes_nothing(void **state)
{
    bench *b = *state;
    hanging h = {0};

    hang(b, &h, 9);
    wait_until_stuck(b, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    fail_always(NULL);
    come_back(&h);
    assert_int_not_equal(h.rv, APR_SUCCESS);
    assert_state(b, OPEN);
}

static void test_a_probe_that_hangs_is_the_only_one(void **state)
{
    bench *b = *state;
    hanging h = {.probes = 1};

    idem_front_let_probe(b->front, 1);
    open_it(b);
    mend_it();
    apr_sleep(PAST_PAUSE);
    hang(b, &h, 9);
    assert_state(b, HALF_OPEN);
    wait_until_stuck(b, 1);
    assert_state(b, OPEN);
    for (int i = 0; i < 3; i++) {
        assert_true(idem_front_probe(b->front, 0, b->pool) > 0);
        assert_int_equal(claim(b), IDEM_EDOWN);
        apr_sleep(PAST_PAUSE);
    }
    assert_int_equal(count.calls, 1);
    come_back(&h);
    assert_state(b, CLOSED);
}

/* Its connection may be dead for ever. It counts as stuck, and says nothing about calls that came later. */
static void test_a_call_of_an_outage_that_is_over_opens_nothing(void **state)
{
    bench *b = *state;
    hanging h = {0};

    idem_front_let_probe(b->front, 1);
    hang(b, &h, 9);
    wait_until_stuck(b, 1);
    assert_int_equal(claim(b), IDEM_EDOWN);
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    assert_memory_equal(count.fetched, h.head.slot, IDEM_SLOT_LEN);
    assert_state(b, CLOSED);
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(health_of(b).stuck, 1);
    assert_int_equal(health_of(b).in_a_row, 0);
    come_back(&h);
    assert_int_equal(health_of(b).stuck, 0);
    assert_int_equal(told.opened, 1);
}

/* Another part of the store may answer while the one that hangs does not. */
static void test_an_answer_to_another_closes_nothing_while_a_call_is_stuck(void **state)
{
    bench *b = *state;
    hanging one = {0}, other = {0};

    idem_front_let_probe(b->front, 1);
    hang(b, &one, 9);
    hang(b, &other, 8);
    wait_until_stuck(b, 2);
    assert_int_equal(claim(b), IDEM_EDOWN);
    come_back(&other);
    assert_int_equal(other.rv, APR_SUCCESS);
    assert_state(b, OPEN);
    come_back(&one);
    assert_state(b, CLOSED);
}

/* ---- all at once ------------------------------------------------------------------------------------------------- */

#define THREADS 8

static atomic_int ends;

static void *claim_for_ever(void *data)
{
    hanging *h = data;

    while (!ends)
        call_in_thread(h);
    call_in_thread(h); /* the last one began when the store was back, however late this thread has its turn */
    return NULL;
}

static void await_told(atomic_int *what, int times)
{
    apr_interval_time_t until = idem_monotonic() + PATIENCE;

    while (atomic_load(what) < times) {
        assert_true(idem_monotonic() < until);
        apr_sleep(apr_time_from_msec(1));
    }
}

/* The plan is only changed while nobody reads it: when the breaker is open, and nothing but the watcher's word is
 * awaited. */
static void test_threads_agree(void **state)
{
    bench *b = *state;
    hanging callers[THREADS];
    idem_health health;

    ends = 0;
    idem_front_set_timeout(b->front, PATIENCE); /* no call hangs here, but a busy machine may keep one waiting */
    idem_front_set_observer(b->front, NULL, NULL);
    idem_front_let_probe(b->front, 1);
    fail_always(NULL);
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (hanging){.b = b, .head = head_for(b, (unsigned char)(10 + i))};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, claim_for_ever, &callers[i]), 0);
    }
    await_told(&told.opened, 1);
    while (health_of(b).inside > 0)
        apr_sleep(apr_time_from_msec(1));
    mend_it();
    apr_sleep(PAST_PAUSE);
    assert_int_equal(idem_front_probe(b->front, 0, b->pool), 0);
    await_told(&told.closed, 1);
    apr_sleep(apr_time_from_msec(50)); /* traffic */
    ends = 1;
    for (int i = 0; i < THREADS; i++)
        pthread_join(callers[i].thread, NULL);
    health = health_of(b);
    assert_int_equal(health.state, IDEM_BREAKER_CLOSED);
    assert_int_equal(health.inside, 0);
    assert_int_equal(health.opened, 1);
    assert_int_equal(told.opened + told.closed, 2);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(callers[i].rv, APR_SUCCESS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WATCHED(test_a_call_that_does_not_come_back_opens_it),
        WATCHED(test_a_call_that_comes_back_without_an_answer_closes_nothing),
        WATCHED(test_a_probe_that_hangs_is_the_only_one),
        WATCHED(test_a_call_of_an_outage_that_is_over_opens_nothing),
        WATCHED(test_an_answer_to_another_closes_nothing_while_a_call_is_stuck),
        WATCHED(test_threads_agree),
    };
    return cmocka_run_group_tests_name("breaker_hangs", tests, NULL, NULL);
}
