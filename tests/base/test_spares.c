/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_spares.c - what a thread keeps comes back to it alone, is bounded, and goes when the thread goes.
 */
#include "unit.h"

#include <pthread.h>
#include <stdlib.h>

#include "spares.h"

static int destroyed;

static void destroy(idem_spare *spare)
{
    destroyed++;
    free(spare);
}

static idem_spare *new_spare(void)
{
    idem_spare *spare = calloc(1, sizeof *spare);

    assert_non_null(spare);
    spare->destroy = destroy;
    return spare;
}

static void the_last_one_kept_is_the_first_taken(void **state)
{
    idem_spares spares = {0};
    idem_spare *one = new_spare(), *two = new_spare();

    (void)state;
    assert_null(idem_spares_take(&spares));
    assert_int_equal(idem_spares_keep(&spares, one), 0); /* not open */
    idem_spares_open(&spares);
    assert_int_equal(idem_spares_keep(&spares, one), 1);
    assert_int_equal(idem_spares_keep(&spares, two), 1);
    assert_ptr_equal(idem_spares_take(&spares), two);
    assert_ptr_equal(idem_spares_take(&spares), one);
    assert_null(idem_spares_take(&spares));
    idem_spares_close(&spares);
    free(one);
    free(two);
}

static void there_are_never_more_than_so_many(void **state)
{
    idem_spares spares = {0};
    idem_spare *left = new_spare();

    (void)state;
    destroyed = 0;
    idem_spares_open(&spares);
    for (int i = 0; i < IDEM_SPARES_MOST; i++)
        assert_int_equal(idem_spares_keep(&spares, new_spare()), 1);
    assert_int_equal(idem_spares_keep(&spares, left), 0);
    free(left);
    idem_spares_close(&spares);
    assert_int_equal(destroyed, IDEM_SPARES_MOST);
    assert_null(idem_spares_take(&spares));
}

static void *keep_two(void *spares)
{
    idem_spare *kept = new_spare();

    if (idem_spares_take(spares)) /* another thread's */
        return spares;
    idem_spares_keep(spares, new_spare());
    idem_spares_keep(spares, kept);
    return NULL;
}

static void a_thread_that_ends_leaves_nothing(void **state)
{
    idem_spares spares = {0};
    idem_spare *mine = new_spare();
    pthread_t thread;
    void *wrong;

    (void)state;
    destroyed = 0;
    idem_spares_open(&spares);
    idem_spares_keep(&spares, mine);
    assert_int_equal(pthread_create(&thread, NULL, keep_two, &spares), 0);
    assert_int_equal(pthread_join(thread, &wrong), 0);
    assert_null(wrong);
    assert_int_equal(destroyed, 2);
    assert_ptr_equal(idem_spares_take(&spares), mine);
    idem_spares_close(&spares);
    free(mine);
}

static void what_is_made_is_zero_and_comes_back(void **state)
{
    idem_spares spares = {0};
    idem_spare *mine = idem_spares_take_or_make(&spares, sizeof *mine + 1);

    (void)state;
    assert_non_null(mine);
    assert_int_equal(((char *)mine)[sizeof *mine], 0);
    idem_spares_open(&spares);
    idem_spares_keep_or_destroy(&spares, mine);
    assert_ptr_equal(idem_spares_take_or_make(&spares, sizeof *mine + 1), mine);
    idem_spares_close(&spares);
    idem_spares_keep_or_destroy(&spares, mine); /* closed: valgrind sees whether it is destroyed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_last_one_kept_is_the_first_taken),
        UNIT(there_are_never_more_than_so_many),
        UNIT(a_thread_that_ends_leaves_nothing),
        UNIT(what_is_made_is_zero_and_comes_back),
    };

    return cmocka_run_group_tests_name("spares", tests, NULL, NULL);
}
