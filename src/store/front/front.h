/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front.h - the front of every store: opened by URL, one value codec, one deadline, one reason to log.
 *
 * A front belongs to a server configuration and is shared by every virtual host that names the same URL. It turns heads
 * and responses into values and back, and verifies slot and checksum of each value that it reads. It repeats an
 * ambiguous claim with the claim's own token, and reports each call to one observer. It never logs: the caller gets the
 * sentence in why, and knows its meaning.
 *
 * Thread safety: configure and open in the single-threaded parent; attach once per child before or after threads start;
 * the rest from any thread. A breaker stands before each part of the driver's store. While the store does not answer,
 * calls return IDEM_EDOWN at once, and one probe at a time asks whether it is back. The probe also attaches a driver
 * that could not be attached, once a second. A store that was found damaged is not tried again before a restart.
 */
#ifndef IDEM_STORE_FRONT_H
#define IDEM_STORE_FRONT_H

#include "health.h"
#include "record.h"

typedef struct idem_front idem_front;

typedef enum idem_op {
    IDEM_OP_CLAIM,
    IDEM_OP_TAKEOVER,
    IDEM_OP_RENEW,
    IDEM_OP_SETTLE,
    IDEM_OP_RELEASE,
    IDEM_OP_FETCH,
    IDEM_OP_SWEEP,
    IDEM_OPS
} idem_op;

/* Called after each call, in the calling thread; took is in microseconds. */
typedef void idem_front_observer(void *baton, idem_op op, apr_status_t status, apr_interval_time_t took);

/* What was found in a slot. */
typedef struct idem_seen {
    idem_head head;                /* meaningless if corrupt */
    idem_response response;        /* for a RECORD */
    int owner_dead;                /* for a LEASE */
    apr_interval_time_t age, left; /* since it was written, until it expires; -1 if the store cannot say */
    int corrupt;        /* something stands there that is no value of this slot: counts as unknown, why says what */
    apr_time_t written; /* when it was claimed or settled, by the store's clock; 0 where the store cannot say */
} idem_seen;

/* Finds a driver that is not compiled in; set once by the glue (httpd's providers). May be NULL. */
typedef const idem_driver *idem_driver_finder(const char *scheme);
extern idem_driver_finder *idem_registry_finder;

/* NULL if there is none of that name. *names (may be NULL) gets the known ones, "lmdb, socache", for an error text. */
const idem_driver *idem_registry_find(const char *scheme, const char **names, apr_pool_t *pool);

/* The compiled-in drivers, NULL-terminated. */
const idem_driver *const *idem_registry_drivers(void);

/* url is "scheme:rest"; options as idem_driver.configure has them. *why is a sentence for the administrator. */
apr_status_t idem_front_configure(idem_front **front, const idem_env *env, const char *url, const char *const *options,
                                  apr_pool_t *pool, const char **why);
void idem_front_set_timeout(idem_front *front, apr_interval_time_t timeout);
const idem_keyring *idem_front_ring(const idem_front *front); /* NULL without a secret */
apr_interval_time_t idem_front_timeout(const idem_front *front);
void idem_front_set_observer(idem_front *front, idem_front_observer *observer, void *baton);
void idem_front_set_watcher(idem_front *front, idem_front_watcher *watcher, void *baton);

/* Seals and opens with ring, which lives as long as the front; before open. */
void idem_front_set_ring(idem_front *front, const idem_keyring *ring);

/* Nothing is asked of this store until the next configuration: why is told instead. */
void idem_front_damaged(idem_front *front, const char *why);

apr_status_t idem_front_open(idem_front *front, apr_pool_t *pool, const char **why);
apr_status_t idem_front_attach(idem_front *front, apr_pool_t *pool, const char **why);
void idem_front_detach(idem_front *front);

/* Any thread, also while the store hangs. Of one part; of all: the worst one's, with the sums of what is counted. */
void idem_front_part_health(idem_front *front, int part, idem_health *health);
void idem_front_health(idem_front *front, idem_health *health);

/*
 * Who finds out that the store is back. At first it is the callers: one call at a time is let through after a pause.
 * Where a thread can be spared (others nonzero) it does so by idem_front_probe(), and no caller's call is ever that
 * one.
 */
void idem_front_let_probe(idem_front *front, int others);

/*
 * Probes whether this part of the store is back: reads the slot whose call failed, and writes the mark of the slot
 * secret once more. Neither changes anything. Returns the microseconds until the next look is due; 0: closed, or
 * damaged, no need.
 */
apr_interval_time_t idem_front_probe(idem_front *front, int part, apr_pool_t *pool);

const char *idem_front_url(const idem_front *front);         /* with any password masked: fit for a log */
const idem_store *idem_front_store(const idem_front *front); /* flags, max_value, warning */

/* A fresh lease: token, owner number and (attempt as given) the rest of head are filled. */
apr_status_t idem_front_lease(idem_front *front, idem_head *head);

