/* SPDX-License-Identifier: Apache-2.0 */
/*
 * intake_private.h - what intake.c and bodyprint.c share.
 */
#ifndef IDEM_INTAKE_PRIVATE_H
#define IDEM_INTAKE_PRIVATE_H

#include "intake.h"

#include "body_parts.h"

#define IDEM_INTAKE_PIECE 16384

struct idem_intake {
    idem_txn *txn;
    ap_filter_t *source; /* ours of the request that reads at the moment; of the first one where the body was taken */
    apr_bucket_brigade *kept; /* read ahead and not handed out */
    apr_bucket_brigade *in;   /* scratch */
    apr_file_t *spool;
    apr_off_t spooled;        /* bytes in it */
    apr_size_t kept_of_piece; /* how much of the last piece went to memory before the file failed */
    apr_uint64_t read;
    apr_uint64_t declared; /* before a decoder takes the field away */
    idem_bodyhash *hash;   /* NULL where the body is no part of the fingerprint */
    int used;              /* something of it is compared, or looked for in it */
    int whole;             /* its end was seen */
    int cut;               /* it broke off under the handler */
    int no_room;           /* the temporary file failed, not the client */
    int taken;             /* another module has read it, or a part, before us */
    int lost;              /* ..., and not all of it can be had */
    int comparing;         /* read on for a comparison: no handler will see it, or needs it */
};

/* The length that header fields declare: the client's, or those that a handler will see. */
apr_uint64_t idem_intake_declared(const request_rec *r, const apr_table_t *fields);

/* Reads one piece of at most most bytes, counts it, and keeps it unless it is only compared. */
apr_status_t idem_intake_read(idem_intake *intake, apr_off_t most);

/* The HTTP status of a body that could not be read. */
int idem_intake_failed(idem_txn *txn, apr_status_t rv);

#endif
