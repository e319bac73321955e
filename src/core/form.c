/* SPDX-License-Identifier: Apache-2.0 */
/*
 * form.c - the two kinds of forms behind one interface; and the urlencoded kind.
 *
 * Called by the glue with the pieces of a request body. multipart.c reads the other kind. What always holds: the fields
 * that are told do not depend on the pieces. Two bodies that tell the same fields differ at most in needless escapes,
 * in empty fields without a name ("&&"), and in a "=" behind a name without a value.
 */
#include "form_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

idem_form *idem_form_create(const char *boundary, const idem_form_listener *listener, apr_pool_t *pool)
{
    idem_form *form = apr_pcalloc(pool, sizeof *form);
    apr_size_t len = boundary ? strlen(boundary) : 0;

    form->listener = listener;
    if (!boundary)
        return form;
    form->place = FORM_START;
    if (!len || len > IDEM_BOUNDARY_MAX) {
        form->wrong = "its boundary is missing or too long";
        return form;
    }
    memcpy(form->pattern, "\n--", 3);
    memcpy(form->pattern + 3, boundary, len);
    form->pattern_len = 3 + len;
    form->matched = 1;
    return form;
}

static int is_urlencoded(const idem_form *form)
{
    return form->place <= FORM_VALUE;
}

void idem_form_feed(idem_form *form, const void *data, apr_size_t len)
{
    const unsigned char *bytes = data;

    if (form->wrong || !len)
        return;
    if (is_urlencoded(form))
        idem_urlencoded_feed(form, bytes, bytes + len);
    else
        idem_multipart_feed(form, bytes, bytes + len);
}

const char *idem_form_finish(idem_form *form)
{
    if (!form->wrong && is_urlencoded(form))
        idem_urlencoded_finish(form);
    else if (!form->wrong)
        idem_multipart_finish(form);
    return form->wrong;
}

/* ---- urlencoded (WHATWG URL, 5.1) -------------------------------------------------------------------------------- */

static void tell_pending(idem_form *form)
{
    if (form->pending)
        form->listener->data(form->listener->baton, form->piece, form->pending);
    form->pending = 0;
}

static void begin_value(idem_form *form)
{
    const idem_form_field field = {idem_blob_of(form->text, form->used), {NULL, 0}, {NULL, 0}};

    form->listener->begin(form->listener->baton, &field);
    form->used = 0;
    form->place = FORM_VALUE;
}

static void end_field(idem_form *form)
{
    if (form->place == FORM_NAME && form->seen)
        begin_value(form);
    if (form->place == FORM_VALUE) {
        tell_pending(form);
        form->listener->end(form->listener->baton);
    }
    form->place = FORM_NAME;
    form->seen = 0;
}

static void take_octet(idem_form *form, unsigned char octet)
{
    if (form->place == FORM_VALUE) {
        if (form->pending == FORM_PIECE)
            tell_pending(form);
        form->piece[form->pending++] = octet;
    }
    else if (form->used == IDEM_FORM_NAME_MOST) {
        form->wrong = "a field's name is too long";
    }
    else {
        form->text[form->used++] = octet;
    }
}

static void take_digit(idem_form *form, unsigned char c)
{
    int digit = apr_isdigit(c) ? c - '0' : c - (c >= 'a' ? 'a' : 'A') + 10;

    if (!apr_isxdigit(c)) {
        form->wrong = "a % in it is not followed by two hexadecimal digits";
        return;
    }
    form->escaped = (unsigned char)(form->escaped << 4 | digit);
    if (!--form->escape)
        take_octet(form, form->escaped);
}

void idem_urlencoded_feed(idem_form *form, const unsigned char *at, const unsigned char *end)
{
    for (; at < end && !form->wrong; at++) {
        if (form->escape) {
            take_digit(form, *at);
            continue;
        }
        if (*at == '&') {
            end_field(form);
            continue;
        }
        form->seen = 1;
        if (*at == '=' && form->place == FORM_NAME)
            begin_value(form);
        else if (*at == '%')
            form->escape = 2;
        else
            take_octet(form, *at == '+' ? ' ' : *at);
    }
}

void idem_urlencoded_finish(idem_form *form)
{
    if (form->escape)
        form->wrong = "a % in it is not followed by two hexadecimal digits";
    else
        end_field(form);
}
