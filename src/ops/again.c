/* SPDX-License-Identifier: Apache-2.0 */
/*
 * again.c - the entry of again.h: read, added to, written anew.
 *
 * Called by a server's keeper now and then, and by whoever lists or shows entries. What always holds: the entry is
 * replaced by taking away the one that was seen, and only that one; who finds another one there adds to that. Limits: a
 * process that dies in between takes the counts with it. Rows are big-endian, ROW bytes each.
 */
#include "again.h"

#include "bytes.h"
#include "digest.h"

#include <apr_strings.h>
#include <stdlib.h>

#define TYPE "application/vnd.mod-idempotency.again"
#define ROW 32
#define LIFE apr_time_from_sec(30 * 86400)
#define TURNS 5

int idem_again_is_kept(const idem_front *front)
{
    const idem_store *store = idem_front_store(front);

    return store->driver->page && (store->flags & IDEM_OFFLINE) && !(store->flags & IDEM_EVICTS) &&
           (!store->max_value || store->max_value >= ROW * IDEM_AGAIN_MOST + 4096);
}

void idem_again_count(apr_hash_t *all, const idem_again *one, apr_pool_t *pool)
{
    idem_again *row = apr_hash_get(all, one->slot, IDEM_AGAIN_SLOT);

    if (!row) {
        row = apr_pmemdup(pool, one, sizeof(*one));
        apr_hash_set(all, row->slot, IDEM_AGAIN_SLOT, row);
        return;
    }
    row->replayed += one->replayed;
    row->refused += one->refused;
    row->last = one->last > row->last ? one->last : row->last;
}

