/* SPDX-License-Identifier: Apache-2.0 */
/*
 * script.c - the script that decides what becomes of a slot, and how it is called.
 *
 * Called by the operations on one slot. The whole decision is made inside Redis, in one step and by Redis's clock. What
 * always holds: an order carries the last moment, by that clock, at which it may be carried out. Closing a connection
 * does not cancel the commands that were sent on it. A stopped server executes them later, in no fixed order with those
 * of other connections. A claim that is executed after its own withdrawal would have no owner. The moment follows from
 * the latest time that Redis has told on this connection. That time is early by the answer's time on the network, and
 * never late. Where replicas are waited for, every answer but a mere look becomes a write first, refusals too. WAIT
 * covers the writes of its own connection only, and nobody must believe a primary that has been replaced. Limits: a
 * Redis clock that is set back within a call lets that call arrive late by as much.
 */
#include "redis_private.h"
#include "threads.h"

#include <apr_escape.h>
#include <apr_sha1.h>
#include <apr_strings.h>

/* Milliseconds. Redis looks ten times a second which WAIT is over; then the answer has to come back. */
#define WAIT_MARGIN 110

/*
 * KEYS[1] the slot's key. ARGV: operation, last moment, "1" if replicas are waited for, token, value.
 * Answers {word, now}, and where what stands is shown {word, now, value, 1 if its owner is dead, expires}.
 *
 * Where a write must succeed in a full store, a write that Redis allows beyond maxmemory comes before it ("touch"):
 * Redis checks for room before a script's first write only.
 */
static const char script[] =
    "local key, op, last, sync = KEYS[1], ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'\n"
    "local token, value = ARGV[4], ARGV[5]\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "if now >= last then return {'late', now} end\n"
    "\n"
    "local LEASE, RECORD, UNKNOWN = 1, 2, 4\n"
    "local head = redis.call('GETRANGE', key, 0, 95)\n"
    "local there = head ~= ''\n"
    "local ours = #head == 96 and head:sub(17, 20) == 'IDEM'\n"
    "local state = ours and head:byte(22)\n"
    "local owner = ours and head:sub(81, 96)\n"
    "local due, expires = 0, 0\n"
    "if ours then due, expires = struct.unpack('>I8I8', head) end\n"
    "local lease = state == LEASE\n"
    "local dead = lease and now >= due\n"
    "local mine = value:sub(65, 80)\n"
    "\n"
    "local function touch()\n"
    "  if ours then redis.call('PEXPIREAT', key, math.max(due, expires)) end\n"
    "  if not there then redis.call('SET', key, '') redis.call('DEL', key) end\n"
    "end\n"
    "local function answer(word)\n"
    "  if sync then touch() end\n"
    "  return {word, now}\n"
    "end\n"
    "local function show(word)\n"
    "  local answered = answer(word)\n"
    "  answered[3] = redis.call('GETRANGE', key, 16, 16777232)\n" /* a byte more than the longest value of ours */
    "  answered[4] = dead and 1 or 0\n"
    "  answered[5] = expires\n"
    "  return answered\n"
    "end\n"
    "local function put()\n"
    "  local ttl = struct.unpack('>I8', value, 9)\n"
    "  local span = struct.unpack('>I4', value, 17)\n"
    "  expires = now + ttl + 1\n" /* now has been rounded down */
    "  due = value:byte(6) == LEASE and now + span or 0\n"
    "  redis.call('SET', key, struct.pack('>I8I8', due, expires) .. value, 'PX', math.max(due, expires) - now)\n"
    "  return {'done', now}\n"
    "end\n"
    "local function replace()\n"
    "  touch()\n"
    "  return put()\n"
    "end\n"
    "\n"
    "local operations = {}\n"
    "function operations.claim()\n"
    "  if not there then return put() end\n"
    "  if lease and owner == mine then return replace() end\n"
    "  return show('taken')\n"
    "end\n"
    "function operations.takeover()\n"
    "  if not there then return answer('absent') end\n"
    "  if lease and owner == mine then return replace() end\n"
    "  if owner ~= token then return answer('lost') end\n"
    "  if dead or state == UNKNOWN then return replace() end\n"
    "  return answer(lease and 'alive' or 'lost')\n"
    "end\n"
    "function operations.renew()\n"
    "  if not there then return answer('absent') end\n"
    "  if not lease or owner ~= token then return answer('lost') end\n"
    "  local span = struct.unpack('>I4', head, 33)\n"
    "  due = now + span\n"
    "  touch()\n"
    "  redis.call('SETRANGE', key, 0, struct.pack('>I8', due))\n"
    "  return {'done', now}\n"
    "end\n"
    "function operations.settle()\n"
    "  if not there then return put() end\n"
    "  if owner ~= mine then return answer('lost') end\n"
    "  if not lease then return answer('done') end\n"
    "  if value:byte(6) == RECORD then return put() end\n" /* the others are no larger than the lease */
    "  return replace()\n"
    "end\n"
    "function operations.release()\n"
    "  if not there then return answer('absent') end\n"
    "  if not lease or owner ~= token then return answer('lost') end\n"
    "  redis.call('DEL', key)\n"
    "  return {'done', now}\n"
    "end\n"
    "function operations.fetch()\n"
    "  if not there then return {'absent', now} end\n"
    "  return show('done')\n"
    "end\n"
    "function operations.forget()\n"
    "  if redis.call('DEL', key) == 0 then return answer('absent') end\n"
    "  return {'done', now}\n"
    "end\n"
    "function operations.forget_seen()\n"
    "  if not there then return answer('absent') end\n"
    "  if lease or owner ~= token then return answer('lost') end\n"
    "  redis.call('DEL', key)\n"
    "  return {'done', now}\n"
    "end\n"
    "return operations[op]()\n";

