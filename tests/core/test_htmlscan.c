/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_htmlscan.c - where a page gets a field, in whatever pieces it comes.
 *
 * A case is a page with ^ where a field belongs; the scan sees it without.
 */
#include "unit.h"

#include <apr_strings.h>

#include "htmlscan.h"

static const char *const own[] = {"a.test", "a.test:8080", NULL};

/* The output for text in pieces of this size, with ^ where a field is due and "~" at the end of a page that was given
 * up. */
static const char *scanned(apr_pool_t *pool, idem_blob text, apr_size_t piece, int is_xml)
{
    idem_htmlscan scan;
    char *out = apr_pcalloc(pool, 2 * text.len + 2), *to = out;
    unit_area *area = unit_area_create(pool, text.len + 1);

    idem_htmlscan_begin(&scan, is_xml, 0, own);
    for (apr_size_t at = 0; at < text.len;) {
        apr_size_t size = text.len - at < piece ? text.len - at : piece, used;
        int due;

        used = idem_htmlscan_feed(&scan, (const char *)unit_place(area, text.data + at, size).data, size, &due);
        assert_true(used <= size && (due || used == size));
        memcpy(to, text.data + at, used);
        to += used;
        if (due)
            *to++ = '^';
        at += used;
    }
    if (idem_htmlscan_is_lost(&scan))
        *to++ = '~';
    return out;
}

static void assert_scanned(apr_pool_t *pool, const char *expected, int is_xml)
{
    char *page = apr_pstrdup(pool, expected), *to = page;

    for (const char *from = expected; *from; from++)
        if (*from != '^' && *from != '~')
            *to++ = *from;
    *to = '\0';
    for (apr_size_t piece = 1; piece <= 5; piece++)
        assert_string_equal(scanned(pool, idem_blob_str(page), piece, is_xml), expected);
    for (apr_size_t piece = 6; piece <= strlen(page); piece += 1 + piece / 4)
        assert_string_equal(scanned(pool, idem_blob_str(page), piece, is_xml), expected);
}

static void each_html(void **state, const char *const *cases)
{
    for (; *cases; cases++) {
        apr_pool_t *pool;

        assert_int_equal(apr_pool_create(&pool, *state), APR_SUCCESS);
        assert_scanned(pool, *cases, 0);
        apr_pool_destroy(pool);
    }
}

static void forms_that_post(void **state)
{
    static const char *const cases[] = {
        "<form method=post>^x",
        "<FORM METHOD=\"POST\">^",
        "<form\tmethod\n=\r'post'\f>^",
        "<form method=post>^</form><form method=post>^",
        "<form method=post>^<form method=post></form><form method=post>^",
        "<form/method=post>^",
        "<form method=post/>",
        "<form method=post />^",
        "<form method=\"post\"action=x>^",
        "<form method=post method=get>^",
        "<form method=get method=post>",
        "<form method='&#112;&#x4F;st'>^",
        "<form method='&#112ost'>^",
        "<form method=' post'>",
        "<form method=dialog>",
        "<form>",
        "<form method>",
        "<form method=>",
        "<form method=post",
        "<form method='post>",
        "<formx method=post>",
        "<fo method=post>",
        "<form =method=post>",
        "</form method=post>",
        "<<form method=post>^",
        "< form method=post>",
        "<a title='<form method=post>'><form method=post>^",
        "<table><form method=post>^<tr><td><form method=post></form><form method=post>^",
        NULL,
    };
    each_html(state, cases);
}

static void what_is_no_markup(void **state)
{
    static const char *const cases[] = {
        "<!-- <form method=post> --><form method=post>^",
        "<!--><form method=post>^",
        "<!---><form method=post>^",
        "<!--x--!><form method=post>^",
        "<!--x--!-><form method=post>--><form method=post>^",
        "<!- <form method=post></form><form method=post>^",
        "<!DOCTYPE '><form method=post>^",
        "<?x ><form method=post>^",
        "</ x><form method=post>^",
        "</><form method=post>^",
        "<![CDATA[ <form method=post></form><form method=post>^",
        "<script><form method=post></script x='>'><form method=post>^",
        "<script></scriptx><form method=post></script\n><form method=post>^",
        "<script><!--<script></script><form method=post>--></script><form method=post>^",
        "<script><!--<script>--><form method=post></script><form method=post>^",
        "<script><!--<scripty></script><form method=post>^",
        "<script><!--<script></script/><form method=post></script><form method=post>^",
        "<script><!--</script><form method=post>^",
        "<script><!-</script><form method=post>^",
        "<script></</script><form method=post>^",
        "<textarea></form><form method=post></TEXTAREA><form method=post>^",
        "<title><form method=post></title/><form method=post>^",
        "<style></<form method=post></style><xmp></style></xmp><form method=post>^",
        "<noscript><form method=post></noscript><iframe><form method=post></iframe><form method=post>^",
        "<template><form method=post></form><template></template><form method=post></template><form method=post>^",
        "<form method=post>^<template></form></template><form method=post>",
        NULL,
    };
    each_html(state, cases);
}

