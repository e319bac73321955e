/* SPDX-License-Identifier: Apache-2.0 */
/*
 * page.h - shared by the parts of the page: HTML in which everything from elsewhere is text.
 *
 *   page.c           which view a request wants
 *   page_frame.c     what is the same in all views
 *   page_html.c      markup with texts in it
 *   page_overview.c  the first view: what is unknown, what runs, what has been counted
 *   page_chart.c     outcomes over time, as SVG
 *   page_entries.c   lists
 *   page_entry.c     one entry
 *   page_search.c    by key
 *
 * A view asks the API's verbs, and makes HTML of the JSON that they answer.
 */
#ifndef IDEM_PAGE_H
#define IDEM_PAGE_H

#include "admin_private.h"

/* ---- page_frame.c ------------------------------------------------------------------------------------------------ */

/* What verb would answer; the caller does not own it. NULL: call->problem is filled. */
json_t *idem_page_ask(idem_admin_call *call, idem_admin_verb *verb);

/* The header fields of everything that is no API's answer. */
void idem_page_set_fields(request_rec *r);

/* Status, header fields, and everything above what a view shows. */
void idem_page_begin(idem_admin_call *call, int status, const char *title);
int idem_page_end(idem_admin_call *call);

/* A page that says the problem, and no more. */
int idem_page_answer_problem(idem_admin_call *call);

/* ---- page_html.c ------------------------------------------------------------------------------------------------- */

/* Each $ of markup becomes the next text, escaped for HTML's text and for attributes in double quotes. */
void idem_page_fill(request_rec *r, const char *markup, ...) __attribute__((sentinel));
#define idem_page_put(r, ...) idem_page_fill(r, __VA_ARGS__, NULL)

/* Text with all its bytes: NUL is shown as U+FFFD. */
void idem_page_put_text(request_rec *r, const json_t *text);

/* A problem of one part of a view. */
void idem_page_put_problem(idem_admin_call *call);

/* A member of an object as text; "" for null. */
const char *idem_page_word(request_rec *r, const json_t *object, const char *name);

/* "3 min ago", the moment itself in a tooltip; "not known" for null. */
void idem_page_put_moment(request_rec *r, const json_t *moment);

/* Of an API's moment; 0 for none. */
apr_time_t idem_page_moment(const json_t *moment);

/* "12.3 MB" */
const char *idem_page_size(request_rec *r, json_int_t bytes);

/* ---- views ------------------------------------------------------------------------------------------------------- */

int idem_page_overview(idem_admin_call *call);
int idem_page_list(idem_admin_call *call);
int idem_page_entry(idem_admin_call *call, const char *slot);
int idem_page_find(idem_admin_call *call);
void idem_page_put_chart(idem_admin_call *call, const json_t *minutes);
void idem_page_put_search(idem_admin_call *call);

/* A table of the entries that are in one of the states ("unknown damaged"); all for NULL. Says how many. */
int idem_page_put_rows(request_rec *r, const json_t *entries, const char *states, const char *caption);

/* One entry with all that is known of it, and what can be done. */
void idem_page_put_entry(idem_admin_call *call, const json_t *entry);

#endif
