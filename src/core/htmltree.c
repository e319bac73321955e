/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmltree.c - what a browser's tree of elements does to a page's tokens, as far as forms are concerned.
 *
 * Called by htmlscan.c. The HTML standard's tree construction is followed where it decides one of two things. How is
 * text read: does this <style> belong to HTML, where its content is no markup, or to SVG, where it is? And is a <form>
 * one: it is none within another form, nor in a template. The answer is IDEM_HTML_LOST where browsers of different
 * years differ (<select>), or where a decision needs more of the tree than is kept here. The rest of the page then
 * stays as it is, which is never wrong.
 *
 * A browser closes <b>, <i> and the like with the element around them, and opens them again before the next text. It
 * does so for an <input> as well, so that a field right behind <form> could move what follows. Where one may have been
 * closed so, the field waits for a place where it is opened anyway.
 *
 * XML has no such rules: there names are as they are written, and every element has its end.
 */
#include "htmltree.h"

#include <limits.h>
#include <string.h>

enum { SVG, MATH, SVG_POINT, MATH_POINT, HTML }; /* idem_html_open.kind; …_POINT: in it HTML begins again */

static int tag_is(const idem_html_tag *tag, const char *name)
{
    return tag->name_len == strlen(name) && tag->name_len <= IDEM_HTML_NAME && !memcmp(tag->name, name, tag->name_len);
}

static int tag_is_among(const idem_html_tag *tag, const char *const *names)
{
    for (; *names; names++)
        if (tag_is(tag, *names))
            return 1;
    return 0;
}

idem_html_value *idem_html_tag_value(idem_html_tag *tag, const char *attribute)
{
    static const struct {
        const char *element, *attribute;
        int is_word;
    } values[] = {{"form", "method", 1},
                  {"form", "action", 0},
                  {"base", "href", 0},
                  {"meta", "charset", 1},
                  {"meta", "content", 0}};

    for (apr_size_t i = 0; !tag->is_end && i < sizeof(values) / sizeof(*values); i++)
        if (tag_is(tag, values[i].element) && !strcmp(attribute, values[i].attribute))
            return values[i].is_word ? &tag->word : &tag->address;
    return NULL;
}

/* ---- forms ------------------------------------------------------------------------------------------------------- */

static int leads_to_us(const idem_html_tree *tree, const idem_html_tag *form)
{
    switch (idem_html_target_of(&form->address, tree->own)) {
    case IDEM_TARGET_PAGE:
    case IDEM_TARGET_OWN: return 1;
    case IDEM_TARGET_RELATIVE: return !tree->base_is_other;
    default: return 0;
    }
}

static int wants_field(const idem_html_tree *tree, const idem_html_tag *form)
{
    return idem_html_is_word(&form->word, "post") && leads_to_us(tree, form);
}

static void take_base(idem_html_tree *tree, const idem_html_tag *base)
{
    if (tree->base_seen || !base->address.seen)
        return;
    tree->base_seen = 1;
    tree->base_is_other = idem_html_target_of(&base->address, tree->own) == IDEM_TARGET_OTHER;
}

/* Elements that browsers open again, in the standard's words formatting elements; -1 for others. */
static int formatting_index(const idem_html_tag *tag)
{
    static const char *const names[IDEM_HTML_FORMATTING] = {"a",    "b", "big",   "code",   "em",     "font", "i",
                                                            "nobr", "s", "small", "strike", "strong", "tt",   "u"};

    for (int i = 0; i < IDEM_HTML_FORMATTING; i++)
        if (tag_is(tag, names[i]))
            return i;
    return -1;
}

static unsigned formatting_count(const idem_html_tree *tree)
{
    unsigned count = 0;

    for (int i = 0; i < IDEM_HTML_FORMATTING; i++)
        count += tree->formatting[i];
    return count;
}

/* What opens them again, besides text, in the browser as here. */
static int is_inline(const idem_html_tag *tag)
{
    static const char *const names[] = {"input", "img", "br", "wbr", "span", "label", "button", "select", NULL};

    return formatting_index(tag) >= 0 || tag_is_among(tag, names);
}

