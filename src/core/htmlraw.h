/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlraw.h - what stands in a page and is no markup: comments, CDATA sections, scripts, and raw text. Finds its end.
 *
 * Called by htmlscan.c, a byte at a time.
 */
#ifndef IDEM_HTMLRAW_H
#define IDEM_HTMLRAW_H

#define IDEM_HTML_WORD_MOST 16 /* longer than any word that matters */

typedef struct idem_html_raw idem_html_raw;

typedef void idem_html_raw_state(idem_html_raw *raw, unsigned char c);

struct idem_html_raw {
    idem_html_raw_state *state; /* NULL: it is over */
    idem_html_raw_state *text;  /* in an element: the state of its text, to which what was no end tag goes back */
    int is_xml;
    int is_doubled;                     /* in a script: within a script that stands in its comment */
    int is_end_tag;                     /* it is over by an end tag, whose name was read */
    char ends[IDEM_HTML_WORD_MOST + 1]; /* the element */
    char word[IDEM_HTML_WORD_MOST + 1];
    int word_len;
};

typedef enum idem_html_raw_kind {
    IDEM_RAW_COMMENT, /* behind "<!--" */
    IDEM_RAW_CDATA,   /* behind "<![CDATA[" */
    IDEM_RAW_ELEMENT, /* up to the element's end tag */
    IDEM_RAW_SCRIPT   /* the same, by the rules for scripts */
} idem_html_raw_kind;

/* element: its name in lower case; NULL for the first two. */
void idem_html_raw_begin(idem_html_raw *raw, idem_html_raw_kind kind, const char *element, int is_xml);

/* 0: it goes on. 1: c was its last byte, or with raw->is_end_tag the one behind its end tag's name. */
int idem_html_raw_take(idem_html_raw *raw, unsigned char c);

/* The one byte that can change anything at the moment, or -1. */
int idem_html_raw_waits(const idem_html_raw *raw);

#endif
