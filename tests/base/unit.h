/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unit.h - what the unit tests share: a pool per test, and inputs that end where memory cannot be read.
 *
 * Every input of a parser or decoder is placed right before a PROT_NONE page. Reading one byte too many crashes the
 * test instead of passing by luck. Random data comes from a seed written in the test: each run is the same run.
 */
#ifndef IDEM_UNIT_H
#define IDEM_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <sys/mman.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "bytes.h"

/* A test that finds its pool in *state. */
#define UNIT(test) cmocka_unit_test_setup_teardown(test, unit_setup, unit_teardown)
#define UNIT_COUNT(array) (sizeof(array) / sizeof *(array))

static inline int unit_setup(void **state)
{
    if (apr_initialize() != APR_SUCCESS)
        return -1;
    return apr_pool_create((apr_pool_t **)state, NULL) == APR_SUCCESS ? 0 : -1;
}

static inline int unit_teardown(void **state)
{
    apr_pool_destroy(*state);
    apr_terminate();
    return 0;
}

/* Writable memory of some pages with an unreadable one behind it; unmapped with its pool. */
typedef struct unit_area {
    unsigned char *start, *end; /* end: the first byte of the unreadable page */
    size_t mapped;
} unit_area;

static inline apr_status_t unit_unmap(void *data)
{
    unit_area *area = data;

    return munmap(area->start, area->mapped) ? APR_EGENERAL : APR_SUCCESS;
}

static inline unit_area *unit_area_create(apr_pool_t *pool, size_t room)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (room + page - 1) / page * page;
    unit_area *area = apr_palloc(pool, sizeof *area);

    area->mapped = size + page;
    area->start = mmap(NULL, area->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(area->start, MAP_FAILED);
    area->end = area->start + size;
    assert_int_equal(mprotect(area->end, page, PROT_NONE), 0);
    apr_pool_cleanup_register(pool, area, unit_unmap, apr_pool_cleanup_null);
    return area;
}

/* A copy of data whose last byte is the last readable one; it stands until the next is placed in the area. */
static inline idem_blob unit_place(unit_area *area, const void *data, size_t len)
{
    assert_true(len <= (size_t)(area->end - area->start));
    return idem_blob_of(len ? memmove(area->end - len, data, len) : area->end, len);
}

static inline idem_blob unit_guarded(apr_pool_t *pool, const void *data, size_t len)
{
    return unit_place(unit_area_create(pool, len), data, len);
}

static inline const char *unit_guarded_text(apr_pool_t *pool, const char *text)
{
    return (const char *)unit_guarded(pool, text, strlen(text) + 1).data;
}

/* xorshift; *seed must not be 0. */
static inline uint32_t unit_random(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static inline void unit_assert_hex(const void *data, size_t len, const char *hex)
{
    static const char digits[] = "0123456789abcdef";
    char text[2 * 64 + 1] = "";

    assert_true(2 * len < sizeof text);
    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[((const unsigned char *)data)[i] >> 4];
        text[2 * i + 1] = digits[((const unsigned char *)data)[i] & 15];
    }
    assert_string_equal(text, hex);
}

#endif
