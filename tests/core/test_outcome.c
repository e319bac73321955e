/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_outcome.c - each outcome and each settlement has a word of its own; a refusal has its problem's.
 */
#include "unit.h"

#include "outcome.h"

static void outcomes_have_words_of_their_own(void **state)
{
    (void)state;
    assert_null(idem_outcome_word(IDEM_OUTCOME_NONE));
    for (int one = IDEM_OUTCOME_NONE + 1; one < IDEM_OUTCOMES; one++)
        for (int other = IDEM_OUTCOME_NONE + 1; other < one; other++)
            assert_string_not_equal(idem_outcome_word((idem_outcome)one), idem_outcome_word((idem_outcome)other));
    assert_string_equal(idem_outcome_word(IDEM_OUTCOME_EXECUTED), "executed");
    assert_string_equal(idem_outcome_word(IDEM_OUTCOME_REPLAYED), "replayed");
    assert_string_equal(idem_outcome_word(IDEM_OUTCOME_BYPASSED), "bypassed");
}

static void a_refusal_has_the_word_of_its_problem(void **state)
{
    (void)state;
    assert_int_equal(idem_outcome_of(IDEM_PROBLEM_NONE), IDEM_OUTCOME_NONE);
    for (int problem = IDEM_PROBLEM_NONE + 1; problem < IDEM_PROBLEMS; problem++) {
        idem_outcome outcome = idem_outcome_of((idem_problem)problem);

        assert_true(outcome >= IDEM_OUTCOME_REFUSED && outcome < IDEM_OUTCOMES);
        assert_string_equal(idem_outcome_word(outcome), idem_problem_info_of((idem_problem)problem)->name);
    }
}

static void settlements_have_words_of_their_own(void **state)
{
    (void)state;
    assert_null(idem_settlement_word(IDEM_SETTLEMENT_NONE));
    for (int one = IDEM_SETTLEMENT_NONE + 1; one < IDEM_SETTLEMENTS; one++)
        for (int other = IDEM_SETTLEMENT_NONE + 1; other < one; other++)
            assert_string_not_equal(idem_settlement_word((idem_settlement)one),
                                    idem_settlement_word((idem_settlement)other));
    assert_string_equal(idem_settlement_word(IDEM_SETTLEMENT_RECORDED), "recorded");
    assert_string_equal(idem_settlement_word(IDEM_SETTLEMENT_LOST), "lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(outcomes_have_words_of_their_own),
        UNIT(a_refusal_has_the_word_of_its_problem),
        UNIT(settlements_have_words_of_their_own),
    };

    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
