/* SPDX-License-Identifier: Apache-2.0 */
/*
 * txn.h - one guarded client request: its lease, its body, its response and its end.
 *
 * A transaction lives in the pool of the request it was made for. Every request_rec of a chain of internal redirects
 * shares that pool, so each of them leads to the transaction. It belongs to the thread that serves the request. Its
 * phase changes only through idem_txn_step(), its settlement is sent only by idem_txn_settle() (settle.h).
 */
#ifndef IDEM_TXN_H
#define IDEM_TXN_H

#include "asked.h"
#include "config.h"
#include "lease.h"
#include "outcome.h"
#include "renewer.h"
#include "front.h"
#include "witness.h"

typedef struct idem_intake idem_intake;
typedef struct idem_recorder idem_recorder;
struct idem_look_up;

/* The handler returned a status instead of a response: what that status says about its effect (returned.c). */
typedef enum idem_returned {
    IDEM_RETURNED_NOTHING, /* there was a response */
    IDEM_RETURNED_ANSWER,  /* the handler's answer, or the application's behind an override: like a response */
    IDEM_RETURNED_REFUSAL, /* httpd refused a later request of the chain: what ran before has acted */
    IDEM_RETURNED_UNSENT,  /* certainly nothing */
    IDEM_RETURNED_FAILURE  /* nobody knows */
} idem_returned;

typedef struct idem_txn {
    request_rec *r; /* the request the decision was made for */
    const idem_settings *settings;
    idem_front *front;
    const idem_keyring *ring; /* NULL without IdempotencySecret */
    idem_asked asked;
    idem_blob key;
    const char
        *came_by; /* executions of other guards that this request is on its way in (execution.h); NULL for none */

    apr_uint32_t process; /* that it was made in; a fork of that one has a copy of it */
    idem_phase phase;
    idem_head head; /* our lease, or what it was settled as */
    idem_seen seen; /* what claim or fetch found */
    int is_same;    /* …, and it is this very request's: its times may be told */
    char slot_name[9];

    idem_problem problem;           /* what to refuse with */
    const char *detail;             /* NULL: the table's */
    int retry_after;                /* seconds; 0: the table's */
    int lookup;                     /* its client only asks (lookup.c) */
    int key_expired;                /* by its own time it begins nothing any more (keyage.c) */
    int input_status;               /* an HTTP status where the request's body could not be read; 0 otherwise */
    int needs_body;                 /* key, scope or fingerprint are in the body: it is looked into */
    int is_own_key;                 /* the key was made of the request (IdempotencyKey fingerprint) */
    int unguarded;                  /* it was looked into for a key, and there is none: the request passes */
    int detecting;                  /* DetectionOnly: say what would be done, and let the request run */
    int app_says_no_store;          /* detecting: seen as the response left */
    apr_interval_time_t claimed_at; /* when the claim that won was sent, monotonic */
    apr_interval_time_t wait_until; /* when waiting for another owner ends, monotonic; 0 before it began */
    apr_interval_time_t waited;     /* for other owners */
    apr_interval_time_t stored;     /* in calls of the store, those of waiting included */
    apr_interval_time_t spent;      /* the thread's account when stored was brought up to date */

    apr_array_header_t *places; /* of idem_place: where it went on to (places.c); NULL for nowhere */
    apr_array_header_t
        *entered;   /* of request_rec *: the later requests of the chain whose handlers it came to; NULL for none */
    int place_lost; /* there were more, or one that cannot be noted */
    struct idem_look_up *look_up; /* while a place of a record is asked whether it lets the client in; NULL otherwise */

    request_rec *inside; /* the request whose handler is running right now, NULL when none is */
    int returned;        /* the status a handler returned instead of a response; 0 otherwise */
    idem_returned means; /* …, and what that says about what was done */
    idem_witness heard;  /* what httpd logged while the last handler ran */

    unsigned char quota[IDEM_DIGEST_LEN]; /* the scope's counter of new keys (quota.c) */
    apr_int64_t quota_ends;               /* the end of the period in which our key was counted; 0: it was not */

    const idem_part_value *values; /* what the fingerprint is made of (prints.c) */
    idem_print *older;             /* it, in the form of earlier versions; NULL: not made */
    int told;                      /* the digest of each part is in head.print */

    /* Whose environment has the lease, and with which token; whose was written last, and with which words (txn.c). */
    const request_rec *lease_shown_to, *shown_to;
    unsigned char token_shown[IDEM_TOKEN_LEN];
    idem_outcome outcome_shown;
    idem_settlement settlement_shown;

    idem_held *held; /* renews the lease, on stores that need it; NULL otherwise */
    idem_intake *intake;
    idem_recorder *recorder;

    idem_outcome outcome;
    idem_settlement settlement;
    const char
        *first_at; /* when the record was made that is the answer; NULL for no record, and where nobody can say */
} idem_txn;

/* A proxy serves r: known also before its handler runs. */
static inline int idem_is_proxied(const request_rec *r)
{
    return r->proxyreq || (r->handler && !strncmp(r->handler, "proxy:", strlen("proxy:")));
}

/* The transaction of r's chain, NULL if it is not guarded. */
idem_txn *idem_txn_of(request_rec *r);

/* Makes one for r and ties it to r->pool. */
idem_txn *idem_txn_create(request_rec *r, const idem_settings *settings, idem_front *front);

/* Moves the phase by the table and returns what to do. An impossible pair is logged and gives IDEM_DO_FAIL. */
idem_action idem_txn_step(idem_txn *txn, idem_event event);

/*
 * What the store is asked between the two is the transaction's time; a step is an end, and a beginning, too. The thread
 * may be another one than before.
 */
void idem_txn_store_begins(idem_txn *txn);
void idem_txn_store_ends(idem_txn *txn);

/* Names the slot: from here on the log says who. */
void idem_txn_set_slot(idem_txn *txn, const unsigned char slot[IDEM_SLOT_LEN]);

/* The one line about a store that did not do what it was asked. */
void idem_txn_log_store(idem_txn *txn, const char *what, apr_status_t rv, const char *why);

/* Sets the outcome, once, and the variables that go with it. */
void idem_txn_outcome(idem_txn *txn, idem_outcome outcome);

/* Its word, with "detected:" before it where we only watch. There is an outcome. */
const char *idem_txn_outcome_text(const idem_txn *txn);

/* Writes IDEMPOTENCY_… into r's environment; of a lease, so much as its handler is to know of it. */
void idem_txn_export(idem_txn *txn, request_rec *r);

/* …, and how long it took: for the log of a request that has ended. */
void idem_txn_export_times(idem_txn *txn, request_rec *r);
void idem_lease_export(request_rec *r, const idem_head *lease);

#endif
