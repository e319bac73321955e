/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h - the life of one guarded request as phases, events and actions, in one table applied by one function.
 *
 * The table knows nothing of stores or requests: src/http/transaction turns what happens into events and carries out
 * the action it gets.
 * The diagram in docs/internals/lease.md is printed from it (tests/lint), every pair has a test.
 */
#ifndef IDEM_LEASE_H
#define IDEM_LEASE_H

typedef enum idem_phase {
    IDEM_PHASE_IDLE,
    IDEM_PHASE_CLAIMING,  /* a claim is under way, or is about to be repeated */
    IDEM_PHASE_TAKING,    /* the owner seen is dead: a takeover is under way */
    IDEM_PHASE_WAITING,   /* somebody executes and we wait for the outcome */
    IDEM_PHASE_COMPARING, /* a record or tombstone was found: is this the same request? */
    IDEM_PHASE_HOLDING,   /* the slot is ours, the handler has not been entered */
    IDEM_PHASE_RUNNING,   /* the handler may have acted */
    IDEM_PHASE_SETTLING,  /* the outcome is known and on its way to the store */
    IDEM_PHASE_DONE,
    IDEM_PHASES
} idem_phase;

typedef enum idem_event {
    IDEM_EV_GUARDED,      /* policy, key, body and fingerprint are there */
    IDEM_EV_WON,          /* the store acknowledged claim or takeover */
    IDEM_EV_BUSY,         /* a live owner has the slot, and policy says refuse */
    IDEM_EV_BUSY_WAIT,    /* …, and policy says wait */
    IDEM_EV_FOUND,        /* a record or tombstone */
    IDEM_EV_UNSURE,       /* unknown, dead owner, or corrupt, and policy says refuse */
    IDEM_EV_UNSURE_RETRY, /* unknown or dead owner, and policy says retry */
    IDEM_EV_STORE_DOWN,   /* no answer, or an ambiguous one */
    IDEM_EV_STORE_BYPASS, /* …, and policy says execute unguarded */
    IDEM_EV_STORE_FULL,   /* no room: nothing was stored */
    IDEM_EV_TOO_BIG,      /* the store cannot hold this value */
    IDEM_EV_LOST,         /* another token stands in the slot */
    IDEM_EV_RELEASED,     /* the owner waited for has released */
    IDEM_EV_TIMEOUT,      /* waited long enough */
    IDEM_EV_WAITERS_FULL, /* too many wait already */
    IDEM_EV_SAME,         /* the record's request is this one */
    IDEM_EV_SAME_TOMBSTONE,
    IDEM_EV_DIFFERENT,  /* the key was used for another request */
    IDEM_EV_OVER_LIMIT, /* a new key, and its scope has had its share of them */
    IDEM_EV_BODY_CUT,   /* the request body broke off */
    IDEM_EV_GONE,       /* the request ends under us: client gone, pool destroyed */
    IDEM_EV_STARTED,    /* the handler is about to be entered */
    IDEM_EV_DECLINED,   /* no handler wanted the request */
    IDEM_EV_RECORDED,   /* a complete response that fits */
    IDEM_EV_OVERSIZE,   /* a complete response that cannot be kept */
    IDEM_EV_RETRYABLE,  /* a complete response that says "not done": release */
    IDEM_EV_CUT,        /* a response that is, or may be, incomplete */
    IDEM_EV_ACKED,      /* the store acknowledged the settlement */
    IDEM_EVENTS
} idem_event;

typedef enum idem_action {
    IDEM_DO_NOTHING,
    IDEM_DO_CLAIM,
    IDEM_DO_TAKE_OVER,
    IDEM_DO_WAIT,
    IDEM_DO_COMPARE,
    IDEM_DO_RUN,    /* prepare the handler */
    IDEM_DO_ENTER,  /* enter the handler */
    IDEM_DO_REFUSE, /* answer with the problem that belongs to the event */
    IDEM_DO_BYPASS, /* run the handler unguarded */
    IDEM_DO_REPLAY,
    IDEM_DO_RELEASE,        /* nothing has run: give the slot back, then done */
    IDEM_DO_RELEASE_REFUSE, /* …, and answer with the problem */
    IDEM_DO_SETTLE_RECORD,
    IDEM_DO_SETTLE_TOMBSTONE,
    IDEM_DO_SETTLE_UNKNOWN,
    IDEM_DO_SETTLE_RELEASE,   /* the application says "not done": give the slot back */
    IDEM_DO_ANSWER,           /* let the response go */
    IDEM_DO_ANSWER_FROM_SLOT, /* fenced off: answer from what the slot holds now */
    IDEM_DO_KEEP,             /* let the response go; the keeper repeats the settlement */
    IDEM_DO_FAIL,             /* a pair that must not happen: our bug */
    IDEM_ACTIONS
} idem_action;

typedef struct idem_step {
    idem_phase next;
    idem_action action;
} idem_step;

/* The only way from one phase to another. A pair that is not in the table gives {IDEM_PHASE_DONE, IDEM_DO_FAIL}. */
idem_step idem_lease_step(idem_phase phase, idem_event event);

const char *idem_phase_name(idem_phase phase);
const char *idem_event_name(idem_event event);
const char *idem_action_name(idem_action action);

#endif
