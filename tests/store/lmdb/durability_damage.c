/* SPDX-License-Identifier: Apache-2.0 */
/*
 * durability_damage.c - files that were cut, overwritten, or written by somebody else: the parent says so and lives.
 */
#include "durability_kit.h"

#include <fcntl.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FAMILY 22
#define RECORDS 60
#define BODY 9000
#define PAGE 4096
#define WOUNDS 40

static const char *const options[] = {"size=16M", NULL};

/* ---- making a store, and hurting it ------------------------------------------------------------------------------ */

static idem_blob record(worker *w, unsigned long number)
{
    kit_name slot = kit_slot(FAMILY, number), token = kit_token(FAMILY, number);
    kit_value v = {IDEM_STATE_RECORD, slot.bytes, token.bytes, 1, KIT_LONG, number % 3 ? KIT_SMALL : BODY};
    return kit_make(&v, w->pool);
}

static void fill_job(worker *w)
{
    for (unsigned long i = 0; i < RECORDS; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, record(w, i)), APR_SUCCESS);
    }
}

static void check_job(worker *w)
{
    for (unsigned long i = 0; i < RECORDS; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        EXPECT_STANDS(w, &slot, record(w, i));
    }
}

static void make_store(kit *k, const char *name)
{
    disk_use(k, name, options);
    disk_open_well(k);
    kit_alone(k, fill_job, NULL);
}

static void overwrite(kit *k, off_t at, const void *bytes, size_t len)
{
    int fd = open(disk_path(k, "data.mdb"), O_RDWR | O_CLOEXEC);
    CHECK(k, fd >= 0 && pwrite(fd, bytes, len, at) == (ssize_t)len);
    close(fd);
}

static off_t size_of(kit *k)
{
    struct stat st;
    CHECK(k, stat(disk_path(k, "data.mdb"), &st) == 0);
    return st.st_size;
}

static void expect_damaged(kit *k, const char *part)
{
    const char *why;
    apr_status_t status = disk_open(k, &why);
    if (status != IDEM_EDAMAGED)
        kit_fail(k, __FILE__, __LINE__, "open gave %s, not EDAMAGED: %s", kit_status(status), why ? why : "");
    EXPECT_SAYS(k, why, k->rest);
    EXPECT_SAYS(k, why, part);
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

static void cut_case(kit *k)
{
    make_store(k, "damage-cut");
    CHECK(k, truncate(disk_path(k, "data.mdb"), size_of(k) / 2) == 0);
    expect_damaged(k, "damaged");
}

static void cut_to_nothing_case(kit *k)
{
    make_store(k, "damage-stump");
    CHECK(k, truncate(disk_path(k, "data.mdb"), 100) == 0);
    expect_damaged(k, "no LMDB file");
}

static void no_store_case(kit *k)
{
    char text[2 * PAGE];

    make_store(k, "damage-text");
    memset(text, 'x', sizeof(text));
    overwrite(k, 0, text, sizeof(text));
    expect_damaged(k, "no LMDB file");
}

/* Everything but the meta pages: they say where the roots are, and there are none. */
static void garbage_case(kit *k)
{
    off_t size;
    unsigned char *noise;
    apr_uint64_t state = k->effort.seed;

    make_store(k, "damage-garbage");
    size = size_of(k);
    noise = malloc((size_t)size);
    CHECK(k, noise != NULL);
    for (off_t i = 0; i < size; i++)
        noise[i] = (unsigned char)kit_random(&state);
    overwrite(k, 2 * PAGE, noise, (size_t)size - 2 * PAGE);
    free(noise);
    expect_damaged(k, "damaged");
}

/*
 * What passed the check can be used: bytes of a body may differ, which the front notices, but nothing crashes or is
 * lost.
 */
static void use_job(worker *w)
{
    for (unsigned long i = 0; i < RECORDS; i++) {
        kit_name slot = kit_slot(FAMILY, i);
        EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    }
    fill_job(w);
    check_job(w);
}

/*
 * Any page may be one that nothing refers to, so the verdict is free; but there is one, and the parent lives to tell
 * it.
 */
static void wounds_case(kit *k)
{
    unsigned char page[PAGE];
    apr_uint64_t state = k->effort.seed;
    char *whole;
    off_t size;
    int damaged = 0, fd;

    make_store(k, "damage-wounds");
    size = size_of(k);
    whole = malloc((size_t)size);
    fd = open(disk_path(k, "data.mdb"), O_RDONLY | O_CLOEXEC);
    CHECK(k, whole && fd >= 0 && read(fd, whole, (size_t)size) == size);
    close(fd);
    for (int i = 0; i < WOUNDS; i++) {
        const char *why;
        apr_status_t status;
        for (int b = 0; b < PAGE; b++)
            page[b] = (unsigned char)(i % 2 ? kit_random(&state) : 0);
        overwrite(k, (off_t)(kit_random(&state) % (apr_uint64_t)(size / PAGE)) * PAGE, page, PAGE);
        status = disk_open(k, &why);
        CHECK(k, status == APR_SUCCESS || (status == IDEM_EDAMAGED && why));
        if (status == APR_SUCCESS)
            kit_alone(k, use_job, NULL);
        damaged += status == IDEM_EDAMAGED;
        CHECK(k, truncate(disk_path(k, "data.mdb"), size) == 0);
        overwrite(k, 0, whole, (size_t)size);
    }
    CHECK(k, damaged > WOUNDS / 10); /* many pages hold nothing but a response's bytes */
    disk_open_well(k);
    kit_alone(k, check_job, NULL);
}

static void loose_job(worker *w)
{
    for (unsigned long i = RECORDS; i < RECORDS + 30; i++) {
        kit_name slot = kit_slot(FAMILY, 3 * i), token = kit_token(FAMILY, 3 * i);
        EXPECT(w, w->k->driver->settle(w->store, kit_call(w), slot.bytes, record(w, 3 * i)), APR_SUCCESS);
        (void)token;
    }
    for (unsigned long i = RECORDS; i < RECORDS + 30; i++) {
        kit_name slot = kit_slot(FAMILY, 3 * i);
        EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    }
}

/* A file may end before its last page if nothing refers to what is missing; it is mended, not refused. */
static void loose_end_case(kit *k)
{
    off_t size;

    make_store(k, "damage-loose");
    kit_alone(k, loose_job, NULL);
    size = size_of(k);
    CHECK(k, truncate(disk_path(k, "data.mdb"), size - 4 * PAGE) == 0);
    disk_open_well(k);
    CHECK_NUMBER(k, size_of(k), size);
    kit_alone(k, check_job, NULL);
}

/* ---- files of others --------------------------------------------------------------------------------------------- */

static void put(kit *k, const char *table, const char *key, const char *value)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val at = {strlen(key), (void *)(apr_uintptr_t)key}, data = {strlen(value), (void *)(apr_uintptr_t)value};

    CHECK(k, mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 8) == 0);
    CHECK(k, mdb_env_open(env, k->rest, 0, 0600) == 0);
    CHECK(k, mdb_txn_begin(env, NULL, 0, &txn) == 0 && mdb_dbi_open(txn, table, MDB_CREATE, &dbi) == 0);
    CHECK(k, mdb_put(txn, dbi, &at, &data, 0) == 0 && mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}

