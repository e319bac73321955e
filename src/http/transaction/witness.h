/* SPDX-License-Identifier: Apache-2.0 */
/*
 * witness.h - the lines of httpd's error log while a guarded handler ran. Only there does httpd say that no backend was
 * reached.
 */
#ifndef IDEM_WITNESS_H
#define IDEM_WITNESS_H

/* What was heard during one run of a handler. */
typedef struct idem_witness {
    struct idem_witness *outer; /* of the handler that this one runs inside, on the same thread */
    int unreached;              /* lines that say: could not connect, or did not even try */
    int doubtful;               /* errors of a module that speaks to backends which may mean that one was reached */
} idem_witness;

/* The calling thread enters a handler, and leaves it. What is between the two is heard by witness. */
void idem_witness_begin(idem_witness *witness);
void idem_witness_end(const idem_witness *witness);

/* Is it certain that nothing that was tried has reached anybody? Only where httpd has said so. */
int idem_witness_unreached(const idem_witness *witness);

void idem_witness_register(void);

#endif
