/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlraw.c - what stands in a page and is no markup: comments, CDATA sections, scripts, and raw text. Finds its end.
 *
 * Called by htmlscan.c. The states of the HTML standard's tokenizer (section 13.2.5) for these; states that differ only
 * in what they would emit are one. Scripts have more of them than one expects: a script in a comment in a script does
 * not end it.
 */
#include "htmlraw.h"

#include <string.h>

#include <apr_strings.h>

#include "htmlvalue.h"

static idem_html_raw_state in_comment_start_dash, in_comment, in_comment_dash, in_comment_end, in_comment_bang,
    in_cdata, in_cdata_bracket, in_cdata_end, in_element_open, in_raw_end_open, in_raw_end_name, in_script_open,
    in_script_bang, in_script_dash, in_escaped, in_escaped_dash, in_escaped_dashes, in_escaped_open, in_inner_name;

static void raw_go(idem_html_raw *raw, idem_html_raw_state *state)
{
    raw->state = state;
}

static void raw_again(idem_html_raw *raw, idem_html_raw_state *state, unsigned char c)
{
    raw->state = state;
    state(raw, c);
}

static void raw_word_begin(idem_html_raw *raw)
{
    raw->word_len = 0;
    raw->word[0] = '\0';
}

static void raw_word_add(idem_html_raw *raw, unsigned char c)
{
    if (raw->word_len < IDEM_HTML_WORD_MOST)
        raw->word[raw->word_len++] = (char)(c | ('a' - 'A')); /* letters only */
    raw->word[raw->word_len] = '\0';
}

/* ---- comments and sections --------------------------------------------------------------------------------------- */

static void in_comment_start(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_comment_start_dash);
    else
        raw_go(raw, c == '>' ? NULL : in_comment);
}

static void in_comment_start_dash(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_comment_end);
    else
        raw_go(raw, c == '>' ? NULL : in_comment);
}

static void in_comment(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_comment_dash);
}

static void in_comment_dash(idem_html_raw *raw, unsigned char c)
{
    raw_go(raw, c == '-' ? in_comment_end : in_comment);
}

static void in_comment_end(idem_html_raw *raw, unsigned char c)
{
    if (c == '>')
        raw_go(raw, NULL);
    else if (c == '!' && !raw->is_xml)
        raw_go(raw, in_comment_bang);
    else if (c != '-')
        raw_go(raw, in_comment);
}

static void in_comment_bang(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_comment_dash);
    else
        raw_go(raw, c == '>' ? NULL : in_comment);
}

static void in_cdata(idem_html_raw *raw, unsigned char c)
{
    if (c == ']')
        raw_go(raw, in_cdata_bracket);
}

static void in_cdata_bracket(idem_html_raw *raw, unsigned char c)
{
    raw_go(raw, c == ']' ? in_cdata_end : in_cdata);
}

static void in_cdata_end(idem_html_raw *raw, unsigned char c)
{
    if (c == '>')
        raw_go(raw, NULL);
    else if (c != ']')
        raw_go(raw, in_cdata);
}

/* ---- elements whose content is raw ------------------------------------------------------------------------------- */

/* Behind "</": is this the element's end? */
static void in_raw_end_open(idem_html_raw *raw, unsigned char c)
{
    raw_again(raw, idem_html_is_letter(c) ? in_raw_end_name : raw->text, c);
}

static void in_raw_end_name(idem_html_raw *raw, unsigned char c)
{
    if (idem_html_is_letter(c)) {
        raw_word_add(raw, c);
        return;
    }
    raw->is_end_tag = (idem_html_is_space(c) || c == '/' || c == '>') && !strcmp(raw->word, raw->ends);
    if (raw->is_end_tag)
        raw_go(raw, NULL);
    else
        raw_again(raw, raw->text, c);
}

static void in_element(idem_html_raw *raw, unsigned char c)
{
    if (c == '<')
        raw_go(raw, in_element_open);
}

static void in_element_open(idem_html_raw *raw, unsigned char c)
{
    raw_word_begin(raw);
    if (c == '/')
        raw_go(raw, in_raw_end_open);
    else
        raw_again(raw, in_element, c);
}

static void in_script(idem_html_raw *raw, unsigned char c)
{
    raw->text = in_script;
    if (c == '<')
        raw_go(raw, in_script_open);
}

static void in_script_open(idem_html_raw *raw, unsigned char c)
{
    raw_word_begin(raw);
    if (c == '/')
        raw_go(raw, in_raw_end_open);
    else if (c == '!')
        raw_go(raw, in_script_bang);
    else
        raw_again(raw, in_script, c);
}

static void in_script_bang(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_script_dash);
    else
        raw_again(raw, in_script, c);
}

static void in_script_dash(idem_html_raw *raw, unsigned char c)
{
    if (c != '-') {
        raw_again(raw, in_script, c);
        return;
    }
    raw->text = in_escaped;
    raw->is_doubled = 0;
    raw_go(raw, in_escaped_dashes);
}

/* A comment in a script: "escaped" in the standard. A script in that comment ("double escaped") has the same states. */
static void in_escaped(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_escaped_dash);
    else
        raw_go(raw, c == '<' ? in_escaped_open : in_escaped);
}

static void in_escaped_dash(idem_html_raw *raw, unsigned char c)
{
    if (c == '-')
        raw_go(raw, in_escaped_dashes);
    else
        raw_again(raw, in_escaped, c);
}

static void in_escaped_dashes(idem_html_raw *raw, unsigned char c)
{
    if (c == '>')
        raw_go(raw, in_script);
    else if (c != '-')
        raw_again(raw, in_escaped, c);
}

/* The outer script ends by its end tag. The inner one begins by a tag, and ends by an end tag. */
static void in_escaped_open(idem_html_raw *raw, unsigned char c)
{
    raw_word_begin(raw);
    if (c == '/')
        raw_go(raw, raw->is_doubled ? in_inner_name : in_raw_end_open);
    else
        raw_again(raw, idem_html_is_letter(c) && !raw->is_doubled ? in_inner_name : in_escaped, c);
}

static void in_inner_name(idem_html_raw *raw, unsigned char c)
{
    if (idem_html_is_letter(c)) {
        raw_word_add(raw, c);
    }
    else if (idem_html_is_space(c) || c == '/' || c == '>') {
        raw->is_doubled ^= !strcmp(raw->word, "script");
        raw_go(raw, in_escaped);
    }
    else {
        raw_again(raw, in_escaped, c);
    }
}

/* ---- one of them ------------------------------------------------------------------------------------------------- */

void idem_html_raw_begin(idem_html_raw *raw, idem_html_raw_kind kind, const char *element, int is_xml)
{
    static idem_html_raw_state *const begins[] = {in_comment_start, in_cdata, in_element, in_script};

    raw->state = raw->text = begins[kind];
    raw->is_xml = is_xml;
    raw->is_doubled = raw->is_end_tag = 0;
    raw_word_begin(raw);
    apr_cpystrn(raw->ends, element ? element : "", sizeof(raw->ends));
}

int idem_html_raw_take(idem_html_raw *raw, unsigned char c)
{
    raw->state(raw, c);
    return !raw->state;
}

int idem_html_raw_waits(const idem_html_raw *raw)
{
    if (raw->state == in_element || raw->state == in_script)
        return '<';
    return raw->state == in_comment ? '-' : -1;
}
