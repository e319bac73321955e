/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlscan.c - finds the start tags of a page's forms that a field is to stand behind, while the page passes in pieces.
 *
 * Called by the output filter IDEMPOTENCY_FORM. Each state of the HTML standard's tokenizer (section 13.2.5) is a
 * function that takes one byte. States that would differ in their output alone are one. "Reconsume" in the standard is
 * a call of the next state here. All that matters in a page is ASCII. In the character sets that are let in, no byte
 * below 0x40 is a part of another character. So bytes are read, never characters.
 *
 * Limits: a page is not read on if its first bytes are those of UTF-16 or UTF-32, or if it shifts its character set
 * (ISO 2022 begins by ESC). The bytes before were ASCII.
 */
#include "htmlscan.h"

#include <string.h>

#include <apr_cstr.h>

#define ESC 0x1b

static idem_html_state in_text, in_open, in_end_open, in_name, before_attribute, in_attribute, after_attribute,
    before_value, in_double, in_single, in_bare, after_value, in_closing, in_markup, in_bogus, in_doctype,
    in_instruction, after_instruction, in_raw, at_loss;

static void scan_go(idem_htmlscan *scan, idem_html_state *state)
{
    scan->state = state;
}

static void scan_again(idem_htmlscan *scan, idem_html_state *state, unsigned char c)
{
    scan->state = state;
    state(scan, c);
}

static int scan_is_xml(const idem_htmlscan *scan)
{
    return scan->tree.is_xml;
}

static unsigned char folded_letter(const idem_htmlscan *scan, unsigned char c)
{
    return !scan_is_xml(scan) && c >= 'A' && c <= 'Z' ? (unsigned char)(c + ('a' - 'A')) : c;
}

/* ---- tags -------------------------------------------------------------------------------------------------------- */

static void value_clear(idem_html_value *value, apr_size_t room)
{
    value->seen = value->cut = 0;
    value->len = 0;
    value->room = room;
}

static void tag_begin(idem_htmlscan *scan, int is_end)
{
    idem_html_tag *tag = &scan->tag;

    tag->name_len = 0;
    tag->name_print = APR_UINT64_C(14695981039346656037); /* FNV-1a */
    tag->is_end = is_end;
    tag->is_closed = 0;
    value_clear(&tag->word, IDEM_HTML_WORD);
    value_clear(&tag->address, IDEM_HTML_ADDRESS);
}

static void tag_name_add(idem_html_tag *tag, unsigned char c)
{
    if (tag->name_len < IDEM_HTML_NAME)
        tag->name[tag->name_len] = (char)c;
    tag->name_len++;
    tag->name_print = (tag->name_print ^ c) * APR_UINT64_C(1099511628211);
}

static void raw_begin(idem_htmlscan *scan, idem_html_raw_kind kind, const char *element)
{
    idem_html_raw_begin(&scan->raw, kind, element, scan_is_xml(scan));
    scan_go(scan, in_raw);
}

static void tag_done(idem_htmlscan *scan)
{
    idem_html_tag *tag = &scan->tag;

    tag->name[tag->name_len < IDEM_HTML_NAME ? tag->name_len : IDEM_HTML_NAME] = '\0';
    switch (idem_html_tree_take(&scan->tree, tag, &scan->due)) {
    case IDEM_HTML_TEXT: scan_go(scan, in_text); break;
    case IDEM_HTML_RAW: raw_begin(scan, IDEM_RAW_ELEMENT, tag->name); break;
    case IDEM_HTML_SCRIPT: raw_begin(scan, IDEM_RAW_SCRIPT, tag->name); break;
    case IDEM_HTML_LOST: scan_go(scan, at_loss); break;
    }
}

static void in_text(idem_htmlscan *scan, unsigned char c)
{
    if (c == '<')
        scan_go(scan, in_open);
}