/*
 * The driver's operations, on heads. lease->slot, ->token and ->print are the caller's. A claim that gets no answer is
 * repeated once with the same token while the timeout lasts. *why may be NULL after success.
 */
apr_status_t idem_front_claim(idem_front *front, const idem_head *lease, apr_pool_t *pool, idem_seen *seen,
                              const char **why);

/*
 * The part of a claim that reads, where reading waits for nobody: the lease need not be made for what is answered
 * anyhow. APR_EEXIST as a claim has it. APR_NOTFOUND: go on with idem_front_claim_empty(). Anything else: nothing is
 * known, and idem_front_claim() says what is wrong.
 */
apr_status_t idem_front_peek(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_seen *seen,
                             const char **why);
apr_status_t idem_front_claim_empty(idem_front *front, const idem_head *lease, apr_pool_t *pool, idem_seen *seen,
                                    const char **why);

apr_status_t idem_front_takeover(idem_front *front, const idem_head *lease, const unsigned char *seen_token,
                                 apr_pool_t *pool, const char **why);
apr_status_t idem_front_renew(idem_front *front, const idem_head *lease, apr_pool_t *pool, const char **why);
apr_status_t idem_front_release(idem_front *front, const unsigned char *slot, const unsigned char *token,
                                apr_pool_t *pool, const char **why);
apr_status_t idem_front_fetch(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_seen *seen,
                              const char **why);

/* Encodes once, so that the keeper can repeat the settlement without the request. IDEM_ETOOBIG by max_value. */
apr_status_t idem_front_encode(idem_front *front, const idem_head *head, const idem_response *response,
                               apr_pool_t *pool, idem_blob *value);
apr_status_t idem_front_settle(idem_front *front, idem_blob value, apr_pool_t *pool, const char **why);

apr_status_t idem_front_sweep(idem_front *front, int most, apr_pool_t *pool, int *removed, const char **why);

/* How long calls have taken that were made in this thread, microseconds since it began. */
apr_interval_time_t idem_front_spent(void);

/* The driver's account, in no order with other calls; APR_ENOTIMPL where it would cost more than a look
 * (IDEM_READS_FREE). */
apr_status_t idem_front_status(idem_front *front, apr_pool_t *pool, idem_store_status *status, const char **why);

/* ---- for administrators (tending.c) ------------------------------------------------------------------------------ */

/*
 * Before attach, in a tool: a store without a mark does not get one, and without a ring any mark will do. With one,
 * another secret's store is still refused.
 */
void idem_front_be_guest(idem_front *front);

/* Before attach: the store must have this mark (IDEM_DIGEST_LEN bytes), or gets it, whatever the ring is. */
void idem_front_want_mark(idem_front *front, const unsigned char *mark);

/* The first part's mark, zeros for a store without a secret. APR_NOTFOUND: it has none yet. */
apr_status_t idem_front_read_mark(idem_front *front, apr_pool_t *pool, unsigned char *mark, const char **why);

/* Is this slot a mark's, or the next one? Of a store with several parts only the first one's mark is known. */
int idem_front_is_own(const unsigned char *slot);

/* Where it is kept how often keys were sent again (src/ops/again.h): the digest of a text, as the mark's is. */
const unsigned char *idem_front_again_slot(void);

/*
 * A part of the list of all entries, as idem_driver.page has it. A driver without page() is asked by each(), as long as
 * it takes. APR_ENOTIMPL for a store that cannot list, APR_EINVAL for what is no place.
 */
apr_status_t idem_front_page(idem_front *front, char place[IDEM_PLACE_LEN], apr_pool_t *pool, idem_visitor *visitor,
                             void *baton, const char **why);
int idem_front_pages_by_slot(const idem_front *front);

/* What stands in the slot, as it stands. */
apr_status_t idem_front_look(idem_front *front, const unsigned char *slot, apr_pool_t *pool, idem_found *found,
                             const char **why);

/* Removes whatever stands there. APR_NOTFOUND. */
apr_status_t idem_front_forget(idem_front *front, const unsigned char *slot, apr_pool_t *pool, const char **why);

/* Removes what stands there if it is this sound value still, or that of a lease that was renewed. IDEM_ELOST: another
 * one. */
apr_status_t idem_front_forget_seen(idem_front *front, const unsigned char *slot, idem_blob seen, apr_pool_t *pool,
                                    const char **why);

/* Settles a value under one of our own slots. IDEM_ELOST: another one stands there. */
apr_status_t idem_front_put(idem_front *front, idem_blob value, apr_pool_t *pool, const char **why);

/* The driver's account, whatever it costs. */
apr_status_t idem_front_account(idem_front *front, apr_pool_t *pool, idem_store_status *status, const char **why);

/* The process that is this owner, 0 if it is not known. */
unsigned long idem_front_process(const idem_front *front, apr_uint64_t owner);

#endif