static void svg_and_mathml(void **state)
{
    static const char *const cases[] = {
        "<svg><form method=post></form></svg><form method=post>^",
        "<svg><style></svg><form method=post>^",
        "<svg/><form method=post>^",
        "<svg><title><b>x</b></title><script><g/></script></svg><form method=post>^",
        "<svg><![CDATA[><form method=post>]]]></svg><form method=post>^",
        "<svg><desc><![CDATA[><form method=post>]]></desc></svg><form method=post>^",
        "<svg><desc><b><![CDATA[></b></desc></svg><form method=post>^",
        "<svg><g><p><form method=post>^",
        "<svg><foreignObject><div><br></div><svg></svg></foreignObject></svg><form method=post>^",
        "<svg><foreignObject><form method=post>~",
        "<svg><foreignObject><div></foreignObject>~<form method=post>",
        "<svg></div>~<form method=post>",
        "<svg></p>~<form method=post>",
        "<svg><font color=red>~<form method=post>",
        "<math><mi><mglyph></mglyph><b></b></mi></math><form method=post>^",
        "<math><annotation-xml>~<form method=post>",
        "<math><svg><title><style></title></svg></math><form method=post>^",
        NULL,
    };

    for (const char *const *one = cases; *one; one++)
        if (!strchr(*one, '~')) {
            const char *const single[] = {*one, NULL};
            each_html(state, single);
        }
        else { /* where a page is given up does not show in what comes out */
            char *text = apr_pstrdup(*state, *one);
            memmove(strchr(text, '~'), strchr(text, '~') + 1, strlen(strchr(text, '~')));
            assert_scanned(*state, apr_pstrcat(*state, text, "~", NULL), 0);
        }
}

static void where_browsers_differ(void **state)
{
    static const char *const cases[] = {
        "<form method=post>^<select><option>a</select></form><form method=post>^",
        "<form method=post>^</form><select><form method=post>~",
        "<form method=post>^<select></form><form method=post>~",
        "<select><style><form method=post>~",
        "<select><svg><form method=post>~",
        "<select><input><form method=post>^",
        "<select><select><form method=post>^",
        "<select><script></select></script><form method=post>~",
        "<plaintext><form method=post>~",
        "<frameset><form method=post>~",
        NULL,
    };
    each_html(state, cases);
}

static void where_forms_lead(void **state)
{
    static const char *const cases[] = {
        "<form method=post action>^",
        "<form method=post action=''>^",
        "<form method=post action=' '>^",
        "<form method=post action=x>^",
        "<form method=post action='/\xc3\xbc?a=b&amp;c=//d'>^",
        "<form method=post action='http://A.test'>^",
        "<form method=post action='https://a.test:443/x'>^",
        "<form method=post action='http://a.test:80?x'>^",
        "<form method=post action='//a.test:8080#x'>^",
        "<form method=post action='\\\\a.test\\x'>^",
        "<form method=post action='/a:b//c'>^",
        "<form method=post action='1http://b.test'>^",
        "<form method=post action='http://a.test:81/'>",
        "<form method=post action='http://b.test/'>",
        "<form method=post action='http://a.test.b.test/'>",
        "<form method=post action='http://a.test@b.test/'>",
        "<form method=post action='//b.test'>",
        "<form method=post action='/&Tab;/b.test'>",
        "<form method=post action='\\/b.test'>",
        "<form method=post action='&#x2f;&sol;b.test'>",
        "<form method=post action='ht\ntp:&bsol;/b.test'>",
        "<form method=post action='http&colon;//b.test'>",
        "<form method=post action='http:b.test'>",
        "<form method=post action='javascript:x'>",
        "<form method=post action='mailto:x'>",
        "<base href=//b.test><form method=post action=x></form><form method=post action=''>^",
        "<base href=//b.test><form method=post action=//a.test/>^",
        "<base href=/x><base href=//b.test><form method=post action=x>^",
        "<base target=x><template><base href=//b.test></template><form method=post action=x>^",
        NULL,
    };
    each_html(state, cases);
}

static void long_values(void **state)
{
    apr_pool_t *pool = *state;
    char *many = apr_pcalloc(pool, 3001), *blanks = apr_pcalloc(pool, 3001);

    memset(many, 'x', 3000);
    memset(blanks, ' ', 3000);
    assert_scanned(pool, apr_psprintf(pool, "<form method=post action='/%s'>^", many), 0);
    assert_scanned(pool, apr_psprintf(pool, "<form method=post action='%s'>", many), 0); /* it may be a scheme */
    assert_scanned(pool, apr_psprintf(pool, "<form method=post action='%s'>", blanks), 0);
    assert_scanned(pool, apr_psprintf(pool, "<form method=post action='http://a.test%s'>", many), 0);
    assert_scanned(pool, apr_psprintf(pool, "<form method='post%s'>", many), 0);
    assert_scanned(pool, apr_psprintf(pool, "<form%s method=post><form method=post>^", many), 0);
    assert_scanned(pool, apr_psprintf(pool, "<form %s=1 data-x='%s>' method=post>^", many, many), 0);
}

