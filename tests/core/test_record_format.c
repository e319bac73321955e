/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_record_format.c - the bytes of a record are the same on every machine, and stay what they are.
 *
 *   test_record_format              reads records.golden, and makes the same bytes again; make unit
 *   test_record_format write FILE   writes a file of the kind of records.golden
 *   test_record_format read FILE    reads such a file, of another machine
 *
 * A line of the file is the name of a form and the bytes of a value in hexadecimal. Each version that is read is there,
 * with each state, open and sealed. A new form gets a new line; a line that is there never changes, since records of
 * that form lie in stores.
 */
#include "records.h"
#include "rings.h"

#include <apr_escape.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>

#include "seal.h"

#define GOLDEN "tests/core/records.golden"

static const char *path = GOLDEN;

typedef struct form {
    const char *name;
    int version;
    idem_state state;
    unsigned flags;
    int bare, sealed;
} form;

static const form forms[] = {
    {"lease-1", 1, IDEM_STATE_LEASE, 0, 0, 0},
    {"record-1", 1, IDEM_STATE_RECORD, 0, 0, 0},
    {"tombstone-1", 1, IDEM_STATE_TOMBSTONE, 0, 0, 0},
    {"unknown-1", 1, IDEM_STATE_UNKNOWN, 0, 0, 0},
    {"record-2", 2, IDEM_STATE_RECORD, 0, 0, 0},
    {"lease-3", 3, IDEM_STATE_LEASE, 0, 0, 0},
    {"record-3", 3, IDEM_STATE_RECORD, 0, 0, 0},
    {"bare-3", 3, IDEM_STATE_RECORD, 0, 1, 0},
    {"tombstone-3", 3, IDEM_STATE_TOMBSTONE, 0, 0, 0},
    {"unknown-3", 3, IDEM_STATE_UNKNOWN, 0, 0, 0},
    {"retry-3", 3, IDEM_STATE_UNKNOWN, IDEM_HEAD_RETRY, 0, 0},
    {"record-4", 4, IDEM_STATE_RECORD, 0, 0, 0},
    {"sealed-1", 1, IDEM_STATE_RECORD, IDEM_HEAD_SEALED, 0, 1},
    {"sealed-2", 2, IDEM_STATE_RECORD, IDEM_HEAD_SEALED, 0, 1},
    {"sealed-3", 3, IDEM_STATE_RECORD, IDEM_HEAD_SEALED, 0, 1},
    {"sealed-4", 4, IDEM_STATE_RECORD, IDEM_HEAD_SEALED, 0, 1},
};

/* ---- the values -------------------------------------------------------------------------------------------------- */

static idem_head head_of(const form *f)
{
    idem_head head = unit_head(f->state);

    head.flags = f->flags & ~(unsigned)IDEM_HEAD_SEALED;
    return head;
}

static idem_response response_of(const form *f, apr_pool_t *pool)
{
    return f->bare ? unit_bare_response() : f->version % 2 == 0 ? unit_response_with_places(pool) : unit_response(pool);
}

static const idem_keyring *ring_of(const form *f, apr_pool_t *pool)
{
    return f->sealed ? unit_ring(pool, UNIT_SLOT UNIT_SEAL_A) : NULL;
}

/* What a version with SHA-256 checksums sealed: its number is in the head, which the seal holds. */
static idem_blob sealed_older(apr_pool_t *pool, const form *f, idem_blob open)
{
    unsigned char *value = apr_pcalloc(pool, open.len + IDEM_SEAL_EXTRA);
    apr_size_t rest = open.len - IDEM_HEAD_LEN - IDEM_SUM_LEN;

    memcpy(value, open.data, IDEM_HEAD_LEN);
    value[4] = (unsigned char)f->version;
    value[7] = IDEM_HEAD_SEALED;
    memcpy(value + IDEM_HEAD_LEN + IDEM_SEAL_BEFORE, open.data + IDEM_HEAD_LEN, rest);
    assert_int_equal(idem_seal(ring_of(f, pool), idem_blob_of(value, IDEM_HEAD_LEN), value + IDEM_HEAD_LEN, rest),
                     APR_SUCCESS);
    unit_make_sum_right(value, open.len + IDEM_SEAL_EXTRA);
    return idem_blob_of(value, open.len + IDEM_SEAL_EXTRA);
}

