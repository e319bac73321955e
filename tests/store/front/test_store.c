/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_store.c - calls through the front of a store: addresses, values, and answers that do not come.
 */
#include "faulty.h"

#include "bytes.h"
#include "url.h"

static apr_status_t settle(bench *b, idem_state state, const char *body)
{
    idem_response response = {.status = 201, .content_type = "text/plain", .body = idem_blob_str(body)};
    idem_head head = b->head;
    idem_blob value;
    apr_status_t rv;

    head.state = state;
    rv = idem_front_encode(b->front, &head, state == IDEM_STATE_RECORD ? &response : NULL, b->pool, &value);
    return rv == APR_SUCCESS ? idem_front_settle(b->front, value, b->pool, &b->why) : rv;
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void test_an_address_is_shown_without_its_password(void **state)
{
    static const char *const pairs[][2] = {
        {"lmdb:idempotency", "lmdb:idempotency"},
        {"redis://h:6379/0", "redis://h:6379/0"},
        {"redis://user:secret@h/0", "redis://user:***@h/0"},
        {"redis://:secret@h", "redis://:***@h"},
        {"redis://secret@h", "redis://***@h"},
        {"redis://u:se/c@ret@h", "redis://u:***@h"},
        {"wrap:/tmp/x,redis://u:p@h", "wrap:/tmp/x,redis://u:***@h"},
        {"dbd:pgsql:host=h password=secret", "dbd:pgsql:host=h password=***"},
        {"dbd:pgsql:PASSWORD = 'se cret' host=h", "dbd:pgsql:PASSWORD =***"},
        {"dbd:mysql:host=h,pass=a,b,user=u", "dbd:mysql:host=h,pass=***"},
        {"dbd:odbc:pwd=secret", "dbd:odbc:pwd=***"},
        {"lmdb:/srv/passes/x", "lmdb:/srv/passes/x"},
        {"", ""},
    };
    bench *b = *state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_string_equal(idem_url_masked(pairs[i][0], b->pool), pairs[i][1]);
}

static void test_an_address_that_cannot_be_used_is_refused_with_a_sentence(void **state)
{
    bench *b = *state;
    idem_front *front = NULL;

    assert_int_equal(idem_front_configure(&front, &b->env, "idempotency", no_options, b->pool, &b->why), APR_EINVAL);
    assert_non_null(strstr(b->why, "\"idempotency\" is not the address of a store"));
    assert_int_equal(idem_front_configure(&front, &b->env, "nosuch://u:secret@h", no_options, b->pool, &b->why),
                     APR_EINVAL);
    assert_non_null(strstr(b->why, "nosuch://u:***@h"));
    assert_non_null(strstr(b->why, "lmdb"));
    assert_null(strstr(b->why, "secret"));
    assert_int_not_equal(idem_front_configure(&front, &b->env, "lmdb:", no_options, b->pool, &b->why), APR_SUCCESS);
    assert_non_null(b->why); /* the driver's own */
    assert_null(front);
}

static void test_drivers_are_found_by_name(void **state)
{
    bench *b = *state;
    const char *names = NULL;
    const idem_driver *lmdb = idem_registry_find("lmdb", &names, b->pool);

    assert_non_null(lmdb);
    assert_memory_equal(names, "lmdb", 4); /* the default comes first; others are what this build has */
    assert_null(strstr(names, "socache")); /* that one is httpd's */
    assert_ptr_equal(idem_registry_drivers()[0], lmdb);
    assert_ptr_equal(idem_registry_find("faulty", NULL, b->pool), &faulty_driver);
    assert_null(idem_registry_find("LMDB", NULL, b->pool));
    idem_registry_finder = NULL;
    assert_null(idem_registry_find("faulty", NULL, b->pool));
}

/* ---- what goes in and comes out ---------------------------------------------------------------------------------- */

static void test_a_lease_is_seen_by_the_next_claim(void **state)
{
    bench *b = *state;
    idem_head other = head_for(b, 1);

    assert_int_equal(claim(b), APR_SUCCESS);
    assert_null(b->why);
    assert_int_equal(idem_front_claim(b->front, &other, b->pool, &b->seen, &b->why), APR_EEXIST);
    assert_int_equal(b->seen.head.state, IDEM_STATE_LEASE);
    assert_memory_equal(b->seen.head.token, b->head.token, IDEM_TOKEN_LEN);
    assert_int_equal(b->seen.head.ttl, b->head.ttl);
    assert_int_equal(b->seen.head.attempt, 1);
    assert_false(b->seen.owner_dead);
    assert_false(b->seen.corrupt);
}

static void test_a_lease_carries_the_number_of_this_process(void **state)
{
    bench *b = *state;

    assert_int_not_equal(idem_front_store(b->front)->owner, 0);
    assert_int_equal(b->head.owner, idem_front_store(b->front)->owner);
    b->head.owner = 0; /* made before the process was attached: it would be taken for dead */
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(idem_front_fetch(b->front, b->head.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_int_equal(b->seen.head.owner, idem_front_store(b->front)->owner);
    assert_false(b->seen.owner_dead);
}

static void test_tokens_are_never_the_same(void **state)
{
    bench *b = *state;
    idem_head one = head_for(b, 1), two = head_for(b, 1);
    assert_memory_not_equal(one.token, two.token, IDEM_TOKEN_LEN);
}

static void test_a_record_comes_back_whole(void **state)
{
    bench *b = *state;

    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(settle(b, IDEM_STATE_RECORD, "created"), APR_SUCCESS);
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), APR_EEXIST);
    assert_int_equal(b->seen.head.state, IDEM_STATE_RECORD);
    assert_int_equal(b->seen.response.status, 201);
    assert_string_equal(b->seen.response.content_type, "text/plain");
    assert_int_equal(b->seen.response.body.len, 7);
    assert_memory_equal(b->seen.response.body.data, "created", 7);
}

static void test_renew_release_and_sweep_reach_the_driver(void **state)
{
    bench *b = *state;
    int removed = 7;

    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(idem_front_renew(b->front, &b->head, b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(b->op, IDEM_OP_RENEW);
    assert_int_equal(idem_front_release(b->front, b->head.slot, b->head.token, b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(b->op, IDEM_OP_RELEASE);
    assert_int_equal(idem_front_release(b->front, b->head.slot, b->head.token, b->pool, &b->why), APR_NOTFOUND);
    assert_int_equal(idem_front_sweep(b->front, 10, b->pool, &removed, &b->why), APR_SUCCESS);
    assert_int_equal(b->op, IDEM_OP_SWEEP);
    assert_int_equal(removed, 0);
    assert_int_equal(idem_front_fetch(b->front, b->head.slot, b->pool, &b->seen, &b->why), APR_NOTFOUND);
    assert_int_equal(b->op, IDEM_OP_FETCH);
}

static void test_what_is_no_value_of_the_slot_is_corrupt(void **state)
{
    bench *b = *state;
    idem_head foreign = head_for(b, 2);
    idem_blob value;
    unsigned char *torn;

    foreign.state = IDEM_STATE_TOMBSTONE;
    assert_int_equal(idem_front_encode(b->front, &foreign, NULL, b->pool, &value), APR_SUCCESS);
    plan.found = value; /* of another slot */
    answer_with(APR_EEXIST, APR_SUCCESS);
    assert_int_equal(claim(b), APR_EEXIST);
    assert_true(b->seen.corrupt);
    assert_non_null(b->why);

    torn = apr_pmemdup(b->pool, value.data, value.len);
    torn[value.len - 1] ^= 1;
    plan.found = idem_blob_of(torn, value.len);
    assert_int_equal(idem_front_fetch(b->front, foreign.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_true(b->seen.corrupt);
    assert_non_null(b->why);

    plan.found = idem_blob_of(torn, 0);
    assert_int_equal(idem_front_fetch(b->front, foreign.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_true(b->seen.corrupt);

    plan.found = value; /* and the right one is not */
    assert_int_equal(idem_front_fetch(b->front, foreign.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_false(b->seen.corrupt);
    assert_null(b->why);
}

static void test_a_response_beyond_the_largest_value_is_refused_before_it_is_encoded(void **state)
{
    bench *b = *state;
    idem_response response = {.status = 200};
    idem_blob value;

    plan.max_value = idem_record_size(NULL, &response);
    open_and_attach(b);
    b->head.state = IDEM_STATE_RECORD;
    assert_int_equal(idem_front_encode(b->front, &b->head, &response, b->pool, &value), APR_SUCCESS);
    assert_int_equal(value.len, plan.max_value);
    response.body = idem_blob_str("x");
    assert_int_equal(idem_front_encode(b->front, &b->head, &response, b->pool, &value), IDEM_ETOOBIG);
}

/* ---- answers that do not come ------------------------------------------------------------------------------------ */

static void test_a_claim_without_an_answer_is_sent_once_more(void **state)
{
    bench *b = *state;

    answer_with(APR_ECONNRESET, APR_SUCCESS);
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_null(b->why);
    assert_int_equal(count.calls, 2);
    assert_int_equal(b->observed, 1);
    assert_int_equal(b->status, APR_SUCCESS);
}

static void test_a_claim_that_happened_without_an_answer_is_won(void **state)
{
    bench *b = *state;

    answer_with(APR_TIMEUP, APR_SUCCESS);
    plan.denied = 1;
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(count.calls, 2);
}

static void test_a_claim_is_not_sent_a_third_time(void **state)
{
    bench *b = *state;

    answer_with(APR_ECONNRESET, APR_ECONNREFUSED);
    plan.why = "nobody listens";
    assert_int_equal(claim(b), APR_ECONNREFUSED);
    assert_string_equal(b->why, "nobody listens");
    assert_int_equal(count.calls, 2);
    assert_int_equal(b->observed, 1);
    assert_int_equal(b->status, APR_ECONNREFUSED);
}

static void test_a_claim_stays_in_doubt_if_the_second_was_not_sent(void **state)
{
    bench *b = *state;

    answer_with(APR_ECONNRESET, IDEM_EDOWN);
    assert_int_equal(claim(b), APR_ECONNRESET);
    assert_int_equal(count.calls, 2);
}

static void test_an_answer_is_believed_the_first_time(void **state)
{
    static const apr_status_t answers[] = {IDEM_EFULL, IDEM_ETOOBIG, IDEM_ELOST, IDEM_EALIVE, APR_NOTFOUND, IDEM_EDOWN};
    bench *b = *state;

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        answer_with(answers[i], APR_SUCCESS);
        assert_int_equal(claim(b), answers[i]);
        assert_int_equal(count.calls, 1);
        assert_non_null(b->why);
    }
}

static void test_a_claim_is_not_repeated_beyond_its_deadline(void **state)
{
    bench *b = *state;

    idem_front_set_timeout(b->front, apr_time_from_msec(10));
    plan.slow = apr_time_from_msec(20);
    answer_with(APR_TIMEUP, APR_SUCCESS);
    assert_int_equal(claim(b), APR_TIMEUP);
    assert_int_equal(count.calls, 1);
    assert_true(b->took >= plan.slow);
}

static void test_a_takeover_without_an_answer_is_sent_once_more(void **state)
{
    bench *b = *state;
    idem_head mine;

    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(settle(b, IDEM_STATE_UNKNOWN, NULL), APR_SUCCESS);
    mine = head_for(b, 1);
    mine.attempt = 2;
    answer_with(APR_ECONNRESET, APR_SUCCESS);
    plan.denied = 1;
    assert_int_equal(idem_front_takeover(b->front, &mine, b->head.token, b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(count.calls, 2);
    assert_int_equal(b->op, IDEM_OP_TAKEOVER);
    assert_int_equal(idem_front_fetch(b->front, mine.slot, b->pool, &b->seen, &b->why), APR_SUCCESS);
    assert_memory_equal(b->seen.head.token, mine.token, IDEM_TOKEN_LEN);
    assert_int_equal(b->seen.head.attempt, 2);
}

static void test_nothing_else_is_repeated(void **state)
{
    bench *b = *state;

    assert_int_equal(claim(b), APR_SUCCESS);
    answer_with(APR_ECONNRESET, APR_SUCCESS);
    assert_int_equal(settle(b, IDEM_STATE_TOMBSTONE, NULL), APR_ECONNRESET);
    assert_int_equal(count.calls, 1);
    assert_int_equal(b->op, IDEM_OP_SETTLE);
    answer_with(APR_ECONNRESET, APR_SUCCESS);
    assert_int_equal(idem_front_release(b->front, b->head.slot, b->head.token, b->pool, &b->why), APR_ECONNRESET);
    assert_int_equal(count.calls, 1);
}

static void test_each_call_has_the_timeout_it_was_given(void **state)
{
    bench *b = *state;
    apr_interval_time_t timeout = apr_time_from_sec(3);
    apr_time_t before = apr_time_now();

    assert_int_equal(claim(b), APR_SUCCESS);
    assert_true(count.deadline >= before + apr_time_from_msec(500)); /* the default */
    assert_true(count.deadline <= apr_time_now() + apr_time_from_msec(500));
    idem_front_set_timeout(b->front, timeout);
    before = apr_time_now();
    assert_int_equal(settle(b, IDEM_STATE_TOMBSTONE, NULL), APR_SUCCESS);
    assert_true(count.deadline >= before + timeout);
    assert_true(count.deadline <= apr_time_now() + timeout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_an_address_is_shown_without_its_password),
        FRESH(test_an_address_that_cannot_be_used_is_refused_with_a_sentence),
        FRESH(test_drivers_are_found_by_name),
        ATTACHED(test_a_lease_is_seen_by_the_next_claim),
        ATTACHED(test_a_lease_carries_the_number_of_this_process),
        ATTACHED(test_tokens_are_never_the_same),
        ATTACHED(test_a_record_comes_back_whole),
        ATTACHED(test_renew_release_and_sweep_reach_the_driver),
        ATTACHED(test_what_is_no_value_of_the_slot_is_corrupt),
        FRESH(test_a_response_beyond_the_largest_value_is_refused_before_it_is_encoded),
        ATTACHED(test_a_claim_without_an_answer_is_sent_once_more),
        ATTACHED(test_a_claim_that_happened_without_an_answer_is_won),
        ATTACHED(test_a_claim_is_not_sent_a_third_time),
        ATTACHED(test_a_claim_stays_in_doubt_if_the_second_was_not_sent),
        ATTACHED(test_an_answer_is_believed_the_first_time),
        ATTACHED(test_a_claim_is_not_repeated_beyond_its_deadline),
        ATTACHED(test_a_takeover_without_an_answer_is_sent_once_more),
        ATTACHED(test_nothing_else_is_repeated),
        ATTACHED(test_each_call_has_the_timeout_it_was_given),
    };
    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