static int closes_paragraph(const idem_html_tag *tag)
{
    static const char *const names[] = {
        "address", "article", "aside",    "blockquote", "center", "details",   "dialog",  "dir", "div", "dl",  "dd",
        "dt",      "li",      "fieldset", "figure",     "footer", "form",      "h1",      "h2",  "h3",  "h4",  "h5",
        "h6",      "header",  "hgroup",   "hr",         "main",   "menu",      "nav",     "ol",  "p",   "pre", "ul",
        "listing", "search",  "section",  "table",      "xmp",    "plaintext", "summary", NULL};

    return tag_is_among(tag, names) || tag_is(tag, "figcaption");
}

/* May close one of its own kind, or what is open in a table. */
static int closes_others(const idem_html_tag *tag)
{
    static const char *const names[] = {
        "li", "dd",  "dt", "h1", "h2", "h3",      "h4",  "h5",    "h6",       "option", "optgroup", "rp",    "rt",
        "rb", "rtc", "tr", "td", "th", "caption", "col", "tbody", "colgroup", "thead",  "tfoot",    "table", NULL};

    return tag_is_among(tag, names);
}

/* In doubt they may be open, and may have been closed. */
static void follow_formatting_start(idem_html_tree *tree, const idem_html_tag *tag)
{
    int i = formatting_index(tag), closes = closes_paragraph(tag);

    if ((closes && tree->p_open) || closes_others(tag))
        tree->reopens |= formatting_count(tree) > 0;
    if (is_inline(tag) && !tree->templates)
        tree->reopens = 0;
    if (closes)
        tree->p_open = tag_is(tag, "p");
    if (i >= 0 && tree->formatting[i] < USHRT_MAX)
        tree->formatting[i]++;
}

static void follow_formatting_end(idem_html_tree *tree, const idem_html_tag *tag)
{
    int i = formatting_index(tag);

    if (i >= 0 && tree->formatting[i])
        tree->formatting[i]--;
    tree->reopens |= formatting_count(tree) > 0;
    if (tag_is(tag, "p"))
        tree->p_open = 0;
}

void idem_html_tree_pass_text(idem_html_tree *tree)
{
    if (!tree->templates && !tree->foreign)
        tree->reopens = 0;
}

static idem_html_mode take_form(idem_html_tree *tree, const idem_html_tag *form, int *due)
{
    if (tree->templates)
        return IDEM_HTML_TEXT;
    if (tree->selects)
        return IDEM_HTML_LOST;
    if (!tree->form_open && wants_field(tree, form)) {
        tree->form_waits = tree->reopens && formatting_count(tree) > 0;
        tree->form_waits_behind = 0;
        *due = !tree->form_waits;
    }
    tree->form_open = 1;
    return IDEM_HTML_TEXT;
}

/* Is this a place for a field that waits? */
static int place_is_good(const idem_html_tree *tree)
{
    return tree->form_waits && !tree->form_waits_behind && !tree->templates && !tree->foreign;
}

static int take_place(idem_html_tree *tree)
{
    tree->form_waits = 0;
    return 1;
}

static void wait_behind(idem_html_tree *tree, const idem_html_tag *tag)
{
    tree->form_waits_behind = tag->name_print;
    tree->form_waits_count = formatting_count(tree);
}

/* Behind <button> and <select> a field belongs to their end. */
static void wait_start(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    if (!place_is_good(tree) || !is_inline(tag))
        return;
    if (tag_is(tag, "button") || tag_is(tag, "select"))
        wait_behind(tree, tag);
    else
        *due = take_place(tree);
}

static void wait_end(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    if (!tree->form_waits || tree->templates || tree->form_waits_behind != tag->name_print)
        return;
    tree->form_waits_behind = 0;
    if (tree->form_waits_count == formatting_count(tree)) /* else it has left some open */
        *due = take_place(tree);
}

int idem_html_tree_take_text(idem_html_tree *tree)
{
    return place_is_good(tree) && take_place(tree);
}

/* ---- HTML -------------------------------------------------------------------------------------------------------- */

static int select_is_open(const idem_html_tree *tree)
{
    return (int)(tree->selects >> tree->templates & 1);
}

static void set_select(idem_html_tree *tree, int open)
{
    unsigned bit = 1U << tree->templates;

    tree->selects = open ? tree->selects | bit : tree->selects & ~bit;
}

