/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admin_private.h - what the files of the admin API share.
 *
 *   admin.c      the handler: which path and method is which verb
 *   access.c     who may
 *   token.c      the token that a page of another site does not have
 *   verbs.c      the verbs on entries
 *   export.c     all entries, as lines of JSON
 *   counts.c     the verbs on the store, and what has been counted
 *   answer.c     reading and writing JSON
 *   assets.c     what is served as it is: the description, openapi.json, and the files of the page
 *   page.c       the page for browsers: what it shows when, and its own files
 *   page_*.c     its parts; page.h has what they share
 */
#ifndef IDEM_ADMIN_PRIVATE_H
#define IDEM_ADMIN_PRIVATE_H

#include "admin.h"

#include "config.h"
#include "shown.h"
#include "stores.h"

/* Why a request is not answered as it wants: the problem's name, its status and what to do. */
typedef struct idem_admin_problem {
    int status;
    const char *name, *detail;
} idem_admin_problem;

typedef struct idem_admin_call {
    request_rec *r;
    idem_front *front;
    const char *path;   /* behind "/v1/" */
    const char *word;   /* what the verb's pattern had a * for, "" for nothing */
    apr_table_t *query; /* decoded; names that came twice have their last value */
    json_t *body;       /* of a POST, an object */
    idem_admin_problem problem;
    int has_condition; /* the client has sent If-Match with a version */
    json_t **taken;    /* the page: what would be answered goes here, and nothing to the client */
} idem_admin_call;

/* Returns an HTTP status for httpd, or OK after an answer. */
typedef int idem_admin_verb(idem_admin_call *call);

idem_admin_verb idem_admin_list, idem_admin_show, idem_admin_find, idem_admin_forget, idem_admin_resolve;
idem_admin_verb idem_admin_stats, idem_admin_history, idem_admin_events, idem_admin_sweep, idem_admin_token,
    idem_admin_description, idem_admin_index, idem_admin_export, idem_admin_again;

/* What a list is asked for by the query. 0, or the problem is filled. */
int idem_admin_read_filter(idem_admin_call *call, idem_filter *filter);

/* ---- print_names.c ----------------------------------------------------------------------------------------------- */

/* Adds the parts' names to the fingerprint in entry, which shows view; or a note that no list here fits. */
void idem_admin_name_parts(idem_admin_call *call, json_t *entry, const idem_view *view);

/* ---- access.c ---------------------------------------------------------------------------------------------------- */

/* 0: it may. Else the problem is filled. */
int idem_admin_refused(idem_admin_call *call, int writes);

/* May headers and bodies be shown? */
int idem_admin_may_show(const idem_admin_call *call);

/* Fills the problem where they may not; returns 1. */
int idem_admin_say_hidden(idem_admin_call *call);

/* Does a request come from a page of another origin? Fills the problem if so. */
int idem_admin_is_elsewhere(idem_admin_call *call);

/* Does a request that acts come from our own pages, or from no page at all? Fills the problem if not. */
int idem_admin_is_foreign(idem_admin_call *call);

/* ---- token.c ----------------------------------------------------------------------------------------------------- */

/* For r's user and host, for half a day. */
const char *idem_admin_make_token(request_rec *r);
int idem_admin_is_token(request_rec *r, const char *token);

/* ---- answer.c ---------------------------------------------------------------------------------------------------- */

/* Takes the reference. */
int idem_admin_answer(idem_admin_call *call, int status, json_t *json);
int idem_admin_answer_text(idem_admin_call *call, const char *type, const char *text);

/* Fills the problem; returns 1. */
int idem_admin_say(idem_admin_call *call, int status, const char *name, const char *detail);
int idem_admin_answer_problem(idem_admin_call *call);

/* Of what an operation came to; why is its sentence. */
int idem_admin_answer_failed(idem_admin_call *call, idem_done done, const char *why);

/* Reads the query, and the body of a POST. 0, or the problem is filled. */
int idem_admin_read_query(idem_admin_call *call);
int idem_admin_read_body(idem_admin_call *call);

/* The fields of a form, as a query. */
int idem_admin_read_form(idem_admin_call *call);

/* Takes the reference. */
void idem_admin_set_body(idem_admin_call *call, json_t *body);

/* A member of the body, or of the query where there is no body; NULL for none. */
const char *idem_admin_text(const idem_admin_call *call, const char *name);
int idem_admin_flag(const idem_admin_call *call, const char *name);

/* ---- assets.c ---------------------------------------------------------------------------------------------------- */

extern const char idem_admin_openapi[], idem_page_css[], idem_page_js[], idem_page_icon[], idem_page_head[],
    idem_page_foot[];

/* ---- page.c ------------------------------------------------------------------------------------------------------ */

/* Answers whatever is not below v1/. */
int idem_admin_page(idem_admin_call *call);

#endif
