/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock.c - the store's clock, see clock.h. Called by the lmdb driver, and by the locks for their deadlines.
 *
 * It never goes backwards. Between two readings it advances by at least the real time, and by at most 1/IDEM_CLOCK_LEAN
 * more.
 */
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Below this the lean would be rounded away if the anchor moved with every look. */
#define ANCHOR_MOVES_AFTER 1000

apr_time_t idem_clock_step(idem_clock_state *state, apr_time_t wall, apr_time_t uptime)
{
    apr_time_t passed = uptime > state->anchor ? uptime - state->anchor : 0;
    apr_time_t least = state->base + passed;
    apr_time_t most = least + passed / IDEM_CLOCK_LEAN;
    apr_time_t now = wall < least ? least : wall > most ? most : wall;

    if (now < state->last)
        now = state->last;
    state->last = now;
    if (passed >= ANCHOR_MOVES_AFTER) {
        state->base = now;
        state->anchor = uptime;
    }
    return now;
}

static apr_time_t timespec_micros(const struct timespec *t)
{
    return (apr_time_t)t->tv_sec * APR_USEC_PER_SEC + (apr_time_t)t->tv_nsec / 1000;
}

apr_time_t idem_clock_uptime(void)
{
    struct timespec t;
#ifdef CLOCK_BOOTTIME
    if (clock_gettime(CLOCK_BOOTTIME, &t) == 0)
        return timespec_micros(&t);
#endif
    clock_gettime(CLOCK_MONOTONIC, &t);
    return timespec_micros(&t);
}

void idem_clock_start(idem_clock *clock, apr_time_t now)
{
    pthread_mutex_init(&clock->lock, NULL);
    clock->state.base = clock->state.last = now;
    clock->state.anchor = idem_clock_uptime();
}

apr_time_t idem_clock_now(idem_clock *clock)
{
    apr_time_t now;
    pthread_mutex_lock(&clock->lock);
    now = idem_clock_step(&clock->state, apr_time_now(), idem_clock_uptime());
    pthread_mutex_unlock(&clock->lock);
    return now;
}

void idem_clock_raise(idem_clock *clock, apr_time_t at_least)
{
    apr_time_t uptime = idem_clock_uptime();
    pthread_mutex_lock(&clock->lock);
    if (at_least > idem_clock_step(&clock->state, apr_time_now(), uptime)) {
        clock->state.base = clock->state.last = at_least;
        clock->state.anchor = uptime;
    }
    pthread_mutex_unlock(&clock->lock);
}

void idem_clock_stop(idem_clock *clock)
{
    pthread_mutex_destroy(&clock->lock);
}

apr_status_t idem_clock_boot_id(char out[IDEM_BOOT_ID_LEN + 1])
{
    ssize_t got;
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return APR_ENOTIMPL;
    got = read(fd, out, IDEM_BOOT_ID_LEN);
    close(fd);
    if (got != IDEM_BOOT_ID_LEN)
        return APR_ENOTIMPL;
    out[IDEM_BOOT_ID_LEN] = '\0';
    return APR_SUCCESS;
}

struct timespec idem_clock_deadline(apr_time_t deadline)
{
    struct timespec t;
    apr_time_t left = deadline - apr_time_now();
    apr_time_t at;

    clock_gettime(CLOCK_MONOTONIC, &t);
    at = timespec_micros(&t) + (left > 0 ? left : 0);
    t.tv_sec = (time_t)(at / APR_USEC_PER_SEC);
    t.tv_nsec = (long)(at % APR_USEC_PER_SEC) * 1000;
    return t;
}