static void in_open(idem_htmlscan *scan, unsigned char c)
{
    scan->word_len = 0;
    if (c == '!') {
        scan_go(scan, in_markup);
    }
    else if (c == '/') {
        scan_go(scan, in_end_open);
    }
    else if (idem_html_is_letter(c) || (scan_is_xml(scan) && (c == '_' || c == ':' || c >= 0x80))) {
        tag_begin(scan, 0);
        scan_again(scan, in_name, c);
    }
    else if (c == '?') {
        scan_go(scan, scan_is_xml(scan) ? in_instruction : in_bogus);
    }
    else {
        scan_again(scan, in_text, c);
    }
}

static void in_end_open(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_letter(c) || (scan_is_xml(scan) && (c == '_' || c == ':' || c >= 0x80))) {
        tag_begin(scan, 1);
        scan_again(scan, in_name, c);
    }
    else if (c == '>') {
        scan_go(scan, in_text);
    }
    else {
        scan_again(scan, in_bogus, c);
    }
}

static void in_name(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c))
        scan_go(scan, before_attribute);
    else if (c == '/')
        scan_go(scan, in_closing);
    else if (c == '>')
        tag_done(scan);
    else
        tag_name_add(&scan->tag, folded_letter(scan, c));
}

static void in_closing(idem_htmlscan *scan, unsigned char c)
{
    if (c != '>') {
        scan_again(scan, before_attribute, c);
        return;
    }
    scan->tag.is_closed = 1;
    tag_done(scan);
}

/* ---- attributes -------------------------------------------------------------------------------------------------- */

static void attribute_add(idem_htmlscan *scan, unsigned char c)
{
    if (scan->attribute_len < IDEM_HTML_NAME)
        scan->attribute[scan->attribute_len] = (char)folded_letter(scan, c);
    scan->attribute_len++;
}

/* The name is complete. The first attribute of a name counts; one without a value has an empty one. */
static void attribute_named(idem_htmlscan *scan)
{
    scan->value = NULL;
    if (scan->attribute_len > IDEM_HTML_NAME)
        return;
    scan->attribute[scan->attribute_len] = '\0';
    scan->tag.name[scan->tag.name_len < IDEM_HTML_NAME ? scan->tag.name_len : IDEM_HTML_NAME] = '\0';
    scan->value = idem_html_tag_value(&scan->tag, scan->attribute);
    if (scan->value && scan->value->seen)
        scan->value = NULL;
    if (scan->value)
        scan->value->seen = 1;
}

static void value_add(idem_htmlscan *scan, unsigned char c)
{
    idem_html_value *value = scan->value;

    if (value && value->len < value->room)
        value->text[value->len++] = (char)c;
    else if (value)
        value->cut = 1;
}

static void before_attribute(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c))
        return;
    if (c == '/' || c == '>') {
        scan_again(scan, after_attribute, c);
        return;
    }
    scan->attribute_len = 0;
    if (c == '=') { /* here a name begins by it */
        attribute_add(scan, c);
        scan_go(scan, in_attribute);
    }
    else {
        scan_again(scan, in_attribute, c);
    }
}

static void in_attribute(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c) || c == '/' || c == '>') {
        attribute_named(scan);
        scan_again(scan, after_attribute, c);
    }
    else if (c == '=') {
        attribute_named(scan);
        scan_go(scan, before_value);
    }
    else {
        attribute_add(scan, c);
    }
}

static void after_attribute(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c)) {
        scan_go(scan, after_attribute);
    }
    else if (c == '/') {
        scan_go(scan, in_closing);
    }
    else if (c == '=') {
        scan_go(scan, before_value);
    }
    else if (c == '>') {
        tag_done(scan);
    }
    else {
        scan->attribute_len = 0;
        scan_again(scan, in_attribute, c);
    }
}

static void before_value(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c))
        return;
    if (c == '"')
        scan_go(scan, in_double);
    else if (c == '\'')
        scan_go(scan, in_single);
    else if (c == '>')
        tag_done(scan);
    else
        scan_again(scan, in_bare, c);
}