/* Each operation's answers, and whether what stands is shown with it. Any other is no answer, above all none to a
 * claim. */
static const struct {
    const char *operation, *word;
    apr_status_t status;
    int shows;
} meanings[] = {
    {"claim", "done", APR_SUCCESS, 0},       {"claim", "taken", APR_EEXIST, 1},
    {"takeover", "done", APR_SUCCESS, 0},    {"takeover", "absent", APR_NOTFOUND, 0},
    {"takeover", "lost", IDEM_ELOST, 0},     {"takeover", "alive", IDEM_EALIVE, 0},
    {"renew", "done", APR_SUCCESS, 0},       {"renew", "absent", APR_NOTFOUND, 0},
    {"renew", "lost", IDEM_ELOST, 0},        {"settle", "done", APR_SUCCESS, 0},
    {"settle", "lost", IDEM_ELOST, 0},       {"release", "done", APR_SUCCESS, 0},
    {"release", "absent", APR_NOTFOUND, 0},  {"release", "lost", IDEM_ELOST, 0},
    {"fetch", "done", APR_SUCCESS, 1},       {"fetch", "absent", APR_NOTFOUND, 0},
    {"forget", "done", APR_SUCCESS, 0},      {"forget", "absent", APR_NOTFOUND, 0},
    {"forget_seen", "done", APR_SUCCESS, 0}, {"forget_seen", "absent", APR_NOTFOUND, 0},
    {"forget_seen", "lost", IDEM_ELOST, 0},
};

void idem_redis_script_init(idem_redis *store)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t context;

    apr_sha1_init(&context);
    apr_sha1_update(&context, script, (unsigned)sizeof(script) - 1);
    apr_sha1_final(digest, &context);
    apr_escape_hex(store->sha, digest, sizeof(digest), 0, NULL);
}

