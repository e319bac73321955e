/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_no_memory.c - what records, digests and pools do when libcrypto, or a pool, gets no memory.
 *
 * libcrypto asks the functions below, which refuse its n-th request; each case is repeated for n = 1, 2, 3… until it
 * ends without a refusal. What must hold: an answer about the value is right, and without memory to look there is no
 * answer.
 */
#include "records.h"
#include "rings.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <apr_strings.h>
#include <openssl/crypto.h>

#include "pools.h"

#define MOST 1000 /* requests of one case; more would be another fault */

static int left; /* requests until the one that is refused; 0: none is */
static int refused;

static int refuses(void)
{
    if (left == 0 || --left > 0)
        return 0;
    refused = 1;
    return 1;
}

static void *give(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return refuses() ? NULL : malloc(size);
}

static void *give_more(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return refuses() ? NULL : realloc(old, size);
}

static void take(void *memory, const char *file, int line)
{
    (void)file;
    (void)line;
    free(memory);
}

/* Nonzero if the n-th request of what follows is to be looked at; ends when the last one met no refusal. */
static int next(int *n)
{
    int goes_on = *n == 0 || refused;

    assert_true(*n < MOST);
    refused = 0;
    left = goes_on ? ++*n : 0;
    return goes_on;
}

/* How often nobody looked. */
static int decodes_or_does_not_look(apr_pool_t *pool, const idem_keyring *ring)
{
    idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
    idem_response response = unit_response(pool), got;
    idem_blob value;
    int n = 0, unlooked = 0;

    assert_int_equal(idem_record_encode(ring, &head, &response, pool, &value), APR_SUCCESS);
    while (next(&n)) {
        const char *fault = idem_record_decode(ring, value, head.slot, pool, &got_head, &got);

        left = 0;
        if (!fault)
            unit_assert_same_response(&response, &got);
        else
            assert_ptr_equal(fault, idem_record_not_looked_at);
        unlooked += fault != NULL;
    }
    return unlooked;
}

/* Nothing is asked for that could be refused. */
static void an_open_record_is_read_without_memory(void **state)
{
    assert_int_equal(decodes_or_does_not_look(*state, NULL), 0);
}

static void a_sealed_record_is_read_or_nobody_looked(void **state)
{
    assert_true(decodes_or_does_not_look(*state, unit_ring(*state, UNIT_SLOT UNIT_SEAL_A)) > 0);
}

static void a_damaged_record_is_never_found_good(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_head head = unit_head(IDEM_STATE_RECORD), got_head;
    idem_response response = unit_response(*state), got;
    unsigned char *bytes;
    idem_blob value;
    int n = 0;

    assert_int_equal(idem_record_encode(ring, &head, &response, *state, &value), APR_SUCCESS);
    bytes = apr_pmemdup(*state, value.data, value.len);
    bytes[IDEM_HEAD_LEN + 40] ^= 1;
    unit_make_sum_right(bytes, value.len);
    while (next(&n)) {
        const char *fault =
            idem_record_decode(ring, idem_blob_of(bytes, value.len), head.slot, *state, &got_head, &got);

        left = 0;
        assert_non_null(fault);
    }
}

/* APR_EINVAL is the caller's word for a response that cannot be sent again. */
static void a_record_that_cannot_be_made_is_not_called_malformed(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    idem_head head = unit_head(IDEM_STATE_RECORD);
    idem_response response = unit_response(*state);
    idem_blob value;
    int n = 0, failed = 0;

    while (next(&n)) {
        apr_status_t rv = idem_record_encode(ring, &head, &response, *state, &value);

        left = 0;
        assert_int_not_equal(rv, APR_EINVAL);
        failed += rv != APR_SUCCESS;
    }
    assert_true(failed > 0);
}

/* ---- pools ------------------------------------------------------------------------------------------------------- */

static void a_pool_of_nobody_ends_the_process_that_it_cannot_serve(void **state)
{
    apr_pool_t *pool, *child;
    int status;
    pid_t pid;

    (void)state;
    assert_int_equal(idem_pool_alone(&pool), APR_SUCCESS);
    assert_int_equal(apr_pool_create(&child, pool), APR_SUCCESS);
    assert_non_null(apr_pool_abort_get(pool));
    assert_ptr_equal(apr_pool_abort_get(child), apr_pool_abort_get(pool));
    pid = fork();
    if (pid == 0) {
        close(STDERR_FILENO); /* what it says there is not the test's */
        signal(SIGABRT, SIG_DFL);
        apr_pool_abort_get(child)(APR_ENOMEM);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    apr_pool_destroy(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(an_open_record_is_read_without_memory),
        UNIT(a_sealed_record_is_read_or_nobody_looked),
        UNIT(a_damaged_record_is_never_found_good),
        UNIT(a_record_that_cannot_be_made_is_not_called_malformed),
        UNIT(a_pool_of_nobody_ends_the_process_that_it_cannot_serve),
    };

    if (!CRYPTO_set_mem_functions(give, give_more, take))
        return 1; /* libcrypto has asked for memory already */
    return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
