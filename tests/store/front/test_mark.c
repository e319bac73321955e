/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_mark.c - a store is used with the slot secret that it was made with, or not at all.
 */
#include "faulty.h"

#include "keyring.h"

#define SEAL "seal: what seals is another matter altogether\n"
#define ONE "slot: the secret that this store was made with\n" SEAL
#define OTHER "slot: a secret that somebody else came up with\n" SEAL

/* As a start with this secret (NULL: none) would do it: a front of its own, opened and attached. */
static apr_status_t use(bench *b, const char *secret)
{
    idem_keyring *ring = NULL;
    apr_status_t rv;

    idem_front_detach(b->front);
    if (secret)
        assert_int_equal(idem_keyring_parse(&ring, secret, strlen(secret), b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(idem_front_configure(&b->front, &b->env, "faulty:store", no_options, b->pool, &b->why),
                     APR_SUCCESS);
    idem_front_set_ring(b->front, ring);
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    rv = idem_front_attach(b->front, b->pool, &b->why);
    if (rv == APR_SUCCESS)
        assert_null(b->why);
    return rv;
}

static void assert_refused(bench *b, const char *secret, const char *said)
{
    assert_int_equal(use(b, secret), IDEM_EDAMAGED);
    assert_non_null(strstr(b->why, "the store faulty:store was made "));
    if (!strstr(b->why, said))
        fail_msg("\"%s\" instead of \"%s\"", b->why, said);
    b->head = head_for(b, 2);
    assert_int_equal(claim(b), IDEM_EDAMAGED);
}

static void test_the_same_secret_or_none_is_used_again(void **state)
{
    assert_int_equal(use(*state, ONE), APR_SUCCESS);
    assert_int_equal(use(*state, ONE), APR_SUCCESS);
    assert_int_equal(use(*state, ONE "seal: and one more, that seals as well as any\n"), APR_SUCCESS);
}

static void test_a_store_made_with_a_secret_is_used_with_no_other(void **state)
{
    assert_int_equal(use(*state, ONE), APR_SUCCESS);
    assert_refused(*state, OTHER, "made with another slot: secret");
    assert_refused(*state, NULL, "made with a slot: secret, and no IdempotencySecret is configured");
    assert_int_equal(use(*state, ONE), APR_SUCCESS);
}

static void test_a_store_made_without_a_secret_is_used_without(void **state)
{
    assert_int_equal(use(*state, NULL), APR_SUCCESS);
    assert_refused(*state, ONE, "made without a secret, and IdempotencySecret is configured");
    assert_int_equal(use(*state, NULL), APR_SUCCESS);
}

/* The refusals must not say anything that helps to guess a secret. */
static void test_the_sentence_contains_no_secret(void **state)
{
    bench *b = *state;

    assert_int_equal(use(b, ONE), APR_SUCCESS);
    assert_int_equal(use(b, OTHER), IDEM_EDAMAGED);
    assert_null(strstr(b->why, "somebody"));
    assert_null(strstr(b->why, "that this store"));
}

/* Stores that lose entries lose the mark too; entries without a mark are no reason to refuse. */
static void test_a_store_without_a_mark_gets_the_present_one(void **state)
{
    bench *b = *state;

    answer_with(APR_NOTFOUND, IDEM_EFULL); /* looked for, and not to be written */
    assert_int_equal(use(b, ONE), APR_SUCCESS);
    b->head = head_for(b, 1);
    assert_int_equal(claim(b), APR_SUCCESS);
    assert_int_equal(use(b, ONE), APR_SUCCESS);
    assert_refused(b, OTHER, "made with another slot: secret");
}

/* Two servers find no mark, and the other one is faster. */
static void test_of_two_that_race_one_is_refused(void **state)
{
    bench *b = *state;

    assert_int_equal(use(b, OTHER), APR_SUCCESS);
    answer_with(APR_NOTFOUND, APR_SUCCESS);
    assert_refused(b, ONE, "made with another slot: secret");
    answer_with(APR_NOTFOUND, APR_SUCCESS);
    assert_int_equal(use(b, OTHER), APR_SUCCESS);
}

static void test_a_store_that_does_not_answer_is_asked_again(void **state)
{
    bench *b = *state;

    answer_with(APR_EGENERAL, APR_SUCCESS);
    assert_int_equal(use(b, ONE), APR_EGENERAL);
    assert_int_equal(count.detaches, 1);
    count.calls = 0;
    plan.answers = 0;
    assert_int_equal(use(b, ONE), APR_SUCCESS);
    assert_refused(b, NULL, "made with a slot: secret");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_the_same_secret_or_none_is_used_again),
        FRESH(test_a_store_made_with_a_secret_is_used_with_no_other),
        FRESH(test_a_store_made_without_a_secret_is_used_without),
        FRESH(test_the_sentence_contains_no_secret),
        FRESH(test_a_store_without_a_mark_gets_the_present_one),
        FRESH(test_of_two_that_race_one_is_refused),
        FRESH(test_a_store_that_does_not_answer_is_asked_again),
    };
    return cmocka_run_group_tests_name("mark", tests, NULL, NULL);
}