void idem_redis_key(const unsigned char *slot, char key[IDEM_REDIS_KEY_LEN + 1])
{
    char *at = apr_cpystrn(key, IDEM_REDIS_PREFIX, IDEM_REDIS_KEY_LEN + 1);
    apr_escape_hex(at, slot, IDEM_SLOT_LEN, 0, NULL);
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */

static int order_waits(const idem_redis *store, const idem_redis_order *order)
{
    return store->wait_replicas > 0 && !order->reads;
}

static apr_int64_t milliseconds_left(const idem_call *call)
{
    return (call->deadline - apr_time_now()) / 1000;
}

/* how is EVALSHA, or EVAL where Redis does not know the script yet. */
static apr_status_t send_order(idem_redis *store, idem_redis_conn *conn, idem_call *call, const idem_redis_order *order,
                               const char *how)
{
    apr_int64_t last = apr_time_as_msec(idem_monotonic()) + conn->ahead + milliseconds_left(call);
    char key[IDEM_REDIS_KEY_LEN + 1];
    idem_blob words[9] = {
        idem_blob_str(how),
        idem_blob_str(strcmp(how, "EVAL") == 0 ? script : store->sha),
        idem_blob_str("1"),
        idem_blob_of(key, IDEM_REDIS_KEY_LEN),
        idem_blob_str(order->operation),
        idem_blob_str(apr_psprintf(call->pool, "%" APR_INT64_T_FMT, last)),
        idem_blob_str(order_waits(store, order) ? "1" : "0"),
        idem_blob_of(order->token ? (const void *)order->token : "", order->token ? IDEM_TOKEN_LEN : 0),
        idem_blob_of(order->value.len ? (const void *)order->value.data : "", order->value.len),
    };

    idem_redis_key(order->slot, key);
    return idem_redis_send(conn, call, 9, words);
}

static apr_status_t send_wait(idem_redis *store, idem_redis_conn *conn, idem_call *call)
{
    apr_int64_t left = milliseconds_left(call);
    apr_int64_t most = left > 2 * WAIT_MARGIN ? left - WAIT_MARGIN : left / 2;

    if (most > store->wait_ms)
        most = store->wait_ms;
    if (most < 1)
        most = 1; /* 0 would be for ever */
    return idem_redis_send_words(
        conn, call, IDEM_WORDS("WAIT", apr_itoa(call->pool, store->wait_replicas), apr_itoa(call->pool, (int)most)));
}

/* APR_SUCCESS whatever Redis said, and its reply, which the caller frees. */
static apr_status_t exchange_orders(idem_redis *store, idem_redis_conn *conn, idem_call *call,
                                    const idem_redis_order *order, const char *how, redisReply **replies)
{
    apr_status_t rv;

    rv = idem_redis_is_quiet(conn)
             ? send_order(store, conn, call, order, how)
             : idem_fail(call, APR_ECONNRESET, "Redis closed the connection, or sent more than one answer");
    if (rv == APR_SUCCESS && order_waits(store, order))
        rv = send_wait(store, conn, call);
    if (rv == APR_SUCCESS)
        rv = idem_redis_receive(conn, call, &replies[0]);
    if (rv == APR_SUCCESS && order_waits(store, order))
        rv = idem_redis_receive(conn, call, &replies[1]);
    if (rv != APR_SUCCESS || replies[0])
        return rv;
    call->why = "Redis gave no answer";
    return APR_EGENERAL;
}

static void discard_replies(redisReply **replies)
{
    for (int i = 0; i < 2; i++) {
        if (replies[i])
            freeReplyObject(replies[i]);
        replies[i] = NULL;
    }
}

static int is_error(const redisReply *reply, const char *part)
{
    return reply->type == REDIS_REPLY_ERROR && strstr(reply->str, part);
}

static apr_status_t exchange_surely(idem_redis *store, idem_redis_conn *conn, idem_call *call,
                                    const idem_redis_order *order, redisReply **replies)
{
    apr_status_t rv = exchange_orders(store, conn, call, order, "EVALSHA", replies);

    if (rv != APR_SUCCESS || !is_error(replies[0], "NOSCRIPT"))
        return rv;
    discard_replies(replies);
    return exchange_orders(store, conn, call, order, "EVAL", replies);
}

/* ---- understanding ----------------------------------------------------------------------------------------------- */

/* The end of a damaged entry can be anything: then it is not known. */
static int take_found(idem_call *call, const redisReply *answer, idem_found *found)
{
    const redisReply *value = answer->element[2], *expires = answer->element[4];

    if (value->type != REDIS_REPLY_STRING || !idem_redis_is_number(answer->element[3], 0, 1) ||
        expires->type != REDIS_REPLY_INTEGER)
        return 0;
    found->value = idem_blob_of(apr_pmemdup(call->pool, value->str, value->len), value->len);
    found->owner_dead = answer->element[3]->integer != 0;
    found->expires = idem_redis_is_number(expires, 0, IDEM_REDIS_TIME_MOST) ? expires->integer * 1000 : 0;
    found->now = answer->element[1]->integer * 1000;
    return 1;
}

/* {word, now, ...}: the word and the time are what they should be. */
static const char *word_of(const redisReply *answer)
{
    if (!idem_redis_is_array(answer, 2) && !idem_redis_is_array(answer, 5))
        return NULL;
    return idem_redis_is_number(answer->element[1], 0, IDEM_REDIS_TIME_MOST) ? idem_redis_text(answer->element[0])
                                                                             : NULL;
}

/* What the script said; APR_EAGAIN for "late", which changed nothing. */
static apr_status_t understand_answer(idem_redis_conn *conn, idem_call *call, const idem_redis_order *order,
                                      const redisReply *answer)
{
    const char *word;

    if (is_error(answer, "OOM ") && order->value.len > 0)
        return idem_fail(call, IDEM_EFULL, "Redis is full (maxmemory)");
    word = word_of(answer);
    for (size_t i = 0; word && i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strcmp(order->operation, meanings[i].operation) != 0 || strcmp(word, meanings[i].word) != 0)
            continue;
        if (answer->elements != (meanings[i].shows ? 5 : 2) ||
            (meanings[i].shows && !take_found(call, answer, order->found)))
            break;
        idem_redis_note_time(conn, answer->element[1]->integer);
        return meanings[i].status;
    }
    if (word && strcmp(word, "late") == 0 && answer->elements == 2) {
        idem_redis_note_time(conn, answer->element[1]->integer);
        return APR_EAGAIN;
    }
    return idem_redis_refused(call, order->operation, answer);
}

