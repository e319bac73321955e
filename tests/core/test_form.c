/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_form.c - the fields of forms, whole and in single bytes; and why some are no forms.
 */
#include "unit.h"

#include <apr_strings.h>

#include "form.h"

typedef struct told {
    apr_pool_t *pool;
    const char *text; /* "name[/filename[/type]]=data;" for each field */
} told;

static void add(told *t, const void *data, size_t len)
{
    t->text = apr_pstrcat(t->pool, t->text, apr_pstrmemdup(t->pool, data, len), NULL);
}

static void begins(void *baton, const idem_form_field *field)
{
    told *t = baton;

    add(t, field->name.data, field->name.len);
    if (field->filename.data || field->type.data)
        add(t, "/", 1);
    add(t, field->filename.data ? (const char *)field->filename.data : "", field->filename.len);
    if (field->type.data)
        add(t, "/", 1);
    add(t, field->type.data ? (const char *)field->type.data : "", field->type.len);
    add(t, "=", 1);
}

static void has(void *baton, const void *bytes, apr_size_t len)
{
    add(baton, bytes, len);
}

static void ends(void *baton)
{
    add(baton, ";", 1);
}

static const char *tell(apr_pool_t *pool, const char *boundary, const char *body, size_t step, const char **wrong)
{
    told t = {pool, ""};
    const idem_form_listener listener = {begins, has, ends, &t};
    idem_form *form = idem_form_create(boundary, &listener, pool);
    idem_blob placed = unit_guarded(pool, body, strlen(body));

    for (size_t at = 0; at < placed.len; at += step)
        idem_form_feed(form, placed.data + at, placed.len - at < step ? placed.len - at : step);
    idem_form_feed(form, "", 0);
    *wrong = idem_form_finish(form);
    return t.text;
}

static void expect_fields(apr_pool_t *pool, const char *boundary, const char *body, const char *expected)
{
    for (size_t step = 1; step <= strlen(body) + 1; step += strlen(body) / 2 + 1) {
        const char *wrong, *text = tell(pool, boundary, body, step, &wrong);

        if (wrong)
            fail_msg("%s: %s", body, wrong);
        assert_string_equal(text, expected);
    }
}

static void expect_refusal(apr_pool_t *pool, const char *boundary, const char *body, const char *expected)
{
    for (size_t step = 1; step <= strlen(body) + 1; step += strlen(body) / 2 + 1) {
        const char *wrong;

        tell(pool, boundary, body, step, &wrong);
        assert_non_null(wrong);
        assert_string_equal(wrong, expected);
    }
}

static void urlencoded_fields_are_told(void **state)
{
    expect_fields(*state, NULL, "", "");
    expect_fields(*state, NULL, "a=1&b=2", "a=1;b=2;");
    expect_fields(*state, NULL, "&&a&b=&=c&", "a=;b=;=c;");
    expect_fields(*state, NULL, "a+b=%41+%4a%2F=&a=b=c", "a b=A J/=;a=b=c;");
    expect_fields(*state, NULL, apr_pstrcat(*state, "a=", apr_psprintf(*state, "%02000d", 7), NULL),
                  apr_pstrcat(*state, "a=", apr_psprintf(*state, "%02000d", 7), ";", NULL));
}

static void urlencoded_forms_are_refused(void **state)
{
    static const char broken[] = "a % in it is not followed by two hexadecimal digits";

    expect_refusal(*state, NULL, "a=%", broken);
    expect_refusal(*state, NULL, "a=%4", broken);
    expect_refusal(*state, NULL, "a%g1=1", broken);
    expect_refusal(*state, NULL, apr_psprintf(*state, "%05000d=1", 7), "a field's name is too long");
}

#define HEAD "--AB\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n"
#define PART(header) "--AB\r\n" header "\r\n\r\n1\r\n--AB--\r\n"

