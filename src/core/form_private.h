/* SPDX-License-Identifier: Apache-2.0 */
/*
 * form_private.h - what form.c, urlencoded.c and multipart.c share: the state of one body.
 */
#ifndef IDEM_FORM_PRIVATE_H
#define IDEM_FORM_PRIVATE_H

#include "bodyhash.h"
#include "form.h"

typedef enum form_place {
    FORM_NAME,  /* urlencoded: in a name */
    FORM_VALUE, /* …, in a value */
    FORM_START, /* multipart: at the body's beginning, where a delimiter stands */
    FORM_LINE,  /* behind a boundary */
    FORM_HEADERS,
    FORM_DATA,
    FORM_END, /* behind the closing delimiter */
    FORM_PLACES
} form_place;

#define FORM_PIECE 1024

struct idem_form {
    const idem_form_listener *listener;
    const char *wrong; /* nothing more is told then */
    form_place place;

    /* urlencoded */
    int escape; /* digits of %XX that are still to come */
    unsigned char escaped;
    int seen; /* anything of this field */

    /* multipart */
    unsigned char pattern[3 + IDEM_BOUNDARY_MAX + 1]; /* LF "--" boundary */
    apr_size_t pattern_len, matched;
    int cr;           /* a CR came last, and is not told yet */
    char line[3];     /* what stands behind a boundary */
    apr_size_t lined; /* … so much of it */

    apr_size_t used; /* of text: a name, or a part's header */
    unsigned char text[IDEM_FORM_HEADERS_MOST + 1];
    apr_size_t pending; /* of piece: decoded octets of a value */
    unsigned char piece[FORM_PIECE];
};

void idem_urlencoded_feed(idem_form *form, const unsigned char *at, const unsigned char *end);
void idem_urlencoded_finish(idem_form *form);
void idem_multipart_feed(idem_form *form, const unsigned char *at, const unsigned char *end);
void idem_multipart_finish(idem_form *form);

/* Parses form->text, a part's header with its empty line; tells the field. */
void idem_part_header_read(idem_form *form);

#endif