static void foreign_case(kit *k)
{
    disk_use(k, "damage-foreign", options);
    CHECK(k, mkdir(k->rest, 0700) == 0);
    put(k, "mail", "from", "somebody");
    expect_damaged(k, "name another directory");
}

static void layout_case(kit *k)
{
    make_store(k, "damage-layout");
    put(k, "meta", "layout", "idempotency 99");
    expect_damaged(k, "another version");
    EXPECT_SAYS(k, k->rest, "damage-layout");
}

/*
 * An entry that is torn in the file itself, while the server runs: it stands, is shown as it is, and goes when told
 * to.
 */
#define NEVER_EXPIRES "\x7f\xff\xff\xff\xff\xff\xff\xff"
static const char torn_slot[] = "0123456789abcdef0123456789abcdef";

static int nothing(void *baton, const unsigned char *slot, const idem_found *found)
{
    (void)found;
    *(int *)baton += memcmp(slot, torn_slot, IDEM_SLOT_LEN) == 0;
    return 1;
}

static void torn_job(worker *w)
{
    kit_name slot, token = kit_token(FAMILY, 1000);
    int visits = 0, removed;

    memcpy(slot.bytes, torn_slot, IDEM_SLOT_LEN);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &slot, &token), APR_EEXIST);
    EXPECT(w, kit_takeover(w, &slot, &token, &token), IDEM_ELOST);
    EXPECT(w, kit_settle(w, IDEM_STATE_RECORD, &slot, &token), IDEM_ELOST);
    EXPECT(w, kit_renew(w, &slot, &token), IDEM_ELOST);
    EXPECT(w, kit_release(w, &slot, &token), IDEM_ELOST);
    EXPECT(w, w->k->driver->each(w->store, kit_call(w), nothing, &visits), APR_SUCCESS);
    CHECK_NUMBER(w->k, visits, 1);
    EXPECT(w, w->k->driver->sweep(w->store, kit_call(w), 1000, &removed), APR_SUCCESS);
    EXPECT(w, kit_fetch(w, &slot), APR_SUCCESS);
    EXPECT(w, kit_forget(w, &slot), APR_SUCCESS);
    EXPECT(w, kit_claim(w, &slot, &token), APR_SUCCESS);
    EXPECT(w, kit_release(w, &slot, &token), APR_SUCCESS);
}

static void torn_case(kit *k)
{
    static const char *const torn[] = {
        "",
        "1234567",
        NEVER_EXPIRES,
        NEVER_EXPIRES "IDEM",
        NEVER_EXPIRES "long enough for a head, at eighty bytes and some more, so that only the magic word tells",
    };
    make_store(k, "damage-torn");
    for (size_t i = 0; i < sizeof(torn) / sizeof(torn[0]); i++) {
        put(k, "slots", torn_slot, torn[i]);
        kit_alone(k, torn_job, NULL);
    }
    kit_alone(k, check_job, NULL);
}

const kit_case durability_cases_damage[] = {
    {"a file that was cut is damaged", 0, cut_case},
    {"a file of a hundred bytes is damaged", 0, cut_to_nothing_case},
    {"a file of text is no store", 0, no_store_case},
    {"garbage behind the meta pages is damage", 0, garbage_case},
    {"whatever single page is overwritten, the parent lives and says what it found", 0, wounds_case},
    {"a file that ends before pages nobody needs is mended", 0, loose_end_case},
    {"another program's LMDB file is left alone", 0, foreign_case},
    {"another version's file is refused with a word about versions", 0, layout_case},
    {"a torn entry stands, never crashes, and can be forgotten", 0, torn_case},
    {NULL, 0, NULL},
};
