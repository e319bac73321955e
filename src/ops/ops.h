/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ops.h - what an administrator can do with a store: the verbs that idemctl and the admin API share.
 *
 * Everything works on a store's front that is attached in this process, from any thread. Nothing is logged; a sentence
 * says why something was not done. What an entry holds of a key is its slot: neither key nor token is ever shown.
 */
#ifndef IDEM_OPS_H
#define IDEM_OPS_H

#include "again.h"

/* ---- an entry, as a person wants to see it ----------------------------------------------------------------------- */

typedef enum idem_shown {
    IDEM_SHOWN_RUNNING, /* a lease whose owner lives */
    IDEM_SHOWN_RECORD,
    IDEM_SHOWN_TOMBSTONE,
    IDEM_SHOWN_UNKNOWN, /* nobody knows the outcome: its owner said so, or is dead */
    IDEM_SHOWN_DAMAGED, /* counts as unknown; see fault */
    IDEM_SHOWN_STATES
} idem_shown;

#define IDEM_VERSION_LEN 8

typedef struct idem_view {
    unsigned char slot[IDEM_SLOT_LEN];
    idem_shown state;
    const char *fault;                       /* DAMAGED: what is wrong with it */
    idem_head head;                          /* of DAMAGED: zeros, or as far as it could be read */
    idem_response response;                  /* of a RECORD that could be opened */
    int is_open;                             /* response is there */
    int is_sealed;                           /* it was kept encrypted */
    int owner_died;                          /* UNKNOWN: a lease whose owner is dead */
    unsigned long process;                   /* that owns a lease, or owned it; 0 if it is not known */
    int is_local;                            /* … and it is of this host */
    apr_time_t expires;                      /* 0: the store cannot say */
    apr_time_t written;                      /* …, for as long as an entry's ttl is counted from that */
    idem_blob value;                         /* as it stands in the store */
    apr_size_t size;                         /* … its bytes */
    int has_counts;                          /* how often it was sent again is known: */
    apr_uint64_t replayed, refused;          /* … answered from it, and not answered so */
    apr_time_t last;                         /* … when it was asked for last; 0: not since it was written */
    unsigned char version[IDEM_VERSION_LEN]; /* another one whenever the entry is another one */
} idem_view;

/* "running", "record", "tombstone", "unknown", "damaged". */
const char *idem_shown_word(idem_shown state);
int idem_shown_of(const char *word, idem_shown *state); /* 0: there is no such word */

/* found lives as long as view. */
void idem_view_make(idem_front *front, const unsigned char *slot, const idem_found *found, apr_pool_t *pool,
                    idem_view *view);

/* How often it was sent again, of what idem_again_load() gave; NULL: nobody knows. */
void idem_view_tell(idem_view *view, apr_hash_t *again);

/* "3fa9…" in full; the version in digits. */
const char *idem_view_slot(const idem_view *view, apr_pool_t *pool);
const char *idem_view_version(const idem_view *view, apr_pool_t *pool);

/* ---- results ----------------------------------------------------------------------------------------------------- */

typedef enum idem_done {
    IDEM_DONE_OK,
    IDEM_DONE_FAILED,  /* the store did not do it, or nobody knows whether it did */
    IDEM_DONE_ABSENT,  /* there is no such entry */
    IDEM_DONE_ALIVE,   /* its owner lives */
    IDEM_DONE_CHANGED, /* it is another entry by now: somebody else was faster */
    IDEM_DONE_UNFIT,   /* its state does not go with what was asked */
    IDEM_DONE_UNABLE   /* the store cannot do that at all */
} idem_done;

/* For a status of the front's. */
idem_done idem_done_of(apr_status_t rv);

/* ---- the list ---------------------------------------------------------------------------------------------------- */

typedef struct idem_filter {
    unsigned states;                            /* bit i: idem_shown i; 0 for all */
    apr_interval_time_t older_than, newer_than; /* since it was written; 0 for any age */
    unsigned char prefix[IDEM_SLOT_LEN];
    int prefix_digits;
    apr_uint64_t replayed_least; /* of what idem_list.again knows */
} idem_filter;

/* view lives until it returns. 0: no more. */
typedef int idem_viewer(void *baton, const idem_view *view);