static void multipart_fields_are_told(void **state)
{
    expect_fields(*state, "AB", "--AB--", "");
    expect_fields(*state, "AB", "\r\n--AB--\r\n", "");
    expect_fields(*state, "AB", HEAD "1\r\n" HEAD "\r\n--AB--\r\n", "a=1;a=;");
    expect_fields(*state, "AB", HEAD "\r\n--A\r\r\n\n-\r\n--\r\n--AB--", "a=\r\n--A\r\r\n\n-\r\n--;");
    expect_fields(*state, "AB", HEAD "x\r--A\n--A\r\n--AB--", "a=x\r--A\n--A;");
    expect_fields(*state, "AB", HEAD "-\r\n--AB--", "a=-;");
    expect_fields(*state, "AB",
                  PART("content-disposition:form-data;name=a ; filename=\"C:\\x\\\"y\" ;x=\"1;2\"\r\nX-Y: z"),
                  "a/C:\\x\\\"y=1;");
    expect_fields(*state, "AB", PART("Content-Type: \t text/plain \r\nContent-Disposition: form-data; name=\"\""),
                  "//text/plain=1;");
    expect_fields(*state, "AB",
                  PART("Content-Transfer-Encoding: BINARY\r\nContent-Disposition: form-data; name=\"a\"; filename*=x"),
                  "a/x=1;");
    expect_fields(*state, "AB", PART("Content-Disposition: form-data; name=\"a\";"), "a=1;");
}

static void multipart_forms_are_refused(void **state)
{
    static const char twice[] = "a part's header has the same field or parameter twice",
                      malformed[] = "a part's header is malformed";
    static const char unusual[] = "a field's name is written in an unusual way",
                      nameless[] = "one of its parts has no name";
    static const char line[] = "a line of it begins like a delimiter, and the line before it has no CR and LF";
    static const struct {
        const char *body, *why;
    } refused[] = {
        {"", "it ends before its last boundary"},
        {HEAD "1", "it ends before its last boundary"},
        {HEAD "1\r\n--AB--\r", "it ends before its last boundary"},
        {"x--AB--", "it does not begin with its boundary"},
        {"\r--AB--", "it does not begin with its boundary"},
        {"--AC--", "it does not begin with its boundary"},
        {"--AB--\r\nx", "text follows its last boundary"},
        {"--AB \r\n", "text follows a boundary on the same line"},
        {HEAD "1\r\n--ABC\r\n", "text follows a boundary on the same line"},
        {HEAD "1\n--AB\r\n", line},
        {HEAD "1\r--AB\r\n", line},
        {HEAD "--AB--\r\n", "one of its parts has no header and no empty line"},
        {"--AB\r\n\r\n1\r\n--AB--", nameless},
        {PART("X: y"), nameless},
        {PART("Content-Disposition: form-data"), nameless},
        {PART("Content-Disposition: attachment; name=\"a\""), "one of its parts is not form-data"},
        {PART("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"a\""), twice},
        {PART("Content-Disposition: form-data; name=\"a\"; name=\"b\""), twice},
        {PART("Content-Type: a\r\nContent-Type: a\r\nContent-Disposition: form-data; name=\"a\""), twice},
        {PART("Content-Disposition: form-data;\r\n name=\"a\""), nameless},
        {PART("X: y\r\n z\r\nContent-Disposition: form-data; name=\"a\""), malformed},
        {PART("Content-Disposition: form-data; name=\"a"), malformed},
        {PART("Content-Disposition: form-data; name=\"a\"b"), malformed},
        {PART("Content-Disposition: form-data; name=a\"b"), malformed},
        {PART("Content-Disposition: form-data; name"), malformed},
        {PART("Content-Disposition: form-data; name="), malformed},
        {PART("X\r\nContent-Disposition: form-data; name=a"), malformed},
        {PART("X Y: z\r\nContent-Disposition: form-data; name=a"), malformed},
        {PART("X: a\nb\r\nContent-Disposition: form-data; name=a"), malformed},
        {PART("X: a\rb\r\nContent-Disposition: form-data; name=a"), malformed},
        {PART("Content-Disposition: form-data; name*=UTF-8''a"), unusual},
        {PART("Content-Disposition: form-data; name=\"a\\\"b\""), unusual},
        {PART("Content-Transfer-Encoding: base64\r\nContent-Disposition: form-data; name=a"),
         "one of its parts has a transfer encoding"},
    };

    for (size_t i = 0; i < UNIT_COUNT(refused); i++)
        expect_refusal(*state, "AB", refused[i].body, refused[i].why);
    expect_refusal(*state, "AB", apr_psprintf(*state, "--AB\r\nX: %09000d\r\n", 7), "a part's header is too long");
    expect_refusal(*state, "", "x", "its boundary is missing or too long");
    expect_refusal(*state, apr_psprintf(*state, "%071d", 1), "x", "its boundary is missing or too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {UNIT(urlencoded_fields_are_told), UNIT(urlencoded_forms_are_refused),
                                       UNIT(multipart_fields_are_told), UNIT(multipart_forms_are_refused)};

    return cmocka_run_group_tests_name("form", tests, NULL, NULL);
}
