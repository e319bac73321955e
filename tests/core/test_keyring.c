/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_keyring.c - which texts are secrets, what keys are made of them, and where these lie.
 *
 * The keys were computed apart, by another implementation of RFC 5869.
 */
#include "rings.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <apr_strings.h>

/* ---- what is wiped: this program's munmap() looks before it gives memory back ------------------------------------ */

static const unsigned char *watched; /* a mapping, or part of one */
static int given_back, still_filled;

int munmap(void *start, size_t len)
{
    const unsigned char *bytes = start;

    if (watched >= bytes && watched < bytes + len) {
        given_back++;
        for (size_t i = 0; i < len; i++)
            still_filled |= bytes[i];
    }
    return (int)syscall(SYS_munmap, start, len);
}

static void the_ring_is_wiped_when_its_pool_ends(void **state)
{
    apr_pool_t *pool;

    apr_pool_create(&pool, *state);
    watched = idem_keyring_mark(unit_ring(pool, UNIT_SLOT UNIT_SEAL_A));
    given_back = still_filled = 0;
    apr_pool_destroy(pool);
    watched = NULL;
    assert_int_equal(given_back, 1);
    assert_int_equal(still_filled, 0);
}

/* "dd" among the flags of the mapping that holds at: it is in no core dump. */
static int is_kept_out_of_dumps(const void *at)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    char line[512];
    int inside = 0, kept_out = 0;

    assert_non_null(maps);
    while (fgets(line, sizeof line, maps)) {
        unsigned long from, to;

        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            inside = (unsigned long)at >= from && (unsigned long)at < to;
        if (inside && !strncmp(line, "VmFlags:", 8))
            kept_out = strstr(line, " dd") != NULL;
    }
    fclose(maps);
    return kept_out;
}

static void the_ring_is_in_no_core_dump(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    const unsigned char *id;

    assert_true(is_kept_out_of_dumps(idem_keyring_seal_key(ring, &id)));
    assert_true(is_kept_out_of_dumps(idem_keyring_slot_key(ring)->data));
    assert_true(is_kept_out_of_dumps(idem_keyring_print_key(ring)->data));
    assert_false(is_kept_out_of_dumps(&id));
}

/* ---- what keys are made ------------------------------------------------------------------------------------------ */

static void keys_are_hkdf_with_a_label_each(void **state)
{
    const idem_keyring *ring = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B);
    const unsigned char *id, *key = idem_keyring_seal_key(ring, &id);

    assert_int_equal(idem_keyring_slot_key(ring)->len, 32);
    unit_assert_hex(idem_keyring_slot_key(ring)->data, 32,
                    "e3ce27284ed8d335e0450837eb34368885287d963a682ae94e2f8b377d2624ee");
    assert_int_equal(idem_keyring_print_key(ring)->len, 32);
    unit_assert_hex(idem_keyring_print_key(ring)->data, 32,
                    "9c5178be9049307ddeddc0fdaad70008a3ef57e050e4f6c40a4e3188f69d1a0a");
    unit_assert_hex(idem_keyring_mark(ring), 32, "d5b483ba56ba921919343fa52ba606d9b8d225017f08fd77f2c5a280041e4f7a");
    unit_assert_hex(id, 4, "54ea0537");
    unit_assert_hex(key, 32, "14ce3da28cf252764295038173c9a6cba64bdee4b4ff9a8daac9c74ad0d7fb15");
    key = idem_keyring_find(ring, (const unsigned char *)"\x18\xcc\x58\xbf");
    unit_assert_hex(key, 32, "014a412dd01f5f512fe90bce438ea777ed6ebbc6850caf60ea4974c4bc13a7b3");
}

static void the_first_seal_seals_and_all_are_found(void **state)
{
    const idem_keyring *ab = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B);
    const idem_keyring *ba = unit_ring(*state, UNIT_SEAL_B UNIT_SEAL_A UNIT_SLOT);
    const unsigned char *a, *b, *key_a = idem_keyring_seal_key(ab, &a), *key_b = idem_keyring_seal_key(ba, &b);

    assert_ptr_equal(key_a, idem_keyring_find(ab, a));
    assert_ptr_equal(key_b, idem_keyring_find(ba, b));
    assert_memory_not_equal(a, b, IDEM_SEAL_ID_LEN);
    assert_memory_equal(idem_keyring_find(ab, b), idem_keyring_find(ba, b), IDEM_SEAL_KEY_LEN);
    assert_memory_equal(idem_keyring_find(ab, a), idem_keyring_find(ba, a), IDEM_SEAL_KEY_LEN);
    assert_memory_equal(idem_keyring_mark(ab), idem_keyring_mark(ba), IDEM_DIGEST_LEN);
    assert_null(idem_keyring_find(ab, (const unsigned char *)"none"));
}

static void without_a_ring_there_are_no_keys(void **state)
{
    (void)state;
    assert_null(idem_keyring_slot_key(NULL));
    assert_null(idem_keyring_print_key(NULL));
}

/* ---- which texts ------------------------------------------------------------------------------------------------- */