static void in_double(idem_htmlscan *scan, unsigned char c)
{
    if (c == '"')
        scan_go(scan, after_value);
    else
        value_add(scan, c);
}

static void in_single(idem_htmlscan *scan, unsigned char c)
{
    if (c == '\'')
        scan_go(scan, after_value);
    else
        value_add(scan, c);
}

static void in_bare(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c))
        scan_go(scan, before_attribute);
    else if (c == '>')
        tag_done(scan);
    else
        value_add(scan, c);
}

static void after_value(idem_htmlscan *scan, unsigned char c)
{
    if (idem_html_is_space(c))
        scan_go(scan, before_attribute);
    else if (c == '/')
        scan_go(scan, in_closing);
    else if (c == '>')
        tag_done(scan);
    else
        scan_again(scan, before_attribute, c);
}

/* ---- comments and other declarations ----------------------------------------------------------------------------- */

static void markup_add(idem_htmlscan *scan, unsigned char c)
{
    if (scan->word_len < IDEM_HTML_NAME)
        scan->word[scan->word_len++] = (char)c;
    scan->word[scan->word_len] = '\0';
}

/* Behind "<!": which of the three it is, or none. None of them holds a ">". */
static void in_markup(idem_htmlscan *scan, unsigned char c)
{
    static const char *const dashes = "--", *const type = "DOCTYPE", *const section = "[CDATA[";

    markup_add(scan, c);
    if (!strcmp(scan->word, dashes)) {
        raw_begin(scan, IDEM_RAW_COMMENT, NULL);
    }
    else if (!apr_cstr_casecmp(scan->word, type)) {
        scan->quote = 0;
        scan_go(scan, scan_is_xml(scan) ? in_doctype : in_bogus);
    }
    else if (!strcmp(scan->word, section) && idem_html_tree_has_cdata(&scan->tree)) {
        raw_begin(scan, IDEM_RAW_CDATA, NULL);
    }
    else if (!strcmp(scan->word, section) || (strncmp(scan->word, dashes, scan->word_len) != 0 &&
                                              apr_cstr_casecmpn(scan->word, type, scan->word_len) != 0 &&
                                              strncmp(scan->word, section, scan->word_len) != 0)) {
        scan_again(scan, in_bogus, c);
    }
}

/* A comment, a section, or an element whose content is no markup. */
static void in_raw(idem_htmlscan *scan, unsigned char c)
{
    if (!idem_html_raw_take(&scan->raw, c))
        return;
    scan_go(scan, in_text);
    if (!scan->raw.is_end_tag)
        return;
    tag_begin(scan, 1);
    for (const char *name = scan->raw.ends; *name; name++)
        tag_name_add(&scan->tag, (unsigned char)*name);
    scan_again(scan, in_name, c);
}

static void in_bogus(idem_htmlscan *scan, unsigned char c)
{
    if (c == '>')
        scan_go(scan, in_text);
}

/* XML: strings may hold a ">", and a page with declarations of its own may declare anything. */
static void in_doctype(idem_htmlscan *scan, unsigned char c)
{
    if (scan->quote)
        scan->quote = c == scan->quote ? 0 : scan->quote;
    else if (c == '"' || c == '\'')
        scan->quote = c;
    else if (c == '[')
        scan_go(scan, at_loss);
    else if (c == '>')
        scan_go(scan, in_text);
}

/* What the XML declaration says of the character set, where nobody has said it before. */
static int declaration_is_plain(const idem_htmlscan *scan)
{
    const idem_html_value *said = &scan->tag.address;
    char line[IDEM_HTML_ADDRESS + 1], *at, *end, quote;

    memcpy(line, said->text, said->len);
    line[said->len] = '\0';
    if (scan->tree.charset_is_known || strncmp(line, "xml", 3) != 0 || !idem_html_is_space((unsigned char)line[3]))
        return 1;
    at = strstr(line, "encoding");
    if (!at)
        return 1; /* UTF-8 */
    at += strcspn(at, "\"'");
    quote = *at;
    end = quote ? strchr(at + 1, quote) : NULL;
    if (!end)
        return 0;
    *end = '\0';
    return idem_html_is_plain_charset(at + 1);
}

