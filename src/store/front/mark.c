/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark.c - a store remembers which slot secret names its slots, or that none does.
 *
 * Called once after each attach, and to see whether the store takes settlements again. The mark is a tombstone under a
 * slot that no key gives, so every driver can keep it. It only tells one secret from another. A store without a mark
 * gets the present one, also if it holds entries: a store that can lose entries can lose the mark, too. So only what a
 * mark says stops anybody.
 */
#include "front_private.h"

#include "digest.h"

#include <apr_strings.h>
#include <pthread.h>

#define MARK_LIFE (apr_time_from_sec(86400) * 3650)

#define MARK "mod_idempotency: the mark of the slot secret"
#define AGAIN "mod_idempotency: how often keys were sent again"

/*
 * The digest of a text is the digest of no scope and key: those begin with a count. Where the store has parts each has
 * a mark of its own, under the first of these slots that is its.
 */
apr_status_t idem_front_mark_slot(idem_front *front, int part, unsigned char slot[IDEM_SLOT_LEN], apr_pool_t *pool)
{
    apr_status_t rv = idem_digest_of(NULL, idem_blob_str(MARK), slot);

    for (int i = 1; rv == APR_SUCCESS && idem_front_breaker(front, slot) != &front->breakers[part]; i++)
        rv = idem_digest_of(NULL, idem_blob_str(apr_psprintf(pool, MARK ", %d", i)), slot);
    return rv;
}

static unsigned char own_slots[2][IDEM_SLOT_LEN]; /* the first part's mark; AGAIN */
static pthread_once_t own_slots_once = PTHREAD_ONCE_INIT;

static void make_own_slots(void)
{
    (void)idem_digest_of(NULL, idem_blob_str(MARK), own_slots[0]);
    (void)idem_digest_of(NULL, idem_blob_str(AGAIN), own_slots[1]);
}

int idem_front_is_own(const unsigned char *slot)
{
    pthread_once(&own_slots_once, make_own_slots);
    return !memcmp(own_slots[0], slot, IDEM_SLOT_LEN) || !memcmp(own_slots[1], slot, IDEM_SLOT_LEN);
}

const unsigned char *idem_front_again_slot(void)
{
    pthread_once(&own_slots_once, make_own_slots);
    return own_slots[1];
}

static const unsigned char no_secret[IDEM_DIGEST_LEN];

static const unsigned char *mark_of(const idem_front *front)
{
    if (front->wanted_mark)
        return front->wanted_mark;
    return front->ring ? idem_keyring_mark(front->ring) : no_secret;
}

/* Processes that race write the same; IDEM_ELOST: another one was faster, and writes another. */
static apr_status_t write_mark(idem_front *front, const unsigned char *slot, idem_call *call)
{
    idem_head head;
    idem_blob value;
    apr_status_t rv;

    memset(&head, 0, sizeof(head));
    head.state = IDEM_STATE_TOMBSTONE;
    head.ttl = MARK_LIFE;
    head.attempt = 1;
    memcpy(head.slot, slot, IDEM_SLOT_LEN);
    memcpy(head.print.rest, mark_of(front), IDEM_DIGEST_LEN);
    memcpy(head.token, mark_of(front), IDEM_TOKEN_LEN);
    rv = idem_record_encode(NULL, &head, NULL, call->pool, &value);
    return rv == APR_SUCCESS ? front->store->driver->settle(front->store, call, slot, value) : rv;
}

apr_status_t idem_front_mark_again(idem_front *front, int part, idem_call *call)
{
    unsigned char slot[IDEM_SLOT_LEN];
    apr_status_t rv = idem_front_mark_slot(front, part, slot, call->pool);
    return rv == APR_SUCCESS ? write_mark(front, slot, call) : rv;
}

static const char *fault_of_mark(const idem_front *front, idem_blob value, const unsigned char *slot, apr_pool_t *pool)
{
    idem_head head;
    const char *fault = idem_record_decode(NULL, value, slot, pool, &head, NULL);

    if (fault)
        return fault == idem_record_not_looked_at ? fault : "has a mark that cannot be read";
    if (idem_equal_ct(head.print.rest, mark_of(front), IDEM_DIGEST_LEN))
        return NULL;
    if (front->wanted_mark)
        return "has the mark of another slot: secret, or of none: its keys would not be found";
    if (!front->ring)
        return "was made with a slot: secret, and no IdempotencySecret is configured: configure it, or name another "
               "store";
    if (idem_equal_ct(head.print.rest, no_secret, IDEM_DIGEST_LEN))
        return "was made without a secret, and IdempotencySecret is configured: with it no old key is found; "
               "name another store";
    return "was made with another slot: secret: configure that one, or name another store (every key is forgotten "
           "then)";
}

static apr_status_t check_part(idem_front *front, int part, apr_pool_t *pool, const char **why)
{
    idem_call call = {.pool = pool, .deadline = apr_time_now() + front->timeout};
    unsigned char slot[IDEM_SLOT_LEN];
    const char *fault = NULL;
    idem_found found;
    apr_status_t rv = idem_front_mark_slot(front, part, slot, pool);

    for (int look = 0; look < 2 && (rv == APR_SUCCESS || rv == IDEM_ELOST); look++) {
        memset(&found, 0, sizeof(found));
        rv = front->store->driver->fetch(front->store, &call, slot, &found);
        if (rv == APR_SUCCESS) {
            fault = fault_of_mark(front, found.value, slot, pool);
            break;
        }
        if (rv == APR_NOTFOUND && (front->look_only || front->guest))
            return APR_SUCCESS;
        if (rv != APR_NOTFOUND)
            break;
        rv = write_mark(front, slot, &call);
        if (rv == APR_SUCCESS || rv == IDEM_EFULL) /* a full store still replays; the next process tries again */
            return APR_SUCCESS;
    }
    if (fault == idem_record_not_looked_at) { /* it may be right: the next attempt looks */
        *why = fault;
        return APR_ENOMEM;
    }
    *why = fault ? apr_psprintf(pool, "the store %s %s", front->url, fault) : call.why;
    return fault ? IDEM_EDAMAGED : rv;
}

apr_status_t idem_front_check_mark(idem_front *front, apr_pool_t *pool, const char **why)
{
    apr_status_t one, rv = APR_EGENERAL;

    if (front->guest && !front->ring) {
        for (int part = 0; part < front->parts; part++)
            front->answers[part] = 1;
        return APR_SUCCESS;
    }
    for (int part = 0; part < front->parts; part++) {
        const char *reason = NULL;

        one = check_part(front, part, pool, &reason);
        front->answers[part] = one == APR_SUCCESS;
        if (rv != APR_SUCCESS || one == IDEM_EDAMAGED) {
            rv = one;
            *why = reason;
        }
        if (one == IDEM_EDAMAGED)
            break;
    }
    return rv;
}