static void blanks_and_comments_do_not_matter(void **state)
{
    const idem_keyring *plain = unit_ring(*state, UNIT_SLOT UNIT_SEAL_A);
    const idem_keyring *dressed = unit_ring(*state, "# made with openssl rand\r\n\r\n  slot:\t" UNIT_SLOT_TEXT " \r\n"
                                                    "   # and the seal\n\n\tseal:" UNIT_SEAL_A_TEXT);
    const unsigned char *id, *other;

    assert_memory_equal(idem_keyring_mark(plain), idem_keyring_mark(dressed), IDEM_DIGEST_LEN);
    assert_memory_equal(idem_keyring_seal_key(plain, &id), idem_keyring_seal_key(dressed, &other), IDEM_SEAL_KEY_LEN);
    assert_memory_equal(id, other, IDEM_SEAL_ID_LEN);
}

static void the_text_is_not_kept(void **state)
{
    char *text = apr_pstrdup(*state, UNIT_SLOT UNIT_SEAL_A);
    const char *why;
    idem_keyring *ring;

    assert_int_equal(idem_keyring_parse(&ring, text, strlen(text), *state, &why), APR_SUCCESS);
    memset(text, 0, strlen(text));
    unit_assert_hex(idem_keyring_mark(ring), 32, "d5b483ba56ba921919343fa52ba606d9b8d225017f08fd77f2c5a280041e4f7a");
}

static const struct {
    const char *text, *why;
} wrong[] = {
    {"", "needs one line \"slot: SECRET\" and at least one \"seal: SECRET\""},
    {"# slot: " UNIT_SLOT_TEXT, "needs one line"},
    {UNIT_SLOT, "needs one line"},
    {UNIT_SEAL_A, "needs one line"},
    {UNIT_SLOT UNIT_SLOT UNIT_SEAL_A, "has more than one slot: line"},
    {UNIT_SLOT UNIT_SEAL_A UNIT_SEAL_B UNIT_SEAL_A, "has the same seal: line twice"},
    {UNIT_SLOT UNIT_SEAL_A "salt: " UNIT_SLOT_TEXT, "does not begin with slot: or seal:"},
    {UNIT_SLOT UNIT_SEAL_A "slot : " UNIT_SLOT_TEXT, "does not begin with slot: or seal:"},
    {UNIT_SLOT UNIT_SEAL_A "Seal: " UNIT_SLOT_TEXT, "does not begin with slot: or seal:"},
    {UNIT_SLOT UNIT_SEAL_A "s", "does not begin with slot: or seal:"},
    {UNIT_SLOT UNIT_SEAL_A "seal:", "shorter than 32 bytes"},
    {"slot:   0123456789012345678901234567890   \n" UNIT_SEAL_A, "shorter than 32 bytes"},
    {UNIT_SLOT "seal: 0123456789012345678901234567890\n", "shorter than 32 bytes"},
};

static void wrong_texts_have_a_sentence_without_a_secret(void **state)
{
    for (size_t i = 0; i < UNIT_COUNT(wrong); i++) {
        idem_blob text = unit_guarded(*state, wrong[i].text, strlen(wrong[i].text));
        const char *why = NULL;
        idem_keyring *ring;

        assert_int_equal(idem_keyring_parse(&ring, (const char *)text.data, text.len, *state, &why), APR_EINVAL);
        assert_non_null(why);
        if (!strstr(why, wrong[i].why))
            fail_msg("\"%s\" instead of \"%s\"", why, wrong[i].why);
        assert_null(strstr(why, "letters"));
        assert_null(strstr(why, "0123"));
    }
}

static void exactly_32_bytes_are_enough(void **state)
{
    unit_ring(*state, "slot: 01234567890123456789012345678901\nseal: 01234567890123456789012345678901");
}

static const char *with_seals(apr_pool_t *pool, int count)
{
    const char *text = UNIT_SLOT;

    for (int i = 0; i < count; i++)
        text = apr_psprintf(pool, "%sseal: number %02d of the secrets that seal\n", text, i);
    return text;
}

static void sixteen_seals_are_the_most(void **state)
{
    const char *text = with_seals(*state, IDEM_SEAL_KEYS_MAX + 1), *why = NULL;
    idem_keyring *ring;

    unit_ring(*state, with_seals(*state, IDEM_SEAL_KEYS_MAX));
    assert_int_equal(idem_keyring_parse(&ring, text, strlen(text), *state, &why), APR_EINVAL);
    assert_string_equal(why, "has more than 16 seal: lines");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(the_ring_is_wiped_when_its_pool_ends),
        UNIT(the_ring_is_in_no_core_dump),
        UNIT(keys_are_hkdf_with_a_label_each),
        UNIT(the_first_seal_seals_and_all_are_found),
        UNIT(without_a_ring_there_are_no_keys),
        UNIT(blanks_and_comments_do_not_matter),
        UNIT(the_text_is_not_kept),
        UNIT(wrong_texts_have_a_sentence_without_a_secret),
        UNIT(exactly_32_bytes_are_enough),
        UNIT(sixteen_seals_are_the_most),
    };

    return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
