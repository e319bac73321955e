/*
 * store_mark.c - a store remembers which slot secret names its slots.
 *
 * Called once after each attach. The mark is a tombstone under a slot that no key gives, so that every driver can keep it; it says of
 * the secret only what tells it from another. Limits: a store that cannot count its entries is not known to have been used
 * without a secret.
 */
#include "store_private.h"

#include "digest.h"

#include <apr_strings.h>

#define MARK_LIFE (apr_time_from_sec(86400) * 3650)

/* The digest of a text is the digest of no scope and key: those begin with a count. */
static apr_status_t mark_slot(unsigned char slot[IDEM_SLOT_LEN])
{
    return idem_digest_of(NULL, idem_blob_str("mod_idempotency: the mark of the slot secret"), slot);
}

static apr_status_t write_mark(idem_front *front, const unsigned char *slot, idem_call *call)
{
    idem_head head;
    idem_blob value;
    apr_status_t rv;

    memset(&head, 0, sizeof(head));
    head.state = IDEM_TOMBSTONE;
    head.ttl = MARK_LIFE;
    head.attempt = 1;
    memcpy(head.slot, slot, IDEM_SLOT_LEN);
    memcpy(head.print.rest, idem_keyring_mark(front->ring), IDEM_DIGEST_LEN);
    memcpy(head.token, idem_keyring_mark(front->ring), IDEM_TOKEN_LEN); /* processes that race write the same */
    rv = idem_record_encode(NULL, &head, NULL, call->pool, &value);
    return rv == APR_SUCCESS ? front->store->driver->settle(front->store, call, slot, value) : rv;
}

static int has_entries(idem_front *front, idem_call *call)
{
    idem_store_status status;

    memset(&status, 0, sizeof(status));
    return front->store->driver->status(front->store, call, &status) == APR_SUCCESS && status.entries_known &&
           status.entries > 0;
}

static const char *fault_of_mark(const idem_front *front, const idem_head *head)
{
    if (!front->ring)
        return "was made with a slot: secret, and no IdempotencySecret is configured: configure it, or name another store";
    if (!idem_equal_ct(head->print.rest, idem_keyring_mark(front->ring), IDEM_DIGEST_LEN))
        return "was made with another slot: secret: configure that one, or name another store (every key is forgotten then)";
    return NULL;
}

apr_status_t idem_front_check_mark(idem_front *front, apr_pool_t *pool, const char **why)
{
    idem_call call = {pool, apr_time_now() + front->timeout, NULL};
    unsigned char slot[IDEM_SLOT_LEN];
    const char *fault = NULL;
    idem_found found;
    idem_head head;
    apr_status_t rv = mark_slot(slot);

    memset(&found, 0, sizeof(found));
    if (rv == APR_SUCCESS)
        rv = front->store->driver->fetch(front->store, &call, slot, &found);
    if (rv == APR_SUCCESS)
        fault = idem_record_decode(NULL, found.value, slot, pool, &head, NULL) ? "has a mark that cannot be read"
                                                                               : fault_of_mark(front, &head);
    else if (rv == APR_NOTFOUND && front->ring && has_entries(front, &call))
        fault =
            "was made without a secret, and IdempotencySecret is configured: its keys would be forgotten; name another store";
    else if (rv == APR_NOTFOUND)
        rv = front->ring ? write_mark(front, slot, &call) : APR_SUCCESS;
    *why = fault ? apr_psprintf(pool, "the store %s %s", front->url, fault) : call.why;
    if (fault)
        return IDEM_EDAMAGED;
    return rv == IDEM_ELOST ? APR_SUCCESS : rv;
}
