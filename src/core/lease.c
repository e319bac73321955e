/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.c - the table of lease.h: phases down, events across, each cell the next phase and what to do.
 *
 * A cell that is not written is a pair that must not happen. idem_step{0,0} cannot be told from a written cell, so a
 * written cell never has next == IDEM_PHASE_IDLE: nothing returns there.
 *
 * Read the cells GONE and CUT first. Before the handler is entered the slot is given back. Afterwards it never is,
 * because the handler may have acted.
 */
#include "lease.h"

#include <assert.h>

/* clang-format off */
#define TO(phase, action) {IDEM_PHASE_##phase, IDEM_DO_##action}

static const idem_step table[IDEM_PHASES][IDEM_EVENTS] = {
    [IDEM_PHASE_IDLE] =
        {
            [IDEM_EV_GUARDED] = TO(CLAIMING, CLAIM),
            [IDEM_EV_GONE] = TO(DONE, NOTHING),
        },
    [IDEM_PHASE_CLAIMING] =
        {
            [IDEM_EV_WON] = TO(HOLDING, RUN),
            [IDEM_EV_BUSY] = TO(DONE, REFUSE),
            [IDEM_EV_BUSY_WAIT] = TO(WAITING, WAIT),
            [IDEM_EV_FOUND] = TO(COMPARING, COMPARE),
            [IDEM_EV_UNSURE] = TO(DONE, REFUSE),
            [IDEM_EV_UNSURE_RETRY] = TO(TAKING, TAKE_OVER),
            [IDEM_EV_STORE_DOWN] = TO(DONE, REFUSE),
            [IDEM_EV_STORE_BYPASS] = TO(DONE, BYPASS),
            [IDEM_EV_OVER_LIMIT] = TO(DONE, REFUSE), /* looked for it instead of claiming it */
        },
    [IDEM_PHASE_TAKING] =
        {
            [IDEM_EV_WON] = TO(HOLDING, RUN),
            [IDEM_EV_LOST] = TO(CLAIMING, CLAIM),
            [IDEM_EV_STORE_DOWN] = TO(DONE, REFUSE),
        },
    [IDEM_PHASE_WAITING] =
        {
            [IDEM_EV_BUSY] = TO(DONE, REFUSE), /* the slot's next owner runs another request */
            [IDEM_EV_FOUND] = TO(COMPARING, COMPARE),
            [IDEM_EV_RELEASED] = TO(CLAIMING, CLAIM),
            [IDEM_EV_UNSURE] = TO(DONE, REFUSE),
            [IDEM_EV_UNSURE_RETRY] = TO(TAKING, TAKE_OVER),
            [IDEM_EV_TIMEOUT] = TO(DONE, REFUSE),
            [IDEM_EV_WAITERS_FULL] = TO(DONE, REFUSE),
            [IDEM_EV_STORE_DOWN] = TO(DONE, REFUSE),
            [IDEM_EV_GONE] = TO(DONE, NOTHING),
        },
    [IDEM_PHASE_COMPARING] =
        {
            [IDEM_EV_SAME] = TO(DONE, REPLAY),
            [IDEM_EV_SAME_TOMBSTONE] = TO(DONE, REFUSE),
            [IDEM_EV_DIFFERENT] = TO(DONE, REFUSE),
            [IDEM_EV_UNSURE] = TO(DONE, REFUSE),
            [IDEM_EV_BODY_CUT] = TO(DONE, NOTHING),
        },
    [IDEM_PHASE_HOLDING] =
        {
            [IDEM_EV_STARTED] = TO(RUNNING, ENTER),
            [IDEM_EV_LOST] = TO(CLAIMING, CLAIM), /* a lease that nobody renewed in time, and nothing has run */
            [IDEM_EV_STORE_DOWN] = TO(DONE, REFUSE),
            [IDEM_EV_GONE] = TO(DONE, RELEASE),
            [IDEM_EV_OVER_LIMIT] = TO(DONE, RELEASE_REFUSE),
        },
    [IDEM_PHASE_RUNNING] =
        {
            [IDEM_EV_RECORDED] = TO(SETTLING, SETTLE_RECORD),
            [IDEM_EV_OVERSIZE] = TO(SETTLING, SETTLE_TOMBSTONE),
            [IDEM_EV_RETRYABLE] = TO(SETTLING, SETTLE_RELEASE),
            [IDEM_EV_DECLINED] = TO(SETTLING, SETTLE_RELEASE),
            [IDEM_EV_CUT] = TO(SETTLING, SETTLE_UNKNOWN),
            [IDEM_EV_BODY_CUT] = TO(SETTLING, SETTLE_UNKNOWN),
            [IDEM_EV_GONE] = TO(SETTLING, SETTLE_UNKNOWN),
        },
    [IDEM_PHASE_SETTLING] =
        {
            [IDEM_EV_ACKED] = TO(DONE, ANSWER),
            [IDEM_EV_LOST] = TO(DONE, ANSWER_FROM_SLOT),
            [IDEM_EV_STORE_DOWN] = TO(DONE, KEEP),
            [IDEM_EV_STORE_FULL] = TO(SETTLING, SETTLE_TOMBSTONE),
            [IDEM_EV_TOO_BIG] = TO(SETTLING, SETTLE_TOMBSTONE),
        },
};
/* clang-format on */

