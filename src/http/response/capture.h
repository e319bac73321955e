/*
 * capture.h - what recorder.c (collecting) and conclude.c (the verdict) share.
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
    int captured;      /* response and control are filled */
    apr_off_t length;  /* data bytes seen, held or passed */
    ap_filter_t *next; /* where it goes on */
    ap_filter_t *at;   /* the filter that has found its place; another one of ours must look for its own */
    const char *maker; /* the filter directly before it, where that is what makes the body (chain.h); else NULL */
    int flowing;       /* passed on as it comes */
    int eos;           /* the end was seen and is held back */
    int eoc;           /* a proxy asked for the connection to be closed without an answer */
    int broken;        /* HTTP status: the response broke off, in whatever way */
    int client_gone;   /* a pass failed: the rest is swallowed so that the handler runs to its end */
};

/* Takes the response's head, once, before anything is passed on. */
void idem_recorder_capture(idem_txn *txn, request_rec *r);

/* The Content-Length that r's handler declared, -1 for none. */
apr_off_t idem_recorder_declared(request_rec *r);

/* The end of a page that httpd made of an error status after the handler's return. Settles it and lets it go. */
apr_status_t idem_recorder_finish_page(idem_txn *txn, ap_filter_t *f);

#endif
