/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_lease.c - every pair of phase and event, against the list of those that may happen.
 *
 * The list is written out a second time here on purpose: a cell of the table that changes by accident must be caught.
 * What is not in the list must fail the request.
 */
#include "unit.h"

#include "lease.h"

static const struct {
    idem_phase phase;
    idem_event event;
    idem_phase next;
    idem_action action;
} expected[] = {
    {IDEM_PHASE_IDLE, IDEM_EV_GUARDED, IDEM_PHASE_CLAIMING, IDEM_DO_CLAIM},
    {IDEM_PHASE_IDLE, IDEM_EV_GONE, IDEM_PHASE_DONE, IDEM_DO_NOTHING},

    {IDEM_PHASE_CLAIMING, IDEM_EV_WON, IDEM_PHASE_HOLDING, IDEM_DO_RUN},
    {IDEM_PHASE_CLAIMING, IDEM_EV_BUSY, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_CLAIMING, IDEM_EV_BUSY_WAIT, IDEM_PHASE_WAITING, IDEM_DO_WAIT},
    {IDEM_PHASE_CLAIMING, IDEM_EV_FOUND, IDEM_PHASE_COMPARING, IDEM_DO_COMPARE},
    {IDEM_PHASE_CLAIMING, IDEM_EV_UNSURE, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_CLAIMING, IDEM_EV_UNSURE_RETRY, IDEM_PHASE_TAKING, IDEM_DO_TAKE_OVER},
    {IDEM_PHASE_CLAIMING, IDEM_EV_STORE_DOWN, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_CLAIMING, IDEM_EV_STORE_BYPASS, IDEM_PHASE_DONE, IDEM_DO_BYPASS},
    {IDEM_PHASE_CLAIMING, IDEM_EV_OVER_LIMIT, IDEM_PHASE_DONE, IDEM_DO_REFUSE},

    {IDEM_PHASE_TAKING, IDEM_EV_WON, IDEM_PHASE_HOLDING, IDEM_DO_RUN},
    {IDEM_PHASE_TAKING, IDEM_EV_LOST, IDEM_PHASE_CLAIMING, IDEM_DO_CLAIM},
    {IDEM_PHASE_TAKING, IDEM_EV_STORE_DOWN, IDEM_PHASE_DONE, IDEM_DO_REFUSE},

    {IDEM_PHASE_WAITING, IDEM_EV_BUSY, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_WAITING, IDEM_EV_FOUND, IDEM_PHASE_COMPARING, IDEM_DO_COMPARE},
    {IDEM_PHASE_WAITING, IDEM_EV_RELEASED, IDEM_PHASE_CLAIMING, IDEM_DO_CLAIM},
    {IDEM_PHASE_WAITING, IDEM_EV_UNSURE, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_WAITING, IDEM_EV_UNSURE_RETRY, IDEM_PHASE_TAKING, IDEM_DO_TAKE_OVER},
    {IDEM_PHASE_WAITING, IDEM_EV_TIMEOUT, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_WAITING, IDEM_EV_WAITERS_FULL, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_WAITING, IDEM_EV_STORE_DOWN, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_WAITING, IDEM_EV_GONE, IDEM_PHASE_DONE, IDEM_DO_NOTHING},

    {IDEM_PHASE_COMPARING, IDEM_EV_SAME, IDEM_PHASE_DONE, IDEM_DO_REPLAY},
    {IDEM_PHASE_COMPARING, IDEM_EV_SAME_TOMBSTONE, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_COMPARING, IDEM_EV_DIFFERENT, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_COMPARING, IDEM_EV_UNSURE, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_COMPARING, IDEM_EV_BODY_CUT, IDEM_PHASE_DONE, IDEM_DO_NOTHING},

    /* nothing has run: the slot is given back */
    {IDEM_PHASE_HOLDING, IDEM_EV_STARTED, IDEM_PHASE_RUNNING, IDEM_DO_ENTER},
    {IDEM_PHASE_HOLDING, IDEM_EV_LOST, IDEM_PHASE_CLAIMING, IDEM_DO_CLAIM},
    {IDEM_PHASE_HOLDING, IDEM_EV_STORE_DOWN, IDEM_PHASE_DONE, IDEM_DO_REFUSE},
    {IDEM_PHASE_HOLDING, IDEM_EV_GONE, IDEM_PHASE_DONE, IDEM_DO_RELEASE},
    {IDEM_PHASE_HOLDING, IDEM_EV_OVER_LIMIT, IDEM_PHASE_DONE, IDEM_DO_RELEASE_REFUSE},

    /* the handler may have acted: whoever leaves, the slot is not given back */
    {IDEM_PHASE_RUNNING, IDEM_EV_RECORDED, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_RECORD},
    {IDEM_PHASE_RUNNING, IDEM_EV_OVERSIZE, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_TOMBSTONE},
    {IDEM_PHASE_RUNNING, IDEM_EV_RETRYABLE, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_RELEASE},
    {IDEM_PHASE_RUNNING, IDEM_EV_DECLINED, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_RELEASE},
    {IDEM_PHASE_RUNNING, IDEM_EV_CUT, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_UNKNOWN},
    {IDEM_PHASE_RUNNING, IDEM_EV_BODY_CUT, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_UNKNOWN},
    {IDEM_PHASE_RUNNING, IDEM_EV_GONE, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_UNKNOWN},

    {IDEM_PHASE_SETTLING, IDEM_EV_ACKED, IDEM_PHASE_DONE, IDEM_DO_ANSWER},
    {IDEM_PHASE_SETTLING, IDEM_EV_LOST, IDEM_PHASE_DONE, IDEM_DO_ANSWER_FROM_SLOT},
    {IDEM_PHASE_SETTLING, IDEM_EV_STORE_DOWN, IDEM_PHASE_DONE, IDEM_DO_KEEP},
    {IDEM_PHASE_SETTLING, IDEM_EV_STORE_FULL, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_TOMBSTONE},
    {IDEM_PHASE_SETTLING, IDEM_EV_TOO_BIG, IDEM_PHASE_SETTLING, IDEM_DO_SETTLE_TOMBSTONE},
};

