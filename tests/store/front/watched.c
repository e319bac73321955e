/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watched.c - the breaker's fixture; see watched.h.
 */
#include "watched.h"

#include "bytes.h"

watched_told told;

void watch(void *unused, const idem_health *health)
{
    (void)unused;
    told.last = *health;
    atomic_fetch_add(health->state == IDEM_BREAKER_CLOSED ? &told.closed : &told.opened, 1);
}

int set_up_watched(void **state)
{
    memset(&told, 0, sizeof(told));
    if (set_up_attached(state) != 0)
        return -1;
    idem_front_set_watcher(((bench *)*state)->front, watch, NULL);
    count.calls = 0;
    return 0;
}

idem_health health_of(bench *b)
{
    idem_health health;
    idem_front_health(b->front, &health);
    return health;
}

void fail_always(const char *why)
{
    plan.always = APR_ECONNREFUSED;
    plan.why = why;
}

void open_it(bench *b)
{
    fail_always("nobody is at home");
    for (int i = 0; i < FAILURES; i++) {
        assert_state(b, CLOSED);
        assert_int_equal(claim(b), APR_ECONNREFUSED);
    }
    assert_state(b, OPEN);
    count.calls = 0;
}

void mend_it(void)
{
    plan.always = APR_SUCCESS;
    plan.why = NULL;
}