/* XML: a processing instruction, or the declaration, which is kept as far as there is room. */
static void in_instruction(idem_htmlscan *scan, unsigned char c)
{
    if (!scan->word_len) {
        tag_begin(scan, 0);
        scan->word_len = 1;
        scan->value = &scan->tag.address;
    }
    if (c == '?')
        scan_go(scan, after_instruction);
    else
        value_add(scan, c);
}

static void after_instruction(idem_htmlscan *scan, unsigned char c)
{
    if (c == '>')
        scan_go(scan, declaration_is_plain(scan) ? in_text : at_loss);
    else if (c != '?')
        scan_go(scan, in_instruction);
}

static void at_loss(idem_htmlscan *scan, unsigned char c)
{
    (void)scan;
    (void)c;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

void idem_htmlscan_begin(idem_htmlscan *scan, int xml, int charset_is_known, const char *const *own)
{
    memset(scan, 0, sizeof(*scan));
    scan->state = in_text;
    scan->tree.is_xml = xml;
    scan->tree.own = own;
    scan->tree.charset_is_known = charset_is_known;
}

int idem_htmlscan_is_lost(const idem_htmlscan *scan)
{
    return scan->state == at_loss;
}

/* The first bytes of UTF-16 and UTF-32: a byte order mark, or an ASCII character and its zeros. */
static int scan_begins_wide(idem_htmlscan *scan, const unsigned char *data, apr_size_t len)
{
    for (apr_size_t i = 0; i < len && scan->before < 4; i++, scan->before++)
        if (!data[i] || (!scan->before && data[i] >= 0xfe))
            return 1;
    return 0;
}

/* The one byte that can change anything, or -1. */
static int scan_waits(const idem_htmlscan *scan)
{
    if (scan->state == in_raw)
        return idem_html_raw_waits(&scan->raw);
    return scan->state == in_text ? '<' : -1;
}

/* Takes one byte. Returns whether a field belongs before it; then it was not taken. */
static int scan_take(idem_htmlscan *scan, unsigned char c)
{
    int was_text = scan->state == in_text;

    if (was_text && scan->behind_tag && c && c != '<' && !scan_is_xml(scan) && idem_html_tree_take_text(&scan->tree))
        return 1;
    if (was_text && c && c != '<' && !idem_html_is_space(c))
        idem_html_tree_pass_text(&scan->tree);
    scan->state(scan, c);
    scan->behind_tag = !was_text && c == '>' && scan->state == in_text;
    return 0;
}

apr_size_t idem_htmlscan_feed(idem_htmlscan *scan, const char *data, apr_size_t len, int *due)
{
    const unsigned char *at = (const unsigned char *)data, *begin = at, *end = at + len, *shift;

    *due = 0;
    if (!len || scan->state == at_loss)
        return len;
    shift = memchr(at, ESC, len);
    if (scan_begins_wide(scan, at, len)) {
        scan->state = at_loss;
        return len;
    }
    if (shift)
        end = shift;
    while (at < end) {
        int wanted = scan->behind_tag || scan->tree.reopens ? -1 : scan_waits(scan);

        if (wanted >= 0 && *at != wanted && !(at = memchr(at, wanted, (apr_size_t)(end - at))))
            break;
        if (scan->state == at_loss)
            return len;
        *due = scan_take(scan, *at);
        at += !*due;
        if (*due || scan->due) {
            scan->due = 0;
            *due = 1;
            return (apr_size_t)(at - begin);
        }
    }
    if (shift)
        scan->state = at_loss;
    return len;
}
