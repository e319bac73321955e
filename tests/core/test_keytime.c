/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_keytime.c - which keys say when they were made, and what they say; every other one says nothing.
 */
#include "unit.h"

#include "keytime.h"

static apr_time_t time_of(apr_pool_t *pool, const char *key, unsigned kinds)
{
    apr_time_t made = -1;
    int known = idem_key_time(unit_guarded(pool, key, strlen(key)), kinds, &made);

    assert_int_equal(known, made != -1);
    return made;
}

/* The example of RFC 9562, A.6: 2022-02-22 19:22:22 UTC. */
#define RFC "017F22E2-79B0-7CC3-98C4-DC0C0C07398F"
#define RFC_MS 1645557742000

static void a_uuid_of_version_7_has_a_time(void **state)
{
    assert_int_equal(time_of(*state, RFC, IDEM_KEYTIME_ALL), RFC_MS * 1000);
    assert_int_equal(time_of(*state, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", IDEM_KEYTIME_UUIDV7), RFC_MS * 1000);
    assert_int_equal(time_of(*state, "00000000-0000-7000-8000-000000000000", IDEM_KEYTIME_ALL), 0);
    assert_int_equal(time_of(*state, "ffffffff-ffff-7fff-bfff-ffffffffffff", IDEM_KEYTIME_ALL), 281474976710655000);
}

static void a_ulid_has_a_time(void **state)
{
    assert_int_equal(time_of(*state, "01ARZ3NDEKTSV4RRFFQ69G5FAV", IDEM_KEYTIME_ALL), 1469922850259000);
    assert_int_equal(time_of(*state, "01arz3ndektsv4rrffq69g5fav", IDEM_KEYTIME_ULID), 1469922850259000);
    assert_int_equal(time_of(*state, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ", IDEM_KEYTIME_ALL), 281474976710655000);
}

static void only_the_kinds_that_are_asked_for(void **state)
{
    assert_int_equal(time_of(*state, RFC, IDEM_KEYTIME_ULID | IDEM_KEYTIME_FIRST_SENT), -1);
    assert_int_equal(time_of(*state, "01ARZ3NDEKTSV4RRFFQ69G5FAV", IDEM_KEYTIME_UUIDV7), -1);
    assert_int_equal(time_of(*state, RFC, 0), -1);
}

static void other_keys_have_none(void **state)
{
    static const char *const others[] = {
        "",
        "8e03978e-40d5-43dd-bc93-6894a57f9324",  /* version 4 */
        "017F22E2-79B0-7CC3-18C4-DC0C0C07398F",  /* another variant */
        "017F22E2-79B0-7CC3-C8C4-DC0C0C07398F",  /* and another */
        "017F22E279B07CC398C4DC0C0C07398F",      /* no dashes */
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398",   /* short */
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F0", /* long */
        "017F22E2-79B0-7CC3-98C4+DC0C0C07398F",  /* no dash where one belongs */
        "G17F22E2-79B0-7CC3-98C4-DC0C0C07398F",  /* no digit */
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398@",  /* nor this, which is below 'A' */
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",            /* beyond 128 bits */
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",            /* U is no digit */
        "01ARZ3NDEKTSV4RRFFQ69G5FIV",            /* nor is I */
        "01ARZ3NDEKTSV4RRFFQ69G5FA",             /* short */
        "01ARZ3NDEKTSV4RRFFQ69G5FAVV",           /* long */
        "order-1",
    };

    for (size_t i = 0; i < UNIT_COUNT(others); i++)
        assert_int_equal(time_of(*state, others[i], IDEM_KEYTIME_ALL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(a_uuid_of_version_7_has_a_time),
        UNIT(a_ulid_has_a_time),
        UNIT(only_the_kinds_that_are_asked_for),
        UNIT(other_keys_have_none),
    };
    return cmocka_run_group_tests_name("keytime", tests, NULL, NULL);
}