static idem_html_mode open_foreign(idem_html_tree *tree, const idem_html_tag *tag, int kind)
{
    if (tag->is_closed)
        return IDEM_HTML_TEXT;
    if (tree->foreign == IDEM_HTML_FOREIGN)
        return IDEM_HTML_LOST;
    tree->stack[tree->foreign].name_print = tag->name_print;
    tree->stack[tree->foreign++].kind = (unsigned char)kind;
    return IDEM_HTML_TEXT;
}

static idem_html_mode open_template(idem_html_tree *tree)
{
    if (tree->templates == 30)
        return IDEM_HTML_LOST;
    tree->templates++;
    set_select(tree, 0);
    return IDEM_HTML_TEXT;
}

/* Within <select> most elements were none for a long time, and newer browsers take them. */
static idem_html_mode take_html_start(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    static const char *const raw[] = {"style",    "title",   "textarea", "iframe", "noscript",
                                      "noframes", "noembed", "xmp",      NULL};

    follow_formatting_start(tree, tag);
    if (tag_is(tag, "form"))
        return take_form(tree, tag, due);
    wait_start(tree, tag, due);
    if (tag_is(tag, "script"))
        return IDEM_HTML_SCRIPT;
    if (tag_is(tag, "template"))
        return open_template(tree);
    if (tag_is_among(tag, raw))
        return select_is_open(tree) ? IDEM_HTML_LOST : IDEM_HTML_RAW;
    if (tag_is(tag, "svg") || tag_is(tag, "math"))
        return select_is_open(tree) ? IDEM_HTML_LOST : open_foreign(tree, tag, *tag->name == 's' ? SVG : MATH);
    if (tag_is(tag, "select"))
        set_select(tree, !select_is_open(tree));
    else if (tag_is(tag, "input"))
        set_select(tree, 0);
    else if (tag_is(tag, "base") && !tree->templates)
        take_base(tree, tag);
    else if (tag_is(tag, "meta") && !tree->charset_is_known &&
             (idem_html_names_shifting(&tag->word) || idem_html_names_shifting(&tag->address)))
        return IDEM_HTML_LOST;
    return tag_is(tag, "plaintext") || tag_is(tag, "frameset") ? IDEM_HTML_LOST : IDEM_HTML_TEXT;
}

static idem_html_mode take_html_end(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    follow_formatting_end(tree, tag);
    wait_end(tree, tag, due);
    if (tag_is(tag, "form") && !tree->templates) {
        if (tree->selects)
            return IDEM_HTML_LOST;
        tree->form_open = tree->form_waits = 0;
    }
    else if (tag_is(tag, "select")) {
        set_select(tree, 0);
    }
    else if (tag_is(tag, "template") && tree->templates) {
        set_select(tree, 0);
        tree->templates--;
    }
    return IDEM_HTML_TEXT;
}

/* ---- SVG and MathML within HTML ---------------------------------------------------------------------------------- */

static idem_html_open *top_of(idem_html_tree *tree)
{
    return &tree->stack[tree->foreign - 1];
}

static int is_html_or_point(const idem_html_open *open)
{
    return open->kind >= SVG_POINT;
}

int idem_html_tree_has_cdata(const idem_html_tree *tree)
{
    return tree->is_xml || (tree->foreign && tree->stack[tree->foreign - 1].kind != HTML);
}

static int kind_within(const idem_html_open *outer, const idem_html_tag *tag)
{
    static const char *const svg_points[] = {"foreignobject", "desc", "title", NULL};
    static const char *const math_points[] = {"mi", "mo", "mn", "ms", "mtext", NULL};
    int in_svg = outer->kind == SVG || outer->kind == SVG_POINT;

    if (in_svg)
        return tag_is_among(tag, svg_points) ? SVG_POINT : SVG;
    return tag_is_among(tag, math_points) ? MATH_POINT : MATH;
}