const idem_again *idem_again_of(apr_hash_t *all, const unsigned char *slot, apr_time_t written)
{
    const idem_again *row = all ? apr_hash_get(all, slot, IDEM_AGAIN_SLOT) : NULL;

    return row && row->last + apr_time_from_sec(1) > written ? row : NULL;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static int compare_times(const void *a, const void *b)
{
    const idem_again *const *one = a, *const *other = b;
    apr_uint64_t x = (*one)->replayed + (*one)->refused, y = (*other)->replayed + (*other)->refused;

    if (x != y)
        return x < y ? 1 : -1;
    return memcmp((*one)->slot, (*other)->slot, IDEM_AGAIN_SLOT);
}

apr_array_header_t *idem_again_top(apr_hash_t *all, int most, apr_pool_t *pool)
{
    apr_array_header_t *rows = apr_array_make(pool, (int)apr_hash_count(all) + 1, sizeof(const idem_again *));

    for (apr_hash_index_t *i = apr_hash_first(pool, all); i; i = apr_hash_next(i))
        APR_ARRAY_PUSH(rows, const idem_again *) = apr_hash_this_val(i);
    qsort(rows->elts, (size_t)rows->nelts, sizeof(const idem_again *), compare_times);
    rows->nelts = rows->nelts < most ? rows->nelts : most;
    return rows;
}

static void decode_rows(idem_blob body, apr_hash_t *all, apr_pool_t *pool)
{
    apr_time_t oldest = apr_time_now() - LIFE;

    for (apr_size_t at = 0; at + ROW <= body.len; at += ROW) {
        const unsigned char *from = body.data + at;
        idem_again one;

        memcpy(one.slot, from, IDEM_AGAIN_SLOT);
        one.replayed = idem_value_number(from + 8, 8);
        one.refused = idem_value_number(from + 16, 8);
        one.last = apr_time_from_sec((apr_time_t)(idem_value_number(from + 24, 8) & APR_UINT64_C(0xffffffffff)));
        if (one.last > oldest)
            idem_again_count(all, &one, pool);
    }
}

static idem_blob encode_rows(apr_hash_t *all, apr_pool_t *pool)
{
    apr_array_header_t *rows = idem_again_top(all, IDEM_AGAIN_MOST, pool);
    unsigned char *bytes = apr_palloc(pool, (apr_size_t)rows->nelts * ROW + 1), *to = bytes;

    for (int i = 0; i < rows->nelts; i++) {
        const idem_again *row = APR_ARRAY_IDX(rows, i, const idem_again *);

        to = idem_put_bytes(to, row->slot, IDEM_AGAIN_SLOT);
        to = idem_put(to, row->replayed, 8);
        to = idem_put(to, row->refused, 8);
        to = idem_put(to, (apr_uint64_t)apr_time_sec(row->last), 8);
    }
    return idem_blob_of(bytes, (apr_size_t)(to - bytes));
}

/* ---- the entry --------------------------------------------------------------------------------------------------- */

/* *found is what stands; nothing for a value that is none of ours, which is replaced. */
static apr_status_t look_at_rows(idem_front *front, apr_pool_t *pool, apr_hash_t *all, idem_found *found,
                                 const char **why)
{
    const unsigned char *slot = idem_front_again_slot();
    idem_head head;
    idem_response response;
    apr_status_t rv = idem_front_look(front, slot, pool, found, why);

    if (rv == APR_SUCCESS && !idem_record_decode(NULL, found->value, slot, pool, &head, &response) &&
        head.state == IDEM_STATE_RECORD)
        decode_rows(response.body, all, pool);
    return rv;
}

static apr_status_t make_entry(apr_hash_t *all, apr_pool_t *pool, idem_blob *value)
{
    idem_head head;
    idem_response response;
    apr_status_t rv;

    memset(&head, 0, sizeof(head));
    memset(&response, 0, sizeof(response));
    head.state = IDEM_STATE_RECORD;
    head.ttl = LIFE;
    head.attempt = 1;
    memcpy(head.slot, idem_front_again_slot(), IDEM_SLOT_LEN);
    response.status = 200;
    response.content_type = TYPE;
    response.body = encode_rows(all, pool);
    rv = idem_random_token(head.token);
    return rv == APR_SUCCESS ? idem_record_encode(NULL, &head, &response, pool, value) : rv;
}

apr_status_t idem_again_load(idem_front *front, apr_pool_t *pool, apr_hash_t **all, const char **why)
{
    idem_found found;
    apr_status_t rv = APR_NOTFOUND;

    *all = apr_hash_make(pool);
    if (idem_again_is_kept(front))
        rv = look_at_rows(front, pool, *all, &found, why);
    return rv == APR_NOTFOUND ? APR_SUCCESS : rv;
}

/* mine is what is to be there beside what others have put. APR_EAGAIN: somebody was faster. */
static apr_status_t add_once(idem_front *front, apr_hash_t **mine, apr_pool_t *pool, const char **why)
{
    const unsigned char *slot = idem_front_again_slot();
    apr_hash_t *all = apr_hash_make(pool);
    idem_found found = {.value = {NULL, 0}};
    idem_blob value;
    apr_status_t rv = look_at_rows(front, pool, all, &found, why), made;

    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return rv;
    for (apr_hash_index_t *i = apr_hash_first(pool, *mine); i; i = apr_hash_next(i))
        idem_again_count(all, apr_hash_this_val(i), pool);
    made = make_entry(all, pool, &value);
    if (made != APR_SUCCESS)
        return made;
    if (rv == APR_SUCCESS)
        rv = idem_value_plausible(found.value) ? idem_front_forget_seen(front, slot, found.value, pool, why)
                                               : idem_front_forget(front, slot, pool, why);
    if (rv == IDEM_ELOST)
        return APR_EAGAIN;
    if (rv != APR_SUCCESS && rv != APR_NOTFOUND)
        return rv;
    *mine = all;
    rv = idem_front_put(front, value, pool, why);
    return rv == IDEM_ELOST ? APR_EAGAIN : rv;
}

apr_status_t idem_again_add(idem_front *front, const idem_again *rows, int count, apr_pool_t *pool, const char **why)
{
    apr_hash_t *mine = apr_hash_make(pool);
    apr_status_t rv = APR_EAGAIN;

    for (int i = 0; i < count; i++)
        idem_again_count(mine, &rows[i], pool);
    for (int turn = 0; turn < TURNS && rv == APR_EAGAIN; turn++)
        rv = add_once(front, &mine, pool, why);
    return rv;
}
