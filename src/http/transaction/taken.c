/* SPDX-License-Identifier: Apache-2.0 */
/*
 * taken.c - a request body that another module has read before the decision.
 *
 * Called by the intake. mod_security, mod_auth_form and others read the body in a hook ahead of the handlers, and put a
 * filter into the chain that gives it once more. Where the intake stands otherwise, close to the protocol, there is
 * nothing left of it then.
 *
 * What always holds: a body that nobody has asked for is read where it always was, with any filters. HTTP_IN tells
 * whether it was asked for: httpd's filter that frames bodies makes its context when it is read the first time. mod_ssl
 * reads the body before it renegotiates, and takes that filter out of the chain.
 *
 * The first reader gets raw bytes, since the filters that decode are inserted later. So the filter that kept them gives
 * raw bytes, too. All filters that may have kept bytes stand in one chain, and each asks the next for the rest. So the
 * topmost gives the whole body, also if two have read, or one has read a part. Some filters at the top are known to
 * decode or to look on. They are passed over: they keep nothing, and the digest is of the body as it was sent. A filter
 * that is not known is taken for a keeper.
 */
#include "taken.h"

#include <string.h>

/* httpd's own filters for request bodies besides KEPT_BODY, by their registered names in lower case. */
static const char *const keep_nothing[] = {"deflate", "buffer",         "keep_body",        "sed",
                                           "xlatein", "idempotency_in", "idempotency_form", NULL};

static int is_protocols(const ap_filter_t *f)
{
    return f->frec->ftype >= AP_FTYPE_PROTOCOL && !strcmp(f->frec->name, "http_in");
}

/* mod_ssl's buffer is of the protocol's type and keeps a body. */
static int is_below_bodies(const ap_filter_t *f)
{
    return is_protocols(f) || f->frec->ftype >= AP_FTYPE_CONNECTION;
}

static int keeps_nothing(const ap_filter_t *f)
{
    for (const char *const *name = keep_nothing; *name; name++)
        if (!strcmp(f->frec->name, *name))
            return 1;
    return 0;
}

int idem_body_was_taken(const request_rec *r)
{
    const ap_filter_t *f = r->input_filters;

    while (f && !is_protocols(f))
        f = f->next;
    return !f || f->ctx;
}

/* The topmost filter that may have kept some of the body, ours left aside; NULL if there is none. */
static ap_filter_t *keeper_of(const request_rec *r, const ap_filter_t *ours)
{
    ap_filter_t *f = r->input_filters;

    while (f && (f == ours || keeps_nothing(f)))
        f = f->next;
    return f && !is_below_bodies(f) ? f : NULL;
}

/* mod_auth_form gives its user's first request an empty body for the one he has logged in with, and httpd says that its
 * length is 0. */
int idem_body_is_lost(const request_rec *r, const ap_filter_t *ours, int declared)
{
    return r->kept_body ? APR_BRIGADE_EMPTY(r->kept_body) : declared && !keeper_of(r, ours);
}

void idem_body_read_through(request_rec *r, ap_filter_t *ours)
{
    ap_filter_t *keeper = keeper_of(r, ours), **link = &r->input_filters;

    if (!keeper)
        return;
    while (*link && *link != ours)
        link = &(*link)->next;
    if (*link)
        *link = ours->next;
    for (link = &r->input_filters; *link && *link != keeper;)
        link = &(*link)->next;
    ours->next = *link;
    *link = ours;
}
