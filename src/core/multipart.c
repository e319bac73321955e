/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multipart.c - reads multipart/form-data (RFC 7578) as browsers and HTTP libraries write it.
 *
 * Called by form.c. Readers differ in what else they take. So this one refuses everything that they do not agree upon:
 * a preamble or an epilogue, a delimiter's line with anything behind the boundary, a delimiter without its CR. It also
 * refuses a header that is folded or says a thing twice, a name in another spelling (name*), and a transfer encoding.
 *
 * The pattern that is looked for is LF "--" boundary, with a CR before it. LF stands at its beginning and nowhere else,
 * so a match that fails cannot overlap a later one.
 */
#include "form_private.h"

#include <strings.h>

#include <apr_lib.h>

#define CR_OF_DATA 1
#define CR_OF_HEADER 2 /* the line that ends the header stands before the data: no byte of it is data */
#define CR_ALONE 3     /* no LF follows it: readers who take it for the end of a line may see a delimiter there */

/* ---- data -------------------------------------------------------------------------------------------------------- */

static void tell_form(idem_form *form, const void *data, apr_size_t len)
{
    if (len)
        form->listener->data(form->listener->baton, data, len);
}

/* The bytes that were held back as a possible delimiter are data. */
static void give_back(idem_form *form)
{
    int no_lf = form->cr == CR_OF_HEADER || form->cr == CR_ALONE;

    if (form->cr == CR_OF_DATA || form->cr == CR_ALONE)
        tell_form(form, "\r", 1);
    if (form->matched)
        tell_form(form, form->pattern + no_lf, form->matched - (apr_size_t)no_lf);
    form->cr = 0;
    form->matched = 0;
}

static void find_delimiter(idem_form *form)
{
    if (form->cr != CR_OF_DATA) {
        form->wrong = form->cr == CR_OF_HEADER
                          ? "one of its parts has no header and no empty line"
                          : "a line of it begins like a delimiter, and the line before it has no CR and LF";
        return;
    }
    form->listener->end(form->listener->baton);
    form->cr = 0;
    form->matched = 0;
    form->lined = 0;
    form->place = FORM_LINE;
}

/* Returns where to go on. */
static const unsigned char *feed_data(idem_form *form, const unsigned char *at, const unsigned char *end)
{
    const unsigned char *from = at;

    if (form->matched && *at == form->pattern[form->matched]) {
        if (++form->matched == form->pattern_len)
            find_delimiter(form);
        return at + 1;
    }
    if (!form->matched && *at == '\n') {
        form->matched = 1;
        return at + 1;
    }
    if (!form->matched && form->cr == CR_OF_DATA && *at == form->pattern[1]) {
        form->cr = CR_ALONE;
        form->matched = 2;
        return at + 1;
    }
    give_back(form);
    while (at < end && *at != '\r' && *at != '\n')
        at++;
    tell_form(form, from, (apr_size_t)(at - from));
    if (at < end && *at == '\r') {
        form->cr = CR_OF_DATA;
        at++;
    }
    return at;
}

/* ---- between parts ----------------------------------------------------------------------------------------------- */

/* "--" boundary, and before it perhaps an empty line. */
static void feed_start(idem_form *form, unsigned char byte)
{
    if (form->matched == 1 && !form->cr && byte == '\r')
        form->cr = 1;
    else if (form->matched == 1 && form->cr == 1 && byte == '\n')
        form->cr = 2;
    else if (form->cr != 1 && byte == form->pattern[form->matched])
        form->matched++;
    else
        form->wrong = "it does not begin with its boundary";
    if (form->matched < form->pattern_len)
        return;
    form->cr = 0;
    form->matched = 0;
    form->place = FORM_LINE;
}

/* Behind a boundary: CR LF, or "--". */
static void feed_line(idem_form *form, unsigned char byte)
{
    form->line[form->lined++] = (char)byte;
    if (form->lined < 2)
        return;
    if (!memcmp(form->line, "\r\n", 2)) {
        form->place = FORM_HEADERS;
        form->used = 0;
    }
    else if (!memcmp(form->line, "--", 2)) {
        form->place = FORM_END;
    }
    else {
        form->wrong = "text follows a boundary on the same line";
    }
    form->lined = 0;
}

/* An epilogue is not read by anybody; only the end of the last line is taken. */
static void feed_end(idem_form *form, unsigned char byte)
{
    if (form->lined < 2 && byte == (unsigned char)"\r\n"[form->lined])
        form->lined++;
    else
        form->wrong = "text follows its last boundary";
}

static int ends_header(const idem_form *form)
{
    return form->used >= 4 ? !memcmp(form->text + form->used - 4, "\r\n\r\n", 4)
                           : form->used == 2 && !memcmp(form->text, "\r\n", 2);
}

static void feed_header(idem_form *form, unsigned char byte)
{
    if (form->used == IDEM_FORM_HEADERS_MOST) {
        form->wrong = "a part's header is too long";
        return;
    }
    form->text[form->used++] = byte;
    if (byte != '\n' || !ends_header(form))
        return;
    idem_part_header_read(form);
    form->place = FORM_DATA;
    form->used = 0;
    form->cr = CR_OF_HEADER;
    form->matched = 1;
}

void idem_multipart_feed(idem_form *form, const unsigned char *at, const unsigned char *end)
{
    while (at < end && !form->wrong) {
        switch (form->place) {
        case FORM_DATA: at = feed_data(form, at, end); continue;
        case FORM_START: feed_start(form, *at); break;
        case FORM_LINE: feed_line(form, *at); break;
        case FORM_HEADERS: feed_header(form, *at); break;
        default: feed_end(form, *at); break;
        }
        at++;
    }
}

void idem_multipart_finish(idem_form *form)
{
    if (form->place != FORM_END || form->lined == 1)
        form->wrong = "it ends before its last boundary";
}