static void too_deep(void **state)
{
    const char *svg = "", *templates = "";

    for (int i = 0; i < IDEM_HTML_FOREIGN; i++) {
        svg = apr_pstrcat(*state, svg, i ? "<g>" : "<svg>", NULL);
        templates = apr_pstrcat(*state, templates, "<template>", NULL);
    }
    assert_scanned(*state, apr_pstrcat(*state, svg, "</svg><form method=post>^", NULL), 0);
    assert_scanned(*state, apr_pstrcat(*state, svg, "<g></svg><form method=post>~", NULL), 0);
    assert_scanned(*state, apr_pstrcat(*state, templates, "<form method=post>~", NULL), 0);
}

static void character_sets(void **state)
{
    static const char *const cases[] = {
        "\xef\xbb\xbf<form method=post>^",
        "<meta charset=shift_jis><form method=post>^",
        "<meta charset=iso-2022-jp><form method=post>~",
        "<meta http-equiv=content-type content='text/html;charset=ISO-2022-KR'><form method=post>~",
        "<meta charset=hz-gb-2312><form method=post>~",
        "<form method=post>^</form>\x1b$B<form method=post>~",
        "\xff\xfe<form method=post>~",
        "\xfe\xff<form method=post>~",
        NULL,
    };
    static const char ends[] = "<a><form method=post\0>";
    static const char wide[] = "<\0f\0o\0r\0m\0", plain[] = "<a>\0<form method=post>",
                      late[] = "<ab>\0<form method=post>";

    each_html(state, cases);
    assert_true(scanned(*state, idem_blob_of(wide, sizeof(wide) - 1), 3, 0)[sizeof(wide) - 1] == '~');
    assert_true(scanned(*state, idem_blob_of(plain, sizeof(plain) - 1), 1, 0)[sizeof(plain) - 1] == '~');
    assert_true(scanned(*state, idem_blob_of(late, sizeof(late) - 1), 1, 0)[sizeof(late) - 1] == '^');
    assert_true(scanned(*state, idem_blob_of(ends, sizeof(ends) - 1), 9, 0)[sizeof(ends) - 1] == '\0');
    assert_true(idem_html_is_plain_charset("UTF-8") && idem_html_is_plain_charset("Windows-1252"));
    assert_false(idem_html_is_plain_charset(NULL) || idem_html_is_plain_charset("utf-16le") ||
                 idem_html_is_plain_charset("utf-7") || idem_html_is_plain_charset("iso-2022-jp"));
}

static void xhtml(void **state)
{
    static const char *const cases[] = {
        "<?xml version='1.0'?><html><form method='post'>^<p/></form></html>",
        "<form method='post'/><form method='POST'>^</form>",
        "<FORM method='post'></FORM><form METHOD='post'></form><x:form method='post'></x:form>",
        "<script><form method='post'>^</form></script>",
        "<!-- --!> <form method='post'> --><![CDATA[<form method='post'>]]><form method='post'>^",
        "<?x > <form method='post'>?"
        "?><form method='post'>^",
        "<!DOCTYPE html PUBLIC \"<form>\" '>'><form method='post'>^",
        "<!DOCTYPE html [ <!ENTITY x '>'> ]><form method='post'>~",
        "<svg><svg/><form method='post'/><svg></svg></svg><form method='post'>^<form method='post'>^",
        "<template><form method='post'></form></template><math/><form method='post'>^",
        "<?xml version='1.0' encoding='latin1'?><form method='post'>^",
        "<?xml version='1.0' encoding='UTF-16'?><form method='post'>~",
        "<?xml version='1.0' encoding=?><form method='post'>~",
        "<base href='//b.test'/><form method='post' action='x'></form><form method='post'>^",
        "<_x method='post'><form method='post'>^",
        NULL,
    };

    for (const char *const *one = cases; *one; one++)
        assert_scanned(*state, *one, 1);
}

static void a_charset_that_is_known(void **state)
{
    static const char meta[] = "<meta charset=iso-2022-jp><form method=post>";
    static const char xml[] = "<?xml version='1.0' encoding='x'?><form method='post'>";
    idem_htmlscan scan;
    int due;

    (void)state;
    idem_htmlscan_begin(&scan, 0, 1, own);
    assert_int_equal(idem_htmlscan_feed(&scan, meta, strlen(meta), &due), strlen(meta));
    assert_true(due);
    idem_htmlscan_begin(&scan, 1, 1, own);
    assert_int_equal(idem_htmlscan_feed(&scan, xml, strlen(xml), &due), strlen(xml));
    assert_true(due);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNIT(forms_that_post),
        UNIT(what_is_no_markup),
        UNIT(svg_and_mathml),
        UNIT(where_browsers_differ),
        UNIT(where_forms_lead),
        UNIT(long_values),
        UNIT(too_deep),
        UNIT(character_sets),
        UNIT(xhtml),
        UNIT(a_charset_that_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
