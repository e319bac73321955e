/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome.c - the words of outcomes and settlements.
 *
 * Called by whoever writes one down: transactions, DetectionOnly, metrics. A refusal's word is its problem's name.
 */
#include "outcome.h"

static const char *const outcomes[IDEM_OUTCOME_REFUSED] = {
    [IDEM_OUTCOME_EXECUTED] = "executed",
    [IDEM_OUTCOME_REPLAYED] = "replayed",
    [IDEM_OUTCOME_BYPASSED] = "bypassed",
};

static const char *const settlements[IDEM_SETTLEMENTS] = {
    [IDEM_SETTLEMENT_RECORDED] = "recorded", [IDEM_SETTLEMENT_TOMBSTONE] = "tombstone",
    [IDEM_SETTLEMENT_RELEASED] = "released", [IDEM_SETTLEMENT_UNKNOWN] = "unknown",
    [IDEM_SETTLEMENT_LOST] = "lost",
};

idem_outcome idem_outcome_of(idem_problem problem)
{
    return problem == IDEM_PROBLEM_NONE ? IDEM_OUTCOME_NONE : (idem_outcome)(IDEM_OUTCOME_REFUSED + problem - 1);
}

const char *idem_outcome_word(idem_outcome outcome)
{
    if (outcome < IDEM_OUTCOME_REFUSED)
        return outcomes[outcome];
    return idem_problem_info_of((idem_problem)(outcome - IDEM_OUTCOME_REFUSED + 1))->name;
}

const char *idem_settlement_word(idem_settlement settlement)
{
    return settlements[settlement];
}
