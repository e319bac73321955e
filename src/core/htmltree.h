/* SPDX-License-Identifier: Apache-2.0 */
/*
 * htmltree.h - what a browser's tree of elements does to a page's tokens, as far as forms are concerned.
 *
 * Called by htmlscan.c with each tag. Says how the text behind it is to be read, and whether a field is due there.
 */
#ifndef IDEM_HTMLTREE_H
#define IDEM_HTMLTREE_H

#include "htmlvalue.h"

#define IDEM_HTML_NAME 16    /* longer names than this are nobody's that matter */
#define IDEM_HTML_FOREIGN 48 /* elements open from the outermost <svg> or <math> on */
#define IDEM_HTML_FORMATTING 14

typedef struct idem_html_tag {
    char name[IDEM_HTML_NAME + 1]; /* as far as it was kept; not for comparing with other pages' names */
    apr_size_t name_len;           /* of all of it */
    apr_uint64_t name_print;       /* a digest of all of it */
    int is_end;
    int is_closed;           /* ends in "/>" */
    idem_html_value word;    /* method of <form>; charset of <meta> */
    idem_html_value address; /* action of <form>, href of <base>, content of <meta> */
} idem_html_tag;

typedef enum idem_html_mode {
    IDEM_HTML_TEXT,   /* tags are tags */
    IDEM_HTML_RAW,    /* all is text up to the end tag of this name */
    IDEM_HTML_SCRIPT, /* the same, with the rules for scripts */
    IDEM_HTML_LOST    /* browsers differ here, or it takes more than is known here: nothing is added any more */
} idem_html_mode;

typedef struct idem_html_open {
    apr_uint64_t name_print;
    unsigned char kind; /* htmltree.c */
} idem_html_open;

typedef struct idem_html_tree {
    int is_xml;
    int charset_is_known;                            /* what the page says of its own is not asked */
    const char *const *own;                          /* authorities that are ours */
    int form_open;                                   /* a form within a form is none */
    int form_waits;                                  /* its field is due at the next place where it moves nothing */
    unsigned form_waits_count;                       /* formatting at the beginning of … */
    apr_uint64_t form_waits_behind;                  /* … the element of this name, in which it is not due; 0: none */
    unsigned short formatting[IDEM_HTML_FORMATTING]; /* <b>, <i>, … that may be open, by name */
    int reopens;                                     /* some of them may have been closed with what was around them */
    int p_open;                                      /* a <p> that the next <div> would close */
    int base_seen, base_is_other;
    int templates;             /* open ones */
    unsigned selects;          /* bit n: a <select> is open in the n-th template; bit 0: in none */
    apr_uint64_t closed_print; /* XML: the element whose content has no forms... */
    int closed_depth;          /* ... and how many of that name are open */
    int foreign;               /* how many of these are used */
    idem_html_open stack[IDEM_HTML_FOREIGN];
} idem_html_tree;

/* *due: a field belongs behind this tag. */
idem_html_mode idem_html_tree_take(idem_html_tree *tree, const idem_html_tag *tag, int *due);

/* Text begins behind a tag. Returns whether a field belongs between the two. */
int idem_html_tree_take_text(idem_html_tree *tree);

/* There is text that is not only white space. */
void idem_html_tree_pass_text(idem_html_tree *tree);

/* Is the innermost open element one of SVG or MathML, where CDATA sections are? */
int idem_html_tree_has_cdata(const idem_html_tree *tree);

/* The value that this attribute of the tag fills; NULL for one that does not matter. */
idem_html_value *idem_html_tag_value(idem_html_tag *tag, const char *attribute);

#endif
