/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.c - how an entry lies in LMDB, and what can be said about it inside one transaction.
 *
 *   table "slots"   slot (32)                     -> expiry (8), value
 *   table "times"   expiry (8), slot (32)         -> nothing
 *   table "meta"    "layout" -> version; "clock" -> store's time (8), uptime (8), boot id (36)
 *
 * Numbers are big-endian, so that "times" is ordered by time. Expiries are milliseconds of the store's clock. Each
 * function that changes a slot changes its row in "times" in the same transaction; nothing else writes to either table.
 * A value that is returned lies in the map. It is gone when the transaction ends or writes.
 */
#include "lmdb_private.h"

#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPIRY_LEN 8
#define TIMES_KEY_LEN (EXPIRY_LEN + IDEM_SLOT_LEN)

/* A head that asks for more than a century is damaged or a joke; the sum must not overflow. */
#define TTL_MOST_MS ((apr_uint64_t)100 * 366 * 86400 * 1000)

/* The room that a claim must leave: a tenth of the map, but at least this much where that is no more than a quarter. */
#define RESERVE_LEAST ((apr_uint64_t)4 << 20)

/* How far a sweep looks past entries that it must leave, which are leases whose owners outlived their time. */
#define LOOK_PAST_MOST 1000

static MDB_val val_of(const void *data, size_t len)
{
    MDB_val v;
    v.mv_size = len;
    v.mv_data = (void *)(apr_uintptr_t)data; /* LMDB does not write to keys */
    return v;
}

static apr_int64_t now_ms(lmdb_base *base)
{
    return apr_time_as_msec(idem_clock_now(&base->clock));
}

static void times_key(unsigned char key[TIMES_KEY_LEN], apr_int64_t expires, const unsigned char *slot)
{
    idem_put_bytes(idem_put(key, (apr_uint64_t)expires, EXPIRY_LEN), slot, IDEM_SLOT_LEN);
}

void idem_lmdb_decode(lmdb_base *base, idem_blob stored, lmdb_entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    entry->stored = entry->there = 1;
    if (stored.len < EXPIRY_LEN)
        return; /* torn beyond recognition: it stands until somebody forgets it */

    entry->now = now_ms(base);
    entry->expires = (apr_int64_t)idem_value_number(stored.data, EXPIRY_LEN);
    entry->value = idem_blob_of(stored.data + EXPIRY_LEN, stored.len - EXPIRY_LEN);
    if (idem_value_plausible(entry->value)) {
        entry->state = idem_value_state(entry->value);
        if (entry->state == IDEM_STATE_LEASE)
            entry->owner_dead = !idem_liveness_alive(base->liveness, idem_value_owner(entry->value));
    }
    if (entry->state == IDEM_STATE_LEASE && !entry->owner_dead)
        return; /* a live owner's lease never expires */
    entry->there = entry->expires <= 0 || entry->expires > entry->now;
}

int idem_lmdb_look(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, lmdb_entry *entry)
{
    MDB_val key = val_of(slot, IDEM_SLOT_LEN), data;
    int rc = mdb_get(txn, base->slots, &key, &data);

    if (rc == MDB_NOTFOUND) {
        memset(entry, 0, sizeof(*entry));
        return 0;
    }
    if (rc == 0)
        idem_lmdb_decode(base, idem_blob_of(data.mv_data, data.mv_size), entry);
    return rc;
}

int idem_lmdb_has_token(const lmdb_entry *entry, const unsigned char *token)
{
    return entry->state != 0 && idem_equal_ct(idem_value_token(entry->value), token, IDEM_TOKEN_LEN);
}

