/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.c - reads a store's file from end to end, for the probe of open.c.
 *
 * LMDB trusts its file: a damaged page makes it read wild pointers. So this runs only in a process that may die of it.
 * It touches what a server would touch: every entry's key, the first and last byte of its value, and every row of the
 * time index. It also reads the list of free pages, since damage there would overwrite live pages. What it says itself
 * is the gentle half of the verdict.
 */
#include "lmdb_private.h"

#include <stdio.h>

#define WALK_TIME (2 * APR_USEC_PER_SEC) /* a start must not wait for a terabyte */
#define LOOKS_BETWEEN_CLOCKS 256

typedef struct walk {
    MDB_txn *txn;
    apr_uint64_t page; /* bytes */
    apr_time_t until;  /* uptime; 0: no end */
    apr_uint64_t looks;
    apr_uint64_t last_page;
    int stopped;
} walk;

static int time_is_up(walk *w)
{
    if (w->until && ++w->looks % LOOKS_BETWEEN_CLOCKS == 0 && idem_clock_uptime() > w->until)
        w->stopped = 1;
    return w->stopped;
}

/* Faults the value's pages in; volatile so that it really happens. */
static void touch_pages(const MDB_val *v)
{
    volatile const unsigned char *p = v->mv_data;
    if (v->mv_size > 0) {
        (void)p[0];
        (void)p[v->mv_size - 1];
    }
}

/*
 * A long value begins right behind the header of a page of its own. LMDB 0.9 has kept that header since its first
 * release: page number (8), unused (2), flags (2), number of pages (4). Reading does not look at it, but freeing
 * believes it.
 */
static int long_value_fault(const walk *w, const MDB_val *data)
{
    enum { HEADER = 16, FLAGS_AT = 10, PAGES_AT = 12, OVERFLOW = 0x04 };
    const unsigned char *header = (const unsigned char *)data->mv_data - HEADER;
    apr_uint16_t flags;
    apr_uint32_t pages;

    if ((apr_uintptr_t)header % w->page != 0)
        return 0; /* a short one, inside a page of many */
    memcpy(&flags, header + FLAGS_AT, sizeof(flags));
    memcpy(&pages, header + PAGES_AT, sizeof(pages));
    return flags != OVERFLOW || pages != (data->mv_size + HEADER + w->page - 1) / w->page;
}

static const char *entry_fault(walk *w, const MDB_val *key, const MDB_val *data)
{
    if (key->mv_size != IDEM_SLOT_LEN)
        return "a slot of the wrong length";
    if (data->mv_size < 8)
        return "an entry without its expiry";
    return long_value_fault(w, data) ? "a long value without its page header" : NULL;
}

static const char *time_fault(walk *w, const MDB_val *key, const MDB_val *data)
{
    (void)w;
    return key->mv_size != 8 + IDEM_SLOT_LEN || data->mv_size != 0 ? "a malformed row in the index by time" : NULL;
}

/* Each row: how many, then the page numbers. */
static const char *free_fault(walk *w, const MDB_val *key, const MDB_val *data)
{
    const size_t *list = data->mv_data;

    if (key->mv_size != sizeof(size_t) || data->mv_size < sizeof(size_t) ||
        list[0] > data->mv_size / sizeof(size_t) - 1)
        return "a malformed list of free pages";
    for (size_t i = 1; i <= list[0]; i++) {
        if (list[i] < 2 || list[i] > w->last_page)
            return "a free page outside the file";
    }
    return NULL;
}

typedef const char *fault_finder(walk *w, const MDB_val *key, const MDB_val *data);

static int walk_table(walk *w, MDB_dbi table, fault_finder *fault_of, apr_uint64_t *rows, const char **fault)
{
    MDB_cursor *cursor;
    MDB_val key, data;
    int rc = mdb_cursor_open(w->txn, table, &cursor);

    *rows = 0;
    if (rc != 0)
        return rc;
    while (!*fault && !time_is_up(w) && (rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
        touch_pages(&data);
        *fault = fault_of(w, &key, &data);
        ++*rows;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int walk_tables(walk *w, const MDB_dbi dbi[3], const char **fault)
{
    enum { FREE_TABLE = 0 };
    apr_uint64_t slots = 0, times = 0, lists;
    int rc = walk_table(w, FREE_TABLE, free_fault, &lists, fault);

    if (rc == 0)
        rc = walk_table(w, dbi[0], entry_fault, &slots, fault);
    if (rc == 0)
        rc = walk_table(w, dbi[1], time_fault, &times, fault);
    if (rc == 0 && !*fault && !w->stopped && slots != times)
        *fault = "entries that the index by time does not know";
    return rc;
}

apr_status_t idem_lmdb_walk(MDB_env *mdb, const MDB_dbi dbi[3], const char *dir, int thorough, char *why)
{
    walk w = {.until = thorough ? 0 : idem_clock_uptime() + WALK_TIME};
    const char *fault = NULL;
    MDB_envinfo info;
    MDB_stat stats;
    int rc = mdb_env_info(mdb, &info);

    if (rc == 0)
        rc = mdb_env_stat(mdb, &stats);
    if (rc == 0) {
        w.last_page = info.me_last_pgno;
        w.page = stats.ms_psize;
        rc = mdb_txn_begin(mdb, NULL, MDB_RDONLY, &w.txn);
    }
    if (rc == 0) {
        rc = walk_tables(&w, dbi, &fault);
        mdb_txn_abort(w.txn);
    }
    if (rc == 0 && !fault)
        return APR_SUCCESS;
    snprintf(why, LMDB_WHY,
             "%s/" LMDB_DATA " is damaged (%s): stop the server and move the file away; keys used before can "
             "then run again",
             dir, fault ? fault : mdb_strerror(rc));
    return IDEM_EDAMAGED;
}