typedef struct idem_list {
    idem_front *front;
    idem_filter filter;
    char place[IDEM_PLACE_LEN]; /* where it goes on; "" before the first part, and behind the last one */
    apr_uint64_t looked_at;     /* entries so far, shown or not */
    apr_uint64_t own;           /* entries so far that the store keeps for itself */
    apr_hash_t *again;          /* how often keys were sent again; NULL: nobody knows */
    idem_viewer *viewer;
    void *baton;
} idem_list;

/* NULL, or what is wrong with it: 1 to 64 hexadecimal digits of a slot. */
const char *idem_filter_prefix(idem_filter *filter, const char *digits);

/*
 * One part of the list: some of it is shown, maybe nothing, and list->place moves. Repeated until place is "" it shows
 * all entries once; on Redis one may come twice. What a store keeps for itself is not shown.
 */
idem_done idem_list_part(idem_list *list, apr_pool_t *pool, const char **why);

/* ---- one entry --------------------------------------------------------------------------------------------------- */

/* slot in 64 digits. 0: it is none. */
int idem_slot_parse(const char *digits, unsigned char slot[IDEM_SLOT_LEN]);

idem_done idem_entry_show(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_view *view,
                          const char **why);

typedef enum idem_resolution {
    IDEM_RESOLVED_DONE,     /* it was done: a tombstone */
    IDEM_RESOLVED_NOT_DONE, /* it was not: the key is free */
    IDEM_RESOLVED_RETRY     /* the next request of the same content runs */
} idem_resolution;

/* 0: there is no such word. */
int idem_resolution_of(const char *word, idem_resolution *resolution);

/* What is asked of one entry. */
typedef struct idem_wish {
    const unsigned char *slot;
    const char *version; /* it must still be this one; NULL for any */
    int dry_run;         /* only say what would be done */
    int force;           /* forget: a running one too */
    idem_resolution as;  /* resolve */
} idem_wish;

/*
 * Decides an unknown outcome. Whoever takes the entry by its token decides: a request that takes over, or this. view is
 * what stood there. If the store fails in between, the entry is unknown again.
 */
idem_done idem_entry_resolve(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view,
                             const char **why);

/* Frees the key of the entry that stands there now, and of no other one: if it is replaced meanwhile, that one stays.
 * An unknown one is taken by its token, as above. */
idem_done idem_entry_forget(idem_front *front, const idem_wish *wish, apr_pool_t *pool, idem_view *view,
                            const char **why);

/* ---- by key ------------------------------------------------------------------------------------------------------ */

#define IDEM_SCOPE_MOST 16

typedef struct idem_scope {
    idem_part_value parts[IDEM_SCOPE_MOST + 1];
    int count;
} idem_scope;

/* The parts of a directive's value, "host user", all absent. NULL, or what is wrong. */
const char *idem_scope_parts(idem_scope *scope, const char *parts, apr_pool_t *pool);

/* One part's value. NULL, or what is wrong: the scope has no such part. */
const char *idem_scope_set(idem_scope *scope, const char *name, const char *value, apr_pool_t *pool);

/* "NAME=VALUE", split where the name ends; value NULL for a name alone. */
void idem_scope_split(const char *word, const char **name, const char **value, apr_pool_t *pool);

/* A key as a client sends it in the field Idempotency-Key, quoted or not, or raw: as any other source has it. NULL, or
 * what is wrong. */
const char *idem_slot_find(const idem_keyring *ring, const idem_scope *scope, const char *key, int is_raw,
                           unsigned char slot[IDEM_SLOT_LEN], apr_pool_t *pool);

/* ---- the whole store --------------------------------------------------------------------------------------------- */

typedef struct idem_tally {
    apr_uint64_t entries[IDEM_SHOWN_STATES], bytes[IDEM_SHOWN_STATES];
    apr_uint64_t sealed, unopened; /* records; unopened: sealed, and there was no secret to look inside */
    apr_uint64_t all, all_bytes;
    apr_time_t oldest_unknown; /* when it was written; 0 for none, or where nobody knows */
} idem_tally;

void idem_tally_add(idem_tally *tally, const idem_view *view);

#endif