static apr_status_t check_replicas(const idem_redis *store, idem_call *call, const redisReply *count)
{
    if (!idem_redis_is_number(count, 0, 65535))
        return idem_redis_refused(call, "WAIT", count);
    if (count->integer >= store->wait_replicas)
        return APR_SUCCESS;
    return idem_fail(call, APR_EGENERAL, "only %d of %d replicas confirmed the write in time", (int)count->integer,
                     store->wait_replicas);
}

/* Is this an answer, and the connection fit for another question? */
static int is_answer(apr_status_t rv)
{
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].status == rv)
            return 1;
    return rv == IDEM_EFULL || rv == APR_EAGAIN;
}

static apr_status_t ask_script(idem_redis *store, idem_redis_conn *conn, idem_call *call, const idem_redis_order *order)
{
    redisReply *replies[2] = {NULL, NULL};
    apr_status_t replicas = APR_SUCCESS, rv = exchange_surely(store, conn, call, order, replies);

    if (rv == APR_SUCCESS) {
        rv = understand_answer(conn, call, order, replies[0]);
        if (replies[1] && is_answer(rv) && rv != IDEM_EFULL && rv != APR_EAGAIN)
            replicas = check_replicas(store, call, replies[1]);
    }
    discard_replies(replies);
    return replicas == APR_SUCCESS ? rv : replicas;
}

apr_status_t idem_redis_run(idem_redis *store, idem_call *call, const idem_redis_order *order)
{
    idem_redis_conn *conn;
    apr_status_t rv;

    if (order->value.len > IDEM_REDIS_VALUE_MAX)
        return idem_fail(call, IDEM_ETOOBIG, "a value of %lu bytes is too long: %lu is the most that is kept in Redis",
                         (unsigned long)order->value.len, (unsigned long)IDEM_REDIS_VALUE_MAX);
    rv = idem_redis_take(store, call, &conn);
    if (rv != APR_SUCCESS)
        return rv;
    rv = ask_script(store, conn, call, order);
    if (rv == APR_EAGAIN) /* what we knew of its clock was old */
        rv = ask_script(store, conn, call, order);
    idem_redis_give(store, conn, is_answer(rv));
    if (rv == APR_EAGAIN)
        return idem_fail(call, APR_TIMEUP, "Redis reached this call after its deadline");
    return rv;
}