static const char *const phase_names[IDEM_PHASES] = {
    [IDEM_PHASE_IDLE] = "IDLE",       [IDEM_PHASE_CLAIMING] = "CLAIMING",   [IDEM_PHASE_TAKING] = "TAKING",
    [IDEM_PHASE_WAITING] = "WAITING", [IDEM_PHASE_COMPARING] = "COMPARING", [IDEM_PHASE_HOLDING] = "HOLDING",
    [IDEM_PHASE_RUNNING] = "RUNNING", [IDEM_PHASE_SETTLING] = "SETTLING",   [IDEM_PHASE_DONE] = "DONE",
};

static const char *const event_names[IDEM_EVENTS] = {
    [IDEM_EV_GUARDED] = "GUARDED",
    [IDEM_EV_WON] = "WON",
    [IDEM_EV_BUSY] = "BUSY",
    [IDEM_EV_BUSY_WAIT] = "BUSY_WAIT",
    [IDEM_EV_FOUND] = "FOUND",
    [IDEM_EV_UNSURE] = "UNSURE",
    [IDEM_EV_UNSURE_RETRY] = "UNSURE_RETRY",
    [IDEM_EV_STORE_DOWN] = "STORE_DOWN",
    [IDEM_EV_STORE_BYPASS] = "STORE_BYPASS",
    [IDEM_EV_STORE_FULL] = "STORE_FULL",
    [IDEM_EV_TOO_BIG] = "TOO_BIG",
    [IDEM_EV_LOST] = "LOST",
    [IDEM_EV_RELEASED] = "RELEASED",
    [IDEM_EV_TIMEOUT] = "TIMEOUT",
    [IDEM_EV_WAITERS_FULL] = "WAITERS_FULL",
    [IDEM_EV_SAME] = "SAME",
    [IDEM_EV_SAME_TOMBSTONE] = "SAME_TOMBSTONE",
    [IDEM_EV_DIFFERENT] = "DIFFERENT",
    [IDEM_EV_OVER_LIMIT] = "OVER_LIMIT",
    [IDEM_EV_BODY_CUT] = "BODY_CUT",
    [IDEM_EV_GONE] = "GONE",
    [IDEM_EV_STARTED] = "STARTED",
    [IDEM_EV_DECLINED] = "DECLINED",
    [IDEM_EV_RECORDED] = "RECORDED",
    [IDEM_EV_OVERSIZE] = "OVERSIZE",
    [IDEM_EV_RETRYABLE] = "RETRYABLE",
    [IDEM_EV_CUT] = "CUT",
    [IDEM_EV_ACKED] = "ACKED",
};

static const char *const action_names[IDEM_ACTIONS] = {
    [IDEM_DO_NOTHING] = "nothing",
    [IDEM_DO_CLAIM] = "claim",
    [IDEM_DO_TAKE_OVER] = "take over",
    [IDEM_DO_WAIT] = "wait",
    [IDEM_DO_COMPARE] = "compare",
    [IDEM_DO_RUN] = "prepare the handler",
    [IDEM_DO_ENTER] = "enter the handler",
    [IDEM_DO_REFUSE] = "refuse",
    [IDEM_DO_BYPASS] = "run unguarded",
    [IDEM_DO_REPLAY] = "replay",
    [IDEM_DO_RELEASE] = "release",
    [IDEM_DO_RELEASE_REFUSE] = "release, then refuse",
    [IDEM_DO_SETTLE_RECORD] = "settle record",
    [IDEM_DO_SETTLE_TOMBSTONE] = "settle tombstone",
    [IDEM_DO_SETTLE_UNKNOWN] = "settle unknown",
    [IDEM_DO_SETTLE_RELEASE] = "release, as the application says",
    [IDEM_DO_ANSWER] = "answer",
    [IDEM_DO_ANSWER_FROM_SLOT] = "answer from the slot",
    [IDEM_DO_KEEP] = "answer, the keeper repeats",
    [IDEM_DO_FAIL] = "fail",
};

idem_step idem_lease_step(idem_phase phase, idem_event event)
{
    static const idem_step impossible = {IDEM_PHASE_DONE, IDEM_DO_FAIL};

    assert((unsigned)phase < IDEM_PHASES && (unsigned)event < IDEM_EVENTS);
    if (table[phase][event].next == IDEM_PHASE_IDLE)
        return impossible;
    return table[phase][event];
}

const char *idem_phase_name(idem_phase phase)
{
    return phase_names[phase];
}

const char *idem_event_name(idem_event event)
{
    return event_names[event];
}

const char *idem_action_name(idem_action action)
{
    return action_names[action];
}
