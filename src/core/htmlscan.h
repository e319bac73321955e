/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlscan.h - finds the start tags of a page's forms that a field is to stand behind, while the page passes in pieces.
 *
 * A tokenizer after the HTML standard (or, for XHTML, after XML) that keeps a state of a fixed size and changes
 * nothing. What it finds does not depend on where the pieces end.
 */
#ifndef IDEM_HTMLSCAN_H
#define IDEM_HTMLSCAN_H

#include "htmlraw.h"
#include "htmltree.h"

typedef struct idem_htmlscan idem_htmlscan;

typedef void idem_html_state(idem_htmlscan *scan, unsigned char c);

struct idem_htmlscan {
    idem_html_state *state;
    idem_html_tree tree;
    idem_html_tag tag;
    char attribute[IDEM_HTML_NAME + 1];
    apr_size_t attribute_len;
    idem_html_value *value; /* what the attribute fills, NULL for nothing */
    idem_html_raw raw;
    char word[IDEM_HTML_NAME + 1]; /* what was read behind "<!" */
    apr_size_t word_len;
    unsigned char quote; /* of a DOCTYPE's string, in XML */
    unsigned before;     /* bytes seen, up to 4 */
    int due;
    int behind_tag; /* the last byte ended a tag, a comment or the like */
};

/*
 * own: authorities (host, host:port) that the page's forms may lead to, in lower case without default ports,
 * NULL-terminated; must live as long as the scan. charset_is_known: somebody else has said which it is, and it is one
 * that idem_html_is_plain_charset() knows.
 */
void idem_htmlscan_begin(idem_htmlscan *scan, int is_xml, int charset_is_known, const char *const *own);

/*
 * Reads up to len bytes. Returns how many it has read: with *due what was read ends in the ">" behind which a field
 * belongs, and the caller comes again with the rest; else all are read. It may be that none are read: then the ">" was
 * the last byte of the piece before.
 */
apr_size_t idem_htmlscan_feed(idem_htmlscan *scan, const char *data, apr_size_t len, int *due);

/* Nothing will be found any more, whatever comes. */
int idem_htmlscan_is_lost(const idem_htmlscan *scan);

#endif