static idem_step expected_step(idem_phase phase, idem_event event)
{
    idem_step step = {IDEM_PHASE_DONE, IDEM_DO_FAIL};

    for (size_t i = 0; i < UNIT_COUNT(expected); i++)
        if (expected[i].phase == phase && expected[i].event == event) {
            step.next = expected[i].next;
            step.action = expected[i].action;
        }
    return step;
}

static void every_pair_does_what_is_written(void **state)
{
    (void)state;
    for (int p = 0; p < IDEM_PHASES; p++)
        for (int e = 0; e < IDEM_EVENTS; e++) {
            idem_step want = expected_step((idem_phase)p, (idem_event)e);
            idem_step got = idem_lease_step((idem_phase)p, (idem_event)e);

            if (got.next != want.next || got.action != want.action)
                fail_msg("%s, %s: %s and \"%s\", expected %s and \"%s\"", idem_phase_name((idem_phase)p),
                         idem_event_name((idem_event)e), idem_phase_name(got.next), idem_action_name(got.action),
                         idem_phase_name(want.next), idem_action_name(want.action));
        }
}

static void the_list_holds_no_pair_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(expected); i++)
        for (size_t j = 0; j < i; j++)
            assert_false(expected[i].phase == expected[j].phase && expected[i].event == expected[j].event);
}

/* Whatever happens after a request is done is a bug, and no way leads out of DONE. */
static void done_is_the_end(void **state)
{
    (void)state;
    for (int e = 0; e < IDEM_EVENTS; e++) {
        idem_step step = idem_lease_step(IDEM_PHASE_DONE, (idem_event)e);
        assert_int_equal(step.next, IDEM_PHASE_DONE);
        assert_int_equal(step.action, IDEM_DO_FAIL);
    }
}

static void mark_reached(idem_phase phase, int *reached)
{
    reached[phase] = 1;
    for (int e = 0; e < IDEM_EVENTS; e++) {
        idem_phase next = idem_lease_step(phase, (idem_event)e).next;
        if (!reached[next])
            mark_reached(next, reached);
    }
}

/* Each phase can be come to from the first, and each can come to an end. */
static void no_phase_is_left_out_and_none_is_a_trap(void **state)
{
    (void)state;
    for (int p = 0; p < IDEM_PHASES; p++) {
        int from_here[IDEM_PHASES] = {0}, from_idle[IDEM_PHASES] = {0};

        mark_reached((idem_phase)p, from_here);
        assert_true(from_here[IDEM_PHASE_DONE]);
        mark_reached(IDEM_PHASE_IDLE, from_idle);
        assert_true(from_idle[p]);
    }
}

static void assert_distinct(const char *(*name)(int), int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(name(i) && *name(i));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name(i), name(j));
    }
}

static const char *phase_name(int i)
{
    return idem_phase_name((idem_phase)i);
}

static const char *event_name(int i)
{
    return idem_event_name((idem_event)i);
}

static const char *action_name(int i)
{
    return idem_action_name((idem_action)i);
}

static void everything_has_a_name_of_its_own(void **state)
{
    (void)state;
    assert_distinct(phase_name, IDEM_PHASES);
    assert_distinct(event_name, IDEM_EVENTS);
    assert_distinct(action_name, IDEM_ACTIONS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(every_pair_does_what_is_written),         UNIT(the_list_holds_no_pair_twice),     UNIT(done_is_the_end),
        UNIT(no_phase_is_left_out_and_none_is_a_trap), UNIT(everything_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
