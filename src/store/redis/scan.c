/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scan.c - what looks at every entry of a Redis store: its list and its state.
 *
 * Called by the front for an administrator. What always holds: each question to Redis is for a small batch, so that
 * others are served in between. Limits: Redis may name a key twice in one walk. each() remembers the slots that it has
 * seen, about a hundred bytes each; page() may show one twice. Where others keep many keys in the same database, the
 * count of entries is an estimate.
 */
#include "redis_private.h"

#include <apr_escape.h>
#include <apr_hash.h>
#include <apr_strings.h>
#include <stdlib.h>

#define BATCH "20"         /* keys whose values are read at once */
#define COUNT_BATCH "1000" /* keys that are only counted */
#define COUNT_BATCHES 10
#define CURSOR_LEN 24
#define STORED_LAST "16777232" /* of the longest string of ours, one byte more */

/* ---- asking ------------------------------------------------------------------------------------------------------ */

static apr_status_t receive_count(idem_redis_conn *conn, idem_call *call, apr_uint64_t *count)
{
    redisReply *reply;
    apr_status_t rv = idem_redis_receive(conn, call, &reply);

    if (rv != APR_SUCCESS)
        return rv;
    if (idem_redis_is_number(reply, 0, APR_INT64_MAX))
        *count = (apr_uint64_t)reply->integer;
    else
        rv = idem_redis_refused(call, "DBSIZE", reply);
    freeReplyObject(reply);
    return rv;
}

/* A number of 64 bits without a sign, in digits; NULL if it is none. */
static const char *cursor_of(const redisReply *reply)
{
    const char *text = idem_redis_text(reply);
    return text && *text && reply->len < CURSOR_LEN && strspn(text, "0123456789") == reply->len ? text : NULL;
}

