/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capture.h - the response so far, and its head. Shared by recorder.c, which collects, and conclude.c, which has the
 * verdict.
 */
#ifndef IDEM_RECORDER_PRIVATE_H
#define IDEM_RECORDER_PRIVATE_H

#include "control.h"
#include "recorder.h"

struct idem_recorder {
    apr_bucket_brigade *held; /* what has not been passed on; in r->pool, of the connection's allocator */
    apr_bucket_brigade *copy; /* of what was passed on, for the record; NULL if none is made */
    apr_bucket_brigade *last; /* of a response that flows and declared its length: its last byte, which is its end */
    apr_off_t declared;       /* that length; -1 for none */
    idem_response response;   /* the head, taken before anything is passed on */
    idem_control control;
    int captured;       /* response and control are filled */
    int controlled;     /* control is, before a page takes the place of the headers it stands in */
    apr_off_t length;   /* data bytes seen, held or passed */
    ap_filter_t *next;  /* where it goes on */
    ap_filter_t *at;    /* the filter that has found its place; another one of ours must look for its own */
    const char *maker;  /* the filter directly before it, where that is what makes the body (chain.h); else NULL */
    int framed;         /* the handler finds r->chunked set, as it would had its response begun to leave */
    int flowing;        /* passed on as it comes */
    int eos;            /* the end was seen and is held back */
    int eoc;            /* a proxy asked for the connection to be closed without an answer */
    int broken;         /* HTTP status: the response broke off, in whatever way */
    int page;           /* httpd made an error page while the handler ran: that is the response */
    apr_status_t above; /* what a filter before the recorder returned, when that was no success */
    int client_gone;    /* a pass failed: the rest is swallowed so that the handler runs to its end */
};

/* Takes the response's head, once, before anything is passed on. */
void idem_recorder_capture(idem_txn *txn, request_rec *r);

/* The application's Idempotency-Control, once: an error page would take its headers away. */
void idem_recorder_control(idem_txn *txn, request_rec *r);

/* Puts a filter at the top of r's chain that notes what the filters before the recorder return (above.c). */
void idem_above_join(idem_txn *txn, request_rec *r);
void idem_above_register(void);

/* Takes r->chunked back, before httpd itself decides how r's response is framed. */
void idem_recorder_unframe(idem_txn *txn, request_rec *r);

/* The Content-Length that r's handler declared, -1 for none. */
apr_off_t idem_recorder_declared(request_rec *r);

#endif