static int erase_time(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, apr_int64_t expires)
{
    unsigned char at[TIMES_KEY_LEN];
    MDB_val key = val_of(at, sizeof(at));
    int rc;

    times_key(at, expires, slot);
    rc = mdb_del(txn, base->times, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int idem_lmdb_write(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, const lmdb_entry *old, idem_blob value)
{
    unsigned char at[TIMES_KEY_LEN];
    apr_uint64_t ttl = idem_value_number(value.data + 8, 8);
    /* The millisecond that has begun counts as over: never expire early. */
    apr_int64_t expires = now_ms(base) + 1 + (apr_int64_t)(ttl < TTL_MOST_MS ? ttl : TTL_MOST_MS);
    MDB_val key, data;
    int rc = old->stored ? erase_time(base, txn, slot, old->expires) : 0;

    if (rc != 0)
        return rc;
    key = val_of(slot, IDEM_SLOT_LEN);
    data = val_of(NULL, EXPIRY_LEN + value.len);
    rc = mdb_put(txn, base->slots, &key, &data, old->stored ? MDB_RESERVE : MDB_RESERVE | MDB_NOOVERWRITE);
    if (rc != 0)
        return rc;
    idem_put_bytes(idem_put(data.mv_data, (apr_uint64_t)expires, EXPIRY_LEN), value.data, value.len);

    times_key(at, expires, slot);
    key = val_of(at, sizeof(at));
    data = val_of("", 0);
    return mdb_put(txn, base->times, &key, &data, 0);
}

int idem_lmdb_erase(lmdb_base *base, MDB_txn *txn, const unsigned char *slot, const lmdb_entry *old)
{
    MDB_val key = val_of(slot, IDEM_SLOT_LEN);
    int rc = erase_time(base, txn, slot, old->expires);
    return rc ? rc : mdb_del(txn, base->slots, &key, NULL);
}

/* ---- by time ----------------------------------------------------------------------------------------------------- */

/* A row of "times" that is due, and its slot's entry. */
typedef struct lmdb_due {
    unsigned char key[TIMES_KEY_LEN]; /* a copy: the map's own moves when something is erased */
    lmdb_entry entry;
    int matches; /* it is this row that says when the entry expires */
} lmdb_due;

/* Moves to the next such row. MDB_NOTFOUND when there is none. */
static int next_row_due(lmdb_base *base, MDB_cursor *cursor, apr_int64_t now, lmdb_due *due)
{
    MDB_val k, v;
    apr_int64_t expires;
    int rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);

    if (rc != 0)
        return rc;
    if (k.mv_size != TIMES_KEY_LEN)
        return MDB_CORRUPTED;
    memcpy(due->key, k.mv_data, TIMES_KEY_LEN);
    expires = (apr_int64_t)idem_value_number(due->key, EXPIRY_LEN);
    if (expires > now)
        return MDB_NOTFOUND;
    rc = idem_lmdb_look(base, mdb_cursor_txn(cursor), due->key + EXPIRY_LEN, &due->entry);
    due->matches = rc == 0 && due->entry.stored && due->entry.expires == expires;
    return rc;
}

int idem_lmdb_anything_expired(lmdb_base *base, MDB_txn *txn, int *any)
{
    MDB_cursor *cursor;
    lmdb_due due;
    apr_int64_t now = now_ms(base);
    int rc = mdb_cursor_open(txn, base->times, &cursor);

    *any = 0;
    if (rc != 0)
        return rc;
    for (int i = 0; i < LOOK_PAST_MOST && !*any; i++) {
        rc = next_row_due(base, cursor, now, &due);
        if (rc != 0)
            break;
        *any = !due.matches || !due.entry.there;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int idem_lmdb_erase_expired(lmdb_base *base, MDB_txn *txn, int most, int *removed)
{
    MDB_cursor *cursor;
    lmdb_due due;
    apr_int64_t now = now_ms(base);
    int rc = mdb_cursor_open(txn, base->times, &cursor);

    if (rc != 0)
        return rc;
    for (int i = 0; i < LOOK_PAST_MOST + most && *removed < most; i++) {
        rc = next_row_due(base, cursor, now, &due);
        if (rc != 0)
            break;
        if (due.matches && due.entry.there)
            continue;
        rc = mdb_cursor_del(cursor, 0);
        if (rc == 0 && due.matches) {
            MDB_val slot = val_of(due.key + EXPIRY_LEN, IDEM_SLOT_LEN);
            rc = mdb_del(txn, base->slots, &slot, NULL);
            ++*removed;
        }
        if (rc != 0)
            break;
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

/* A transaction of a group may take this many pages before anything of it shows in the file's account. */
static apr_uint64_t pages_of_group(apr_uint64_t page)
{
    return LMDB_GROUP_BYTES / page * 2 + (apr_uint64_t)LMDB_GROUP_MOST * 64;
}

int idem_lmdb_has_plenty(MDB_txn *txn, const lmdb_base *base, apr_size_t len)
{
    MDB_envinfo info;
    MDB_stat stat;
    lmdb_room room;

    if (mdb_env_info(mdb_txn_env(txn), &info) != 0 || mdb_stat(txn, base->slots, &stat) != 0)
        return 0;
    room.page = stat.ms_psize;
    room.pages = info.me_mapsize / room.page;
    room.used = info.me_last_pgno + 1 + pages_of_group(room.page);
    return idem_lmdb_fits(&room, len, LMDB_FOR_CLAIM);
}

int idem_lmdb_room(MDB_txn *txn, const lmdb_base *base, lmdb_room *room)
{
    enum { FREE_TABLE = 0, MAIN_TABLE = 1, META_PAGES = 2 };
    const MDB_dbi tables[] = {FREE_TABLE, MAIN_TABLE, base->slots, base->times, base->meta};
    MDB_envinfo info;
    MDB_stat stat;
    int rc = mdb_env_info(mdb_txn_env(txn), &info);

    room->used = META_PAGES;
    room->page = 1;
    for (size_t i = 0; rc == 0 && i < sizeof(tables) / sizeof(tables[0]); i++) {
        rc = mdb_stat(txn, tables[i], &stat);
        if (rc == 0) {
            room->page = stat.ms_psize;
            room->used += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        }
    }
    if (rc == 0)
        room->pages = info.me_mapsize / room->page;
    return rc;
}

int idem_lmdb_fits(const lmdb_room *room, apr_size_t len, lmdb_purpose purpose)
{
    apr_uint64_t least = RESERVE_LEAST / room->page;
    apr_uint64_t reserve = least < room->pages / 4 ? least : room->pages / 4;
    apr_uint64_t want = room->used + len / room->page + 1;

    if (reserve < room->pages / 10)
        reserve = room->pages / 10;
    if (purpose == LMDB_FOR_CLAIM)
        return want + reserve <= room->pages;
    if (purpose == LMDB_FOR_BODY)
        return want + reserve / 4 <= room->pages;
    return 1;
}

void idem_lmdb_full_sentence(const lmdb_base *base, const lmdb_room *room, char *why)
{
    snprintf(why, LMDB_WHY,
             "the store %s is full (%d%% of %" APR_UINT64_T_FMT
             "M in use, the rest is kept for what is running): raise its "
             "option size=, or shorten IdempotencyTTL or IdempotencyMaxResponse",
             base->dir, (int)(room->used * 100 / (room->pages ? room->pages : 1)),
             (apr_uint64_t)(room->pages * room->page >> 20));
}

/* ---- the clock's mark -------------------------------------------------------------------------------------------- */

#define CLOCK_MARK_LEN (8 + 8 + IDEM_BOOT_ID_LEN)

/*
 * Within the boot that wrote the mark, uptime tells how much time has really passed since, whatever the wall clock did.
 * After another boot only the time since then is known to have passed. A wall clock may be wrong by years when a
 * machine starts, and would expire every entry. So the store's clock only leans towards it (IDEM_CLOCK_LEAN). Earlier
 * entries then live longer, at most by the time that the machine was off.
 */
int idem_lmdb_clock_load(lmdb_base *base, MDB_txn *txn, apr_time_t *now, int *this_boot)
{
    MDB_val key = val_of("clock", 5), data;
    apr_time_t wall = apr_time_now(), marked, uptime;
    const unsigned char *at;
    int rc = mdb_get(txn, base->meta, &key, &data);

    *now = wall;
    *this_boot = 0;
    if (rc != 0 || data.mv_size != CLOCK_MARK_LEN)
        return rc == MDB_NOTFOUND ? 0 : rc;
    at = data.mv_data;
    marked = (apr_time_t)idem_value_number(at, 8);
    uptime = (apr_time_t)idem_value_number(at + 8, 8);
    *this_boot = base->boot[0] && memcmp(at + 16, base->boot, IDEM_BOOT_ID_LEN) == 0;
    if (*this_boot) {
        apr_time_t passed = idem_clock_uptime() - uptime;
        *now = marked + (passed > 0 ? passed : 0);
    }
    else {
        *now = marked + idem_clock_uptime();
    }
    return 0;
}

int idem_lmdb_clock_save(lmdb_base *base, MDB_txn *txn)
{
    unsigned char mark[CLOCK_MARK_LEN], *to;
    MDB_val key = val_of("clock", 5), data = val_of(mark, sizeof(mark));
    apr_time_t seen, now;
    int this_boot, rc;

    if (idem_clock_now(&base->clock) < base->clock_marked + APR_USEC_PER_SEC)
        return 0;
    /* Another process may have come further: never let the mark, or this process, fall behind. */
    rc = idem_lmdb_clock_load(base, txn, &seen, &this_boot);
    if (rc != 0)
        return rc;
    if (this_boot)
        idem_clock_raise(&base->clock, seen);
    now = idem_clock_now(&base->clock);
    to = idem_put(mark, (apr_uint64_t)now, 8);
    to = idem_put(to, (apr_uint64_t)idem_clock_uptime(), 8);
    memcpy(to, base->boot, IDEM_BOOT_ID_LEN);
    base->clock_marked = now;
    return mdb_put(txn, base->meta, &key, &data, 0);
}
