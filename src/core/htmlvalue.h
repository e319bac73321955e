/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmlvalue.h - values of attributes as a page writes them: character references, labels of character sets, and where
 * an action leads.
 *
 * Knows no tokens: htmltree.c hands it what stood between the quotes.
 */
#ifndef IDEM_HTMLVALUE_H
#define IDEM_HTMLVALUE_H

#include "idem_store.h"

#define IDEM_HTML_WORD 48      /* bytes kept of a value that is a word: method, charset */
#define IDEM_HTML_ADDRESS 1024 /* ... and of one that is an address or a list of words */

static inline int idem_html_is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static inline int idem_html_is_letter(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* What was kept of a value. */
typedef struct idem_html_value {
    int seen;             /* the attribute is there; its first one counts */
    int cut;              /* it is longer than what was kept */
    apr_size_t len, room; /* room: IDEM_HTML_WORD or IDEM_HTML_ADDRESS */
    char text[IDEM_HTML_ADDRESS];
} idem_html_value;

/* Is it this word (in lower case, letters only), in any case and however its characters are written? */
int idem_html_is_word(const idem_html_value *value, const char *word);

/* Names it, somewhere, a character set whose bytes below 0x80 are not always ASCII, and which browsers follow? */
int idem_html_names_shifting(const idem_html_value *value);

/* Is this a label of a character set in which each byte below 0x40 is the ASCII character? NULL, or one that nobody
 * knows: 0. */
int idem_html_is_plain_charset(const char *label);

typedef enum idem_html_target {
    IDEM_TARGET_PAGE,     /* the page's own address, whatever its base is */
    IDEM_TARGET_RELATIVE, /* a path: where it leads is the base's to say */
    IDEM_TARGET_OWN,      /* one of the authorities that are ours */
    IDEM_TARGET_OTHER     /* elsewhere, or nobody can tell */
} idem_html_target;

/*
 * Where an address leads, as the URL standard has browsers read it. own: authorities in lower case without a default
 * port, NULL-terminated.
 */
idem_html_target idem_html_target_of(const idem_html_value *value, const char *const *own);

#endif