/* Asks for the next keys; *reply is {cursor, keys}, and cursor is set to the one to go on from. */
static apr_status_t scan_cursor(idem_redis_conn *conn, idem_call *call, char cursor[CURSOR_LEN], const char *most,
                                redisReply **reply)
{
    apr_status_t rv = idem_redis_send_words(conn, call, IDEM_WORDS("SCAN", cursor, "COUNT", most));
    const char *next = NULL;

    if (rv == APR_SUCCESS)
        rv = idem_redis_receive(conn, call, reply);
    if (rv != APR_SUCCESS)
        return rv;
    if (idem_redis_is_array(*reply, 2) && (*reply)->element[1]->type == REDIS_REPLY_ARRAY)
        next = cursor_of((*reply)->element[0]);
    if (next) {
        apr_cpystrn(cursor, next, CURSOR_LEN);
        return APR_SUCCESS;
    }
    rv = idem_redis_refused(call, "SCAN", *reply);
    freeReplyObject(*reply);
    return rv;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* Is it one of ours? */
static int slot_of(const redisReply *key, unsigned char slot[IDEM_SLOT_LEN])
{
    static const size_t prefix = sizeof(IDEM_REDIS_PREFIX) - 1;

    if (key->type != REDIS_REPLY_STRING || key->len != IDEM_REDIS_KEY_LEN ||
        memcmp(key->str, IDEM_REDIS_PREFIX, prefix) != 0 ||
        strspn(key->str + prefix, "0123456789abcdef") != 2 * IDEM_SLOT_LEN)
        return 0;
    return apr_unescape_hex(slot, key->str + prefix, 2 * IDEM_SLOT_LEN, 0, NULL) == APR_SUCCESS;
}

/* ---- each -------------------------------------------------------------------------------------------------------- */

typedef struct walk {
    idem_redis_conn *conn;
    idem_call *call;
    idem_visitor *visitor;
    void *baton;
    apr_hash_t *seen; /* slots, in the call's pool; NULL: the caller accepts a slot twice */
    apr_pool_t *batch;
    apr_int64_t now; /* of Redis's clock, milliseconds */
    int stopped;
} walk;

typedef struct batch {
    const unsigned char **slots;
    int count;
} batch;

/* The batch's keys that have not been visited. */
static batch choose_unvisited(walk *w, const redisReply *keys)
{
    batch b = {apr_palloc(w->batch, sizeof(*b.slots) * (keys->elements + 1)), 0};
    unsigned char slot[IDEM_SLOT_LEN];

    for (size_t i = 0; i < keys->elements; i++) {
        if (!slot_of(keys->element[i], slot) || (w->seen && apr_hash_get(w->seen, slot, IDEM_SLOT_LEN)))
            continue;
        b.slots[b.count] = apr_pmemdup(w->call->pool, slot, IDEM_SLOT_LEN);
        if (w->seen)
            apr_hash_set(w->seen, b.slots[b.count], IDEM_SLOT_LEN, w);
        b.count++;
    }
    return b;
}

/* The time and the values, in one round trip. Each value is a reply of its own, and bounded as one. */
static apr_status_t ask_values(walk *w, const batch *b)
{
    apr_status_t rv = idem_redis_send_words(w->conn, w->call, IDEM_WORDS("TIME"));

    for (int i = 0; i < b->count && rv == APR_SUCCESS; i++) {
        char key[IDEM_REDIS_KEY_LEN + 1];
        idem_redis_key(b->slots[i], key);
        rv = idem_redis_send_words(w->conn, w->call, IDEM_WORDS("GETRANGE", key, "0", STORED_LAST));
    }
    return rv;
}

static apr_status_t receive_time(walk *w)
{
    redisReply *reply;
    apr_status_t rv = idem_redis_receive(w->conn, w->call, &reply);

    if (rv != APR_SUCCESS)
        return rv;
    if (!idem_redis_is_time(reply, &w->now))
        rv = idem_redis_refused(w->call, "TIME", reply);
    freeReplyObject(reply);
    return rv;
}

/* An entry that is too short for its times is shown as an empty value, which the front reports as damaged. */
static idem_found found_in(const walk *w, const redisReply *stored)
{
    idem_blob all = idem_blob_of(stored->str, stored->len);
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_uint64_t expires;

    if (all.len < IDEM_REDIS_TIMES_LEN)
        return found;
    found.value = idem_blob_of(all.data + IDEM_REDIS_TIMES_LEN, all.len - IDEM_REDIS_TIMES_LEN);
    expires = idem_value_number(all.data + 8, 8);
    found.expires = expires <= IDEM_REDIS_TIME_MOST ? (apr_time_t)expires * 1000 : 0;
    found.owner_dead = idem_value_plausible(found.value) && idem_value_state(found.value) == IDEM_STATE_LEASE &&
                       (apr_uint64_t)w->now >= idem_value_number(all.data, 8);
    return found;
}

/* Expired since, or no string and so none of ours: nothing to see. What is left is read when nobody wants to see it,
 * too. */
static apr_status_t visit_next(walk *w, const unsigned char *slot)
{
    redisReply *stored;
    apr_status_t rv = idem_redis_receive(w->conn, w->call, &stored);

    if (rv != APR_SUCCESS)
        return rv;
    if (stored->type != REDIS_REPLY_STRING && stored->type != REDIS_REPLY_ERROR) {
        rv = idem_redis_refused(w->call, "GETRANGE", stored);
    }
    else if (stored->type == REDIS_REPLY_STRING && stored->len > 0 && (!w->stopped || !w->seen)) {
        idem_found found = found_in(w, stored);
        w->stopped |= !w->visitor(w->baton, slot, &found);
    }
    freeReplyObject(stored);
    return rv;
}

static apr_status_t visit_batch(walk *w, const redisReply *keys)
{
    batch b = choose_unvisited(w, keys);
    apr_status_t rv;

    if (b.count == 0)
        return APR_SUCCESS;
    rv = ask_values(w, &b);
    if (rv == APR_SUCCESS)
        rv = receive_time(w);
    for (int i = 0; i < b.count && rv == APR_SUCCESS; i++)
        rv = visit_next(w, b.slots[i]);
    return rv;
}

static apr_status_t walk_all(walk *w)
{
    char cursor[CURSOR_LEN] = "0";
    apr_status_t rv;

    do {
        redisReply *reply;
        rv = scan_cursor(w->conn, w->call, cursor, BATCH, &reply);
        if (rv != APR_SUCCESS)
            break;
        rv = visit_batch(w, reply->element[1]);
        freeReplyObject(reply);
        apr_pool_clear(w->batch);
    } while (rv == APR_SUCCESS && !w->stopped && strcmp(cursor, "0") != 0);
    return rv;
}

apr_status_t idem_redis_each(idem_store *base, idem_call *call, idem_visitor *visitor, void *baton)
{
    idem_redis *store = (idem_redis *)base;
    walk w = {.call = call, .visitor = visitor, .baton = baton, .seen = apr_hash_make(call->pool)};
    apr_status_t rv = idem_redis_take(store, call, &w.conn);

    if (rv != APR_SUCCESS)
        return rv;
    apr_pool_create(&w.batch, call->pool);
    rv = walk_all(&w);
    apr_pool_destroy(w.batch);
    idem_redis_give(store, w.conn, rv == APR_SUCCESS);
    return rv;
}

/*
 * A place is a cursor of Redis's. A step may contain no entry of ours. Redis continues from a cursor after everything
 * that it has named, so the whole step is visited.
 */
apr_status_t idem_redis_page(idem_store *base, idem_call *call, char place[IDEM_PLACE_LEN], idem_visitor *visitor,
                             void *baton)
{
    idem_redis *store = (idem_redis *)base;
    walk w = {.call = call, .visitor = visitor, .baton = baton, .batch = call->pool};
    char cursor[CURSOR_LEN];
    redisReply *reply;
    apr_status_t rv;

    if (strlen(place) >= CURSOR_LEN - 1 || strspn(place, "0123456789") != strlen(place))
        return APR_EINVAL;
    apr_cpystrn(cursor, *place ? place : "0", sizeof(cursor));
    rv = idem_redis_take(store, call, &w.conn);
    if (rv != APR_SUCCESS)
        return rv;
    rv = scan_cursor(w.conn, call, cursor, BATCH, &reply);
    if (rv == APR_SUCCESS) {
        rv = visit_batch(&w, reply->element[1]);
        freeReplyObject(reply);
    }
    idem_redis_give(store, w.conn, rv == APR_SUCCESS);
    if (rv == APR_SUCCESS)
        apr_cpystrn(place, strcmp(cursor, "0") != 0 ? cursor : "", IDEM_PLACE_LEN);
    return rv;
}

/* ---- status ------------------------------------------------------------------------------------------------------ */

/* Looks at so many keys and takes the others to be mixed alike; exact where all are looked at, or all are ours. */
static apr_status_t count_entries(idem_redis_conn *conn, idem_call *call, apr_uint64_t total, apr_uint64_t *entries)
{
    apr_uint64_t seen = 0, ours = 0;
    char cursor[CURSOR_LEN] = "0";
    int batches = 0;

    do {
        redisReply *reply;
        apr_status_t rv = scan_cursor(conn, call, cursor, COUNT_BATCH, &reply);
        if (rv != APR_SUCCESS)
            return rv;
        for (size_t i = 0; i < reply->element[1]->elements; i++) {
            unsigned char slot[IDEM_SLOT_LEN];
            ours += (apr_uint64_t)slot_of(reply->element[1]->element[i], slot);
            seen++;
        }
        freeReplyObject(reply);
    } while (++batches < COUNT_BATCHES && strcmp(cursor, "0") != 0);
    if (ours == seen)
        *entries = seen ? total : 0;
    else
        *entries = strcmp(cursor, "0") == 0 ? ours : (apr_uint64_t)((double)total * (double)ours / (double)seen);
    return APR_SUCCESS;
}

static const char *text_of(const idem_redis_facts *facts, apr_pool_t *pool)
{
    return apr_psprintf(
        pool, "Redis %s, %s, %d replicas, maxmemory-policy %s, appendonly %s, appendfsync %s, save %s%s%s",
        *facts->version ? facts->version : "of an unknown version", *facts->role ? facts->role : "?", facts->replicas,
        *facts->policy ? facts->policy : "?", *facts->aof ? facts->aof : "?", *facts->fsync ? facts->fsync : "?",
        *facts->save ? facts->save : "?", *facts->tls ? ", " : "", facts->tls);
}

/* INFO, or what was known before if it is refused. */
static apr_status_t refresh_facts(idem_redis *store, idem_redis_conn *conn, idem_call *call, idem_redis_facts *facts)
{
    redisReply *reply;
    const char *info;
    apr_status_t rv = idem_redis_receive(conn, call, &reply);

    if (rv != APR_SUCCESS)
        return rv;
    info = idem_redis_text(reply);
    if (!info && reply->type != REDIS_REPLY_ERROR)
        rv = idem_redis_refused(call, "INFO", reply);
    apr_thread_mutex_lock(store->lock);
    if (info)
        idem_redis_read_info(&store->facts, info);
    *facts = store->facts;
    apr_thread_mutex_unlock(store->lock);
    freeReplyObject(reply);
    return rv;
}

apr_status_t idem_redis_status(idem_store *base, idem_call *call, idem_store_status *status)
{
    idem_redis *store = (idem_redis *)base;
    idem_redis_conn *conn;
    idem_redis_facts facts;
    apr_uint64_t total = 0;
    apr_status_t rv = idem_redis_take(store, call, &conn);

    if (rv != APR_SUCCESS)
        return rv;
    memset(status, 0, sizeof(*status));
    rv = idem_redis_send_words(conn, call, IDEM_WORDS("INFO"));
    if (rv == APR_SUCCESS)
        rv = idem_redis_send_words(conn, call, IDEM_WORDS("DBSIZE"));
    if (rv == APR_SUCCESS)
        rv = refresh_facts(store, conn, call, &facts);
    if (rv == APR_SUCCESS)
        rv = receive_count(conn, call, &total);
    if (rv == APR_SUCCESS)
        rv = count_entries(conn, call, total, &status->entries);
    idem_redis_give(store, conn, rv == APR_SUCCESS);
    if (rv != APR_SUCCESS)
        return rv;
    status->entries_known = 1;
    status->bytes_used = facts.memory_used;
    status->bytes_max = facts.memory_max;
    status->text = text_of(&facts, call->pool);
    return APR_SUCCESS;
}
