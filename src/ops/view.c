/* SPDX-License-Identifier: Apache-2.0 */
/*
 * view.c - makes a view of what a driver has found under a slot.
 *
 * Called for each entry that is listed or shown. A value is judged exactly as a request judges it. Without a secret, a
 * sealed record counts as sound as far as can be seen.
 */
#include "ops.h"

#include "digest.h"

#include <apr_escape.h>

static const char *const words[IDEM_SHOWN_STATES] = {
    [IDEM_SHOWN_RUNNING] = "running", [IDEM_SHOWN_RECORD] = "record",   [IDEM_SHOWN_TOMBSTONE] = "tombstone",
    [IDEM_SHOWN_UNKNOWN] = "unknown", [IDEM_SHOWN_DAMAGED] = "damaged",
};

const char *idem_shown_word(idem_shown state)
{
    return words[state];
}

int idem_shown_of(const char *word, idem_shown *state)
{
    for (int i = 0; i < IDEM_SHOWN_STATES; i++) {
        if (strcmp(word, words[i]))
            continue;
        *state = (idem_shown)i;
        return 1;
    }
    return 0;
}

static idem_shown shown_state(const idem_view *view, int owner_dead)
{
    switch (view->head.state) {
    case IDEM_STATE_LEASE: return owner_dead ? IDEM_SHOWN_UNKNOWN : IDEM_SHOWN_RUNNING;
    case IDEM_STATE_RECORD: return IDEM_SHOWN_RECORD;
    case IDEM_STATE_TOMBSTONE: return IDEM_SHOWN_TOMBSTONE;
    default: return IDEM_SHOWN_UNKNOWN;
    }
}

/* Of the head and what the store says beside it: a renewal moves a lease's end and leaves these. */
static void make_version(idem_view *view, idem_blob value)
{
    unsigned char digest[IDEM_DIGEST_LEN] = {0};
    apr_size_t len = value.len < IDEM_HEAD_LEN ? value.len : IDEM_HEAD_LEN;

    idem_digest_of(NULL, idem_blob_of(value.len ? value.data : view->slot, len), digest);
    memcpy(view->version, digest, IDEM_VERSION_LEN);
}

void idem_view_make(idem_front *front, const unsigned char *slot, const idem_found *found, apr_pool_t *pool,
                    idem_view *view)
{
    const idem_keyring *ring = idem_front_ring(front);

    memset(view, 0, sizeof(*view));
    memcpy(view->slot, slot, IDEM_SLOT_LEN);
    view->fault = idem_record_decode(ring, found->value, slot, pool, &view->head, &view->response);
    view->is_sealed = (view->head.flags & IDEM_HEAD_SEALED) != 0 && view->head.state == IDEM_STATE_RECORD;
    if (view->fault && view->is_sealed && !ring)
        view->fault = NULL; /* nobody can look inside */
    else
        view->is_open = !view->fault && view->head.state == IDEM_STATE_RECORD;
    view->state = view->fault ? IDEM_SHOWN_DAMAGED : shown_state(view, found->owner_dead);
    view->owner_died = view->state == IDEM_SHOWN_UNKNOWN && view->head.state == IDEM_STATE_LEASE;
    view->process = view->head.state == IDEM_STATE_LEASE ? idem_front_process(front, view->head.owner) : 0;
    view->is_local = (idem_front_store(front)->flags & IDEM_HOST_LOCAL) != 0;
    view->expires = found->expires;
    view->written = found->expires && !view->fault ? found->expires - view->head.ttl : 0;
    view->value = found->value;
    view->size = found->value.len;
    make_version(view, found->value);
}

void idem_view_tell(idem_view *view, apr_hash_t *again)
{
    const idem_again *row = idem_again_of(again, view->slot, view->written);

    view->has_counts = again != NULL;
    if (!row)
        return;
    view->replayed = row->replayed;
    view->refused = row->refused;
    view->last = row->last;
}

const char *idem_view_slot(const idem_view *view, apr_pool_t *pool)
{
    return apr_pescape_hex(pool, view->slot, IDEM_SLOT_LEN, 0);
}

const char *idem_view_version(const idem_view *view, apr_pool_t *pool)
{
    return apr_pescape_hex(pool, view->version, IDEM_VERSION_LEN, 0);
}