static idem_blob value_of(const form *f, apr_pool_t *pool)
{
    idem_head head = head_of(f);
    idem_response response = response_of(f, pool);
    int older = f->version < 3;
    const idem_keyring *ring = older ? NULL : ring_of(f, pool);
    idem_blob value;

    assert_int_equal(idem_record_encode(ring, &head, f->state == IDEM_STATE_RECORD ? &response : NULL, pool, &value),
                     APR_SUCCESS);
    return !older ? value : f->sealed ? sealed_older(pool, f, value) : unit_older(pool, value);
}

static void assert_reads(const form *f, idem_blob value, apr_pool_t *pool)
{
    idem_head head = head_of(f), got_head;
    idem_response response = response_of(f, pool), got;
    const char *why = idem_record_decode(ring_of(f, pool), value, head.slot, pool, &got_head, &got);

    if (why)
        fail_msg("%s: %s", f->name, why);
    assert_int_equal(value.data[4], f->version);
    head.flags = f->flags;
    unit_assert_same_head(&head, &got_head);
    if (f->state == IDEM_STATE_RECORD)
        unit_assert_same_response(&response, &got);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static char *line_of(FILE *file, char **line, size_t *room)
{
    if (getline(line, room, file) < 0)
        return NULL;
    (*line)[strcspn(*line, "\n")] = '\0';
    return *line;
}

/* The value of the file's next line, which must be of this form. */
static idem_blob read_form(FILE *file, const form *f, apr_pool_t *pool)
{
    char *line = NULL, *hex;
    size_t room = 0;
    const void *bytes;
    apr_size_t len;

    if (!line_of(file, &line, &room))
        fail_msg("the file ends before %s", f->name);
    hex = strchr(line, ' ');
    assert_non_null(hex);
    *hex++ = '\0';
    assert_string_equal(line, f->name);
    bytes = apr_punescape_hex(pool, hex, 0, &len);
    assert_non_null(bytes);
    free(line);
    return unit_guarded(pool, bytes, len);
}

static void records_are_those_of_every_machine(void **state)
{
    apr_pool_t *pool = *state;
    FILE *file = fopen(path, "r");

    if (!file)
        fail_msg("%s cannot be read", path);
    for (size_t i = 0; i < UNIT_COUNT(forms); i++) {
        idem_blob value = read_form(file, &forms[i], pool), made;
        assert_reads(&forms[i], value, pool);
        made = value_of(&forms[i], pool);
        assert_int_equal(made.len, value.len);
        if (!forms[i].sealed && memcmp(made.data, value.data, value.len))
            fail_msg("%s: other bytes than in %s", forms[i].name, path);
    }
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static void write_records(void **state)
{
    FILE *file = fopen(path, "w");

    if (!file)
        fail_msg("%s cannot be written", path);
    for (size_t i = 0; i < UNIT_COUNT(forms); i++) {
        idem_blob value = value_of(&forms[i], *state);
        fprintf(file, "%s %s\n", forms[i].name, apr_pescape_hex(*state, value.data, value.len, 0));
    }
    assert_int_equal(fclose(file), 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest reads[] = {UNIT(records_are_those_of_every_machine)},
                                   writes[] = {UNIT(write_records)};

    if (argc == 3)
        path = argv[2];
    else if (argc != 1)
        return 2;
    return argc == 3 && !strcmp(argv[1], "write") ? cmocka_run_group_tests(writes, NULL, NULL)
                                                  : cmocka_run_group_tests(reads, NULL, NULL);
}
