/* SPDX-License-Identifier: Apache-2.0 */
/*
 * outcome.h - what was done with a request, and with its lease: two lists and their words.
 *
 * The words stand in environment variables, in the log and in the metrics; docs/manual.md explains them.
 */
#ifndef IDEM_OUTCOME_H
#define IDEM_OUTCOME_H

#include "problem.h"

/* Each guarded request gets one. Behind the three that are not refused stands one for each problem. */
typedef enum idem_outcome {
    IDEM_OUTCOME_NONE, /* undecided */
    IDEM_OUTCOME_EXECUTED,
    IDEM_OUTCOME_REPLAYED,
    IDEM_OUTCOME_BYPASSED,
    IDEM_OUTCOME_REFUSED, /* the first problem's; idem_outcome_of() gives the others */
    IDEM_OUTCOMES = IDEM_OUTCOME_REFUSED + IDEM_PROBLEMS - 1
} idem_outcome;

/* An executed request gets one. */
typedef enum idem_settlement {
    IDEM_SETTLEMENT_NONE,
    IDEM_SETTLEMENT_RECORDED,
    IDEM_SETTLEMENT_TOMBSTONE,
    IDEM_SETTLEMENT_RELEASED,
    IDEM_SETTLEMENT_UNKNOWN,
    IDEM_SETTLEMENT_LOST, /* the slot went to another request */
    IDEM_SETTLEMENTS
} idem_settlement;

/* A request that this problem refuses. NONE for IDEM_PROBLEM_NONE. */
idem_outcome idem_outcome_of(idem_problem problem);

/* "executed", "in-progress"…; NULL for NONE. */
const char *idem_outcome_word(idem_outcome outcome);
const char *idem_settlement_word(idem_settlement settlement);

#endif