/* HTML within HTML's points in SVG and MathML: what needs no further rules to be opened and closed. */
static idem_html_mode take_inner_html_start(idem_html_tree *tree, const idem_html_tag *tag)
{
    static const char *const simple[] = {"div", "span", "b",    "i", "em", "strong", "small",
                                         "sub", "sup",  "code", "u", "s",  NULL};
    static const char *const empty[] = {"br", "img", "wbr", NULL};
    idem_html_tag opened = *tag;

    if (tag_is_among(tag, empty))
        return IDEM_HTML_TEXT;
    if (tag_is(tag, "svg") || tag_is(tag, "math"))
        return open_foreign(tree, tag, *tag->name == 's' ? SVG : MATH);
    opened.is_closed = 0; /* which HTML does not know */
    return tag_is_among(tag, simple) ? open_foreign(tree, &opened, HTML) : IDEM_HTML_LOST;
}

/* Elements of HTML that end SVG and MathML wherever they come. */
static const char *const breakouts[] = {
    "b",       "big",  "blockquote", "body",  "br", "center", "code", "dd",   "div", "dl",    "dt",   "em",
    "embed",   "h1",   "h2",         "h3",    "h4", "h5",     "h6",   "head", "hr",  "i",     "img",  "li",
    "listing", "menu", "meta",       "nobr",  "ol", "p",      "pre",  "ruby", "s",   "small", "span", "strong",
    "strike",  "sub",  "sup",        "table", "tt", "u",      "ul",   "var",  NULL};

static idem_html_mode take_foreign_start(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    const idem_html_open *top = top_of(tree);

    if (is_html_or_point(top)) {
        if (top->kind == MATH_POINT && (tag_is(tag, "mglyph") || tag_is(tag, "malignmark")))
            return open_foreign(tree, tag, MATH);
        return take_inner_html_start(tree, tag);
    }
    if (tag_is(tag, "font") || tag_is(tag, "annotation-xml"))
        return IDEM_HTML_LOST; /* their attributes decide what they are */
    if (!tag_is_among(tag, breakouts))
        return open_foreign(tree, tag, kind_within(top, tag));
    while (tree->foreign && !is_html_or_point(top_of(tree)))
        tree->foreign--;
    return tree->foreign ? take_inner_html_start(tree, tag) : take_html_start(tree, tag, due);
}

/* This end has no beginning in the foreign content. It may close an element around it, and those are not known. */
static idem_html_mode take_foreign_end(idem_html_tree *tree, const idem_html_tag *tag)
{
    int i = tree->foreign - 1;

    if (tree->stack[i].kind == HTML) {
        if (tree->stack[i].name_print != tag->name_print)
            return IDEM_HTML_LOST;
        tree->foreign = i;
        return IDEM_HTML_TEXT;
    }
    if (tag_is(tag, "p") || tag_is(tag, "br"))
        return IDEM_HTML_LOST;
    for (; i >= 0 && tree->stack[i].kind != HTML; i--) {
        if (tree->stack[i].name_print == tag->name_print) {
            tree->foreign = i;
            return IDEM_HTML_TEXT;
        }
    }
    return IDEM_HTML_LOST;
}

/* ---- XML --------------------------------------------------------------------------------------------------------- */

static idem_html_mode take_xml(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    static const char *const without_forms[] = {"template", "noscript", "svg", "math", NULL};

    if (tree->closed_depth) {
        if (tag->name_print == tree->closed_print && !tag->is_closed)
            tree->closed_depth += tag->is_end ? -1 : 1;
        return IDEM_HTML_TEXT;
    }
    if (tag->is_end)
        return IDEM_HTML_TEXT;
    if (tag_is_among(tag, without_forms) && !tag->is_closed) {
        tree->closed_print = tag->name_print;
        tree->closed_depth = 1;
    }
    else if (tag_is(tag, "base")) {
        take_base(tree, tag);
    }
    *due = tag_is(tag, "form") && !tag->is_closed && wants_field(tree, tag);
    return IDEM_HTML_TEXT;
}

idem_html_mode idem_html_tree_take(idem_html_tree *tree, const idem_html_tag *tag, int *due)
{
    *due = 0;
    if (tree->is_xml)
        return take_xml(tree, tag, due);
    if (tree->foreign)
        return tag->is_end ? take_foreign_end(tree, tag) : take_foreign_start(tree, tag, due);
    return tag->is_end ? take_html_end(tree, tag, due) : take_html_start(tree, tag, due);
}
