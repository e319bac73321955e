/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_key.c - every way to write an idempotency key, every way to get it wrong, and slots that only equal keys share.
 */
#include "unit.h"

#include <apr_strings.h>

#include "key.h"

/* ---- parsing ----------------------------------------------------------------------------------------------------- */

typedef struct accepted {
    const char *value, *key;
} accepted;

static void assert_key(apr_pool_t *pool, const char *value, const char *key)
{
    idem_blob got;
    idem_key_fault fault = idem_key_parse(unit_guarded(pool, value, strlen(value)), pool, &got);

    if (fault != IDEM_KEY_OK)
        fail_msg("%s: %s", value, idem_key_fault_text(fault));
    assert_int_equal(got.len, strlen(key));
    assert_memory_equal(got.data, key, got.len);
}

static void assert_fault(apr_pool_t *pool, idem_blob value, idem_key_fault expected)
{
    idem_blob got;
    idem_key_fault fault = idem_key_parse(value, pool, &got);

    if (fault != expected)
        fail_msg("%.*s: %d, expected %d", (int)value.len, (const char *)value.data, fault, expected);
    assert_null(got.data);
}

static void both_forms_give_the_key(void **state)
{
    static const accepted cases[] = {
        {"\"abc\"", "abc"},
        {"abc", "abc"},
        {" \t\"abc\" \t", "abc"},
        {"\t abc \t", "abc"},
        {"\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"8e03978e-40d5-43dd-bc93-6894a57f9324", "8e03978e-40d5-43dd-bc93-6894a57f9324"},
        {"\"a b, c;d\"", "a b, c;d"},
        {"\" \"", " "},
        {"\"a\\\"b\"", "a\"b"},
        {"\"a\\\\b\"", "a\\b"},
        {"\"\\\\\\\"\"", "\\\""},
        {"\"!~\"", "!~"},
        {"!~", "!~"},
        {"x", "x"},
        {"abc;x", "abc;x"}, /* the bare form has no parameters */
        {"abc;x=1", "abc;x=1"},
        {"a\\b", "a\\b"}, /* and no escapes */
        {"'abc'", "'abc'"},
        {"Zm9v/+==", "Zm9v/+=="},
        {":Zm9v:", ":Zm9v:"},
    };

    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        assert_key(*state, cases[i].value, cases[i].key);
}

static void parameters_are_ignored(void **state)
{
    /* clang-format off */
    static const char *const parameters[] = {
        ";a",           ";   a",         ";a;b;c",         ";*",           ";a-b_c.d*9=1",
        ";a=1",         ";a=-1",         ";a=123456789012345", ";a=1.5",   ";a=-123456789012.123",
        ";a=\"\"",      ";a=\"x;y\"",    ";a=\"\\\"\\\\\"", ";a=tok",      ";a=*t/o:k!#$%&'+-.^_`|~",
        ";a=T0k",       ";a=::",         ";a=:Zm9v:",      ";a=:Zm8=:",    ";a=:Zg==:",
        ";a=:Zg:",      ";a=:Zm8:",      ";a=:+/09azAZ:",  ";a=?0",        ";a=?1;b",
        ";a=@0",        ";a=@-1659578233", ";a=%\"\"",     ";a=%\"f%c3%bc\"", ";a=%\"x\";b=2",
        ";a=1;a=2",
    };
    /* clang-format on */

    for (size_t i = 0; i < UNIT_COUNT(parameters); i++)
        assert_key(*state, apr_pstrcat(*state, "\"abc\"", parameters[i], NULL), "abc");
}

static void what_is_no_parameter_is_refused(void **state)
{
    /* clang-format off */
    static const char *const rests[] = {
        "x",             " x",           ", \"abc\"",     ",",              "\"abc\"",      " ;a",
        ";",             "; ",           ";;a",           ";A",             ";1",           ";-a",
        ";a b",          ";a =1",        ";a= 1",         ";a=",            ";a=;b",        ";a,b",
        ";a=1;",         ";a=-",         ";a=--1",        ";a=+1",          ";a=1234567890123456",
        ";a=1.",         ";a=.5",        ";a=1.2345",     ";a=1234567890123.1", ";a=1.2.3", ";a=1e5",
        ";a=\"x",        ";a=\"x\\\"",   ";a=\"\\x\"",    ";a=\"\\",        ";a=\"x\"y",
        ";a=:Zm9v",      ";a=:",         ";a=:Z:",        ";a=:Zm9vZ:",     ";a=:Zm9v=:",   ";a=:Zg=:",
        ";a=:====:",     ";a=:Z===:",    ";a=:Zg==",      ";a=:Z=g=:",      ";a=:Zm-_:",
        ";a=?",          ";a=?2",        ";a=?01",        ";a=?t",
        ";a=@",          ";a=@-",        ";a=@1.5",       ";a=@1234567890123456", ";a=@x",
        ";a=%",          ";a=%x",        ";a=%\"",        ";a=%\"x",        ";a=%\"%\"",    ";a=%\"%c\"",
        ";a=%\"%C3\"",   ";a=%\"%",      ";a=%\"%c",      ";a=%\"%c3",
        ";a=(1 2)",      ";a=!",         ";a=tok\"",      ";a=t,u",
    };
    /* clang-format on */

    for (size_t i = 0; i < UNIT_COUNT(rests); i++) {
        const char *value = apr_pstrcat(*state, "\"abc\"", rests[i], NULL);
        assert_fault(*state, unit_guarded(*state, value, strlen(value)), IDEM_KEY_AFTER);
    }
}

static void malformed_keys_are_refused(void **state)
{
    static const struct {
        const char *value;
        idem_key_fault fault;
    } cases[] = {
        {"", IDEM_KEY_EMPTY},          {" ", IDEM_KEY_EMPTY},           {" \t ", IDEM_KEY_EMPTY},
        {"\"\"", IDEM_KEY_EMPTY},      {" \"\" ", IDEM_KEY_EMPTY},      {"\"\";a=1", IDEM_KEY_EMPTY},
        {"\"", IDEM_KEY_QUOTING},      {"\"abc", IDEM_KEY_QUOTING},     {"\"abc\\\"", IDEM_KEY_QUOTING},
        {"\"abc\\", IDEM_KEY_QUOTING}, {"\"a\\bc\"", IDEM_KEY_QUOTING}, {"\"\\\"", IDEM_KEY_QUOTING},
        {"\"\\", IDEM_KEY_QUOTING},    {"\"a\\ b\"", IDEM_KEY_QUOTING}, {"abc\"", IDEM_KEY_QUOTING},
        {"a\"b\"c", IDEM_KEY_QUOTING}, {"a,b", IDEM_KEY_QUOTING},       {"abc, def", IDEM_KEY_QUOTING},
        {",", IDEM_KEY_QUOTING},       {"a b", IDEM_KEY_QUOTING},       {"abc ;x", IDEM_KEY_QUOTING},
        {"\"\"\"", IDEM_KEY_AFTER},    {"\"a\"\"b\"", IDEM_KEY_AFTER},
    };

    for (size_t i = 0; i < UNIT_COUNT(cases); i++)
        assert_fault(*state, unit_guarded(*state, cases[i].value, strlen(cases[i].value)), cases[i].fault);
    assert_fault(*state, idem_blob_of(NULL, 0), IDEM_KEY_EMPTY);
}

/* Each byte that is not printable, in the middle of each form. */
static void unprintable_bytes_are_refused(void **state)
{
    unit_area *area = unit_area_create(*state, 16);

    for (int byte = 0; byte < 256; byte++) {
        char bare[3] = {'a', (char)byte, 'b'}, quoted[5] = {'"', 'a', (char)byte, 'b', '"'};
        char parameter[7] = {'"', 'a', '"', ';', 'x', (char)byte, 'y'};

        if (byte >= 0x20 && byte <= 0x7e)
            continue;
        assert_fault(*state, unit_place(area, bare, sizeof bare), IDEM_KEY_BYTES);
        assert_fault(*state, unit_place(area, quoted, sizeof quoted), IDEM_KEY_BYTES);
        assert_fault(*state, unit_place(area, parameter, sizeof parameter), IDEM_KEY_BYTES);
    }
}

/* Quoted or bare, each printable byte gives the same key wherever the bare form allows it. */
static void every_printable_byte_has_one_meaning(void **state)
{
    for (int byte = 0x20; byte <= 0x7e; byte++) {
        char key[4] = {'k', (char)byte, 'k', '\0'};
        const char *escape = byte == '"' || byte == '\\' ? "\\" : "";

        assert_key(*state, apr_psprintf(*state, "\"k%s%ck\"", escape, byte), key);
        if (byte == ' ' || byte == '"' || byte == ',')
            assert_fault(*state, unit_guarded(*state, key, 3), IDEM_KEY_QUOTING);
        else
            assert_key(*state, key, key);
    }
}

static idem_blob quoted(idem_blob key, unsigned char *room)
{
    unsigned char *to = room;

    *to++ = '"';
    for (apr_size_t i = 0; i < key.len; i++) {
        if (key.data[i] == '"' || key.data[i] == '\\')
            *to++ = '\\';
        *to++ = key.data[i];
    }
    *to++ = '"';
    return idem_blob_of(room, (apr_size_t)(to - room));
}

/* Random bytes: no crash, and what is accepted is printable and comes back when it is written as a String again. */
static void random_values_never_crash(void **state)
{
    static const char alphabet[] = "\"\\;= a*1.-:?@%tz0,\t\x01\x80";
    unit_area *area = unit_area_create(*state, 64);
    uint32_t seed = 20240601;
    apr_pool_t *pool;
    int accepted_ones = 0;

    apr_pool_create(&pool, *state);
    for (int round = 0; round < 30000; round++, apr_pool_clear(pool)) {
        unsigned char value[16], again[40];
        apr_size_t len = unit_random(&seed) % sizeof value;
        idem_blob key, key2;

        for (apr_size_t i = 0; i < len; i++)
            value[i] = (unsigned char)alphabet[unit_random(&seed) % (sizeof alphabet - 1)];
        if (len && round % 2)
            value[0] = '"';
        if (idem_key_parse(unit_place(area, value, len), pool, &key) != IDEM_KEY_OK)
            continue;
        accepted_ones++;
        assert_int_equal(idem_key_check(key, 1, sizeof value), IDEM_KEY_OK);
        key = idem_blob_of(apr_pmemdup(pool, key.data, key.len), key.len);
        key2 = quoted(key, again);
        assert_int_equal(idem_key_parse(unit_place(area, key2.data, key2.len), pool, &key2), IDEM_KEY_OK);
        assert_int_equal(key.len, key2.len);
        assert_memory_equal(key.data, key2.data, key.len);
    }
    assert_true(accepted_ones > 100);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static void lengths_are_bounds_included(void **state)
{
    assert_int_equal(idem_key_check(unit_guarded(*state, "", 0), 0, 5), IDEM_KEY_EMPTY);
    assert_int_equal(idem_key_check(idem_blob_of(NULL, 0), 1, 5), IDEM_KEY_EMPTY);
    assert_int_equal(idem_key_check(unit_guarded(*state, "ab", 2), 3, 5), IDEM_KEY_SHORT);
    assert_int_equal(idem_key_check(unit_guarded(*state, "abc", 3), 3, 5), IDEM_KEY_OK);
    assert_int_equal(idem_key_check(unit_guarded(*state, "abcde", 5), 3, 5), IDEM_KEY_OK);
    assert_int_equal(idem_key_check(unit_guarded(*state, "abcdef", 6), 3, 5), IDEM_KEY_LONG);
}

static void a_key_is_printable_ascii(void **state)
{
    unit_area *area = unit_area_create(*state, 3);

    for (int byte = 0; byte < 256; byte++) {
        char key[3] = {'a', 'b', (char)byte};
        idem_key_fault expected = byte >= 0x20 && byte <= 0x7e ? IDEM_KEY_OK : IDEM_KEY_BYTES;
        assert_int_equal(idem_key_check(unit_place(area, key, sizeof key), 1, 9), expected);
    }
}

static void lines_that_were_joined_can_be_seen(void **state)
{
    static const char *const lines[] = {"a, a", "a, b", ", ", ", a", "a, ", "a,, b"}, *const others[] = {"", ",", "a,b",
                                                                                                         "a ,b", "a,"};

    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_true(idem_key_may_be_lines(unit_guarded(*state, lines[i], strlen(lines[i]))));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(idem_key_may_be_lines(unit_guarded(*state, others[i], strlen(others[i]))));
}

static void every_fault_has_its_own_sentence(void **state)
{
    (void)state;
    for (int i = IDEM_KEY_OK; i <= IDEM_KEY_LINES; i++) {
        const char *text = idem_key_fault_text((idem_key_fault)i);
        assert_int_equal(text[strlen(text) - 1], '.');
        for (int j = IDEM_KEY_OK; j < i; j++)
            assert_string_not_equal(text, idem_key_fault_text((idem_key_fault)j));
    }
    assert_non_null(idem_key_fault_text((idem_key_fault)99));
}

/* ---- slots ------------------------------------------------------------------------------------------------------- */

typedef struct slot_case {
    idem_part_value scope[2];
    int parts;
    const char *secret, *key;
} slot_case;

#define TEXT(s)                                   \
    {                                             \
        (const unsigned char *)(s), sizeof(s) - 1 \
    }
#define ABSENT  \
    {           \
        NULL, 0 \
    }

static void only_equal_keys_in_equal_scopes_share_a_slot(void **state)
{
    static const slot_case cases[] = {
        {.parts = 0, .key = "k"},
        {.parts = 0, .key = "k2"},
        {.parts = 0, .key = "k", .secret = "s"},
        {.parts = 0, .key = "k", .secret = "t"},
        {.parts = 1, .key = "k", .scope = {{"host", TEXT("a")}}},
        {.parts = 1, .key = "k", .scope = {{"host", TEXT("")}}},
        {.parts = 1, .key = "k", .scope = {{"host", ABSENT}}},
        {.parts = 1, .key = "k", .scope = {{"user", TEXT("a")}}},
        {.parts = 2, .key = "k", .scope = {{"host", TEXT("a")}, {"user", ABSENT}}},
        {.parts = 2, .key = "k", .scope = {{"host", TEXT("a")}, {"user", TEXT("b")}}},
        {.parts = 2, .key = "k", .scope = {{"host", TEXT("b")}, {"user", TEXT("a")}}},
        {.parts = 2, .key = "k", .scope = {{"user", TEXT("b")}, {"host", TEXT("a")}}},
        {.parts = 2, .key = "b:k", .scope = {{"host", TEXT("a")}, {"user", TEXT("")}}},
        {.parts = 2, .key = "k", .scope = {{"host", TEXT("a:b")}, {"user", TEXT("")}}},
        {.parts = 2, .key = "k", .scope = {{"host", TEXT("a")}, {"user", TEXT("b:")}}},
    };
    unsigned char slots[UNIT_COUNT(cases)][IDEM_SLOT_LEN], again[IDEM_SLOT_LEN];

    (void)state;
    for (size_t i = 0; i < UNIT_COUNT(cases); i++) {
        const slot_case *c = &cases[i];
        idem_blob secret = idem_blob_str(c->secret), key = idem_blob_str(c->key);

        assert_int_equal(idem_slot_make(&secret, c->scope, c->parts, key, slots[i]), APR_SUCCESS);
        assert_int_equal(idem_slot_make(&secret, c->scope, c->parts, key, again), APR_SUCCESS);
        assert_memory_equal(slots[i], again, IDEM_SLOT_LEN);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(slots[i], slots[j], IDEM_SLOT_LEN);
    }
}

/* A slot that changes with an upgrade forgets every key: this one was computed apart, from the documented layout. */
static void slots_stay_what_they_are(void **state)
{
    static const idem_part_value scope[] = {{"host", TEXT("example.org")}, {"user", ABSENT}};
    unsigned char slot[IDEM_SLOT_LEN];

    (void)state;
    assert_int_equal(idem_slot_make(NULL, scope, 2, idem_blob_str("abc"), slot), APR_SUCCESS);
    unit_assert_hex(slot, sizeof slot, "66e5c6518a44f27222a1ff3493a5da437ec08be3adc8c9ed2fa6420f7e8c409b");
}

/* A pool that is cleared keeps its memory, so what was in it can still be looked at. */
static void a_copy_of_a_key_is_wiped_with_its_pool(void **state)
{
    static const unsigned char nothing[6];
    apr_pool_t *pool;
    idem_blob key;

    apr_pool_create(&pool, *state);
    assert_int_equal(idem_key_parse(idem_blob_str("\"se\\\"cret\""), pool, &key), IDEM_KEY_OK);
    assert_int_equal(key.len, 7);
    assert_memory_equal(key.data, "se\"cret", 7);
    apr_pool_clear(pool);
    assert_memory_equal(key.data, nothing, sizeof nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(both_forms_give_the_key),
        UNIT(parameters_are_ignored),
        UNIT(what_is_no_parameter_is_refused),
        UNIT(malformed_keys_are_refused),
        UNIT(unprintable_bytes_are_refused),
        UNIT(every_printable_byte_has_one_meaning),
        UNIT(random_values_never_crash),
        UNIT(lengths_are_bounds_included),
        UNIT(a_key_is_printable_ascii),
        UNIT(a_copy_of_a_key_is_wiped_with_its_pool),
        UNIT(lines_that_were_joined_can_be_seen),
        UNIT(only_equal_keys_in_equal_scopes_share_a_slot),
        UNIT(every_fault_has_its_own_sentence),
        UNIT(only_equal_keys_in_equal_scopes_share_a_slot),
        UNIT(slots_stay_what_they_are),
    };

    return cmocka_run_group_tests_name("key", tests, NULL, NULL);
}
