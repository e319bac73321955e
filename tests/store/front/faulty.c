/* SPDX-License-Identifier: Apache-2.0 */
/*
 * faulty.c - the driver that answers as planned, and the bench of the front's tests; see faulty.h.
 */
#include "faulty.h"

#include <ftw.h>
#include <stdio.h>

#include "bytes.h"

/* ---- the driver in between ------------------------------------------------------------------------------------- */

typedef struct faulty_store {
    idem_store super;
    idem_store *inner;
} faulty_store;

faulty_plan plan;

faulty_count count;

static idem_store *inner_of(idem_store *store)
{
    return ((faulty_store *)store)->inner;
}

static apr_status_t faulty_configure(idem_store **out, const idem_env *env, const char *rest,
                                     const char *const *options, apr_pool_t *pool, const char **why)
{
    faulty_store *store = apr_pcalloc(pool, sizeof(*store));
    const idem_driver *lmdb = idem_registry_find("lmdb", NULL, pool);
    apr_status_t rv = lmdb->configure(&store->inner, env, rest, options, pool, why);
    if (rv == APR_SUCCESS)
        store->inner->driver = lmdb;
    store->super.parts = plan.parts;
    *out = &store->super;
    return rv;
}

static apr_status_t faulty_open(idem_store *store, apr_pool_t *pool, const char **why)
{
    store->max_value = plan.max_value;
    store->flags = plan.flags;
    *why = plan.why;
    return plan.open ? plan.open : inner_of(store)->driver->open(inner_of(store), pool, why);
}

static apr_status_t faulty_attach(idem_store *store, apr_pool_t *pool, const char **why)
{
    apr_status_t rv = plan.attach;

    count.attaches++;
    if (plan.in_attach) {
        pthread_barrier_wait(plan.in_attach);
        pthread_barrier_wait(plan.in_attach);
    }
    *why = plan.why ? apr_pstrdup(pool, plan.why) : NULL;
    if (rv == APR_SUCCESS)
        rv = inner_of(store)->driver->attach(inner_of(store), pool, why);
    store->owner = inner_of(store)->owner;
    return rv;
}

static void faulty_detach(idem_store *store)
{
    count.detaches++;
    inner_of(store)->driver->detach(inner_of(store));
}

/* Notes the call; the planned answer for it, APR_SUCCESS for none. */
static apr_status_t arrive(idem_call *call, const unsigned char *slot)
{
    int number = atomic_fetch_add(&count.calls, 1), hang = number - plan.hang_from;
    apr_status_t answer;

    count.deadline = call->deadline;
    apr_sleep(plan.slow);
    if (hang >= 0 && hang < plan.hangs) {
        pthread_barrier_t *gate = &plan.in_call[hang]; /* the plan may change while it hangs */

        pthread_barrier_wait(gate);
        pthread_barrier_wait(gate);
    }
    answer = number < plan.answers ? plan.answer[number] : plan.always;
    if (plan.parts && slot[0] % 2 == 0)
        answer = APR_SUCCESS;
    if (answer)
        call->why = plan.why;
    return answer;
}

static apr_status_t faulty_claim(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value,
                                 idem_found *found)
{
    idem_store *inner = inner_of(store);
    apr_status_t answer = arrive(call, slot);

    if (!answer || plan.denied) {
        apr_status_t rv = inner->driver->claim(inner, call, slot, value, found);
        return answer ? answer : rv;
    }
    found->value = plan.found;
    return answer;
}

static apr_status_t faulty_takeover(idem_store *store, idem_call *call, const unsigned char *slot,
                                    const unsigned char *seen, idem_blob value)
{
    idem_store *inner = inner_of(store);
    apr_status_t answer = arrive(call, slot), rv = answer;

    if (!answer || plan.denied)
        rv = inner->driver->takeover(inner, call, slot, seen, value);
    return answer ? answer : rv;
}

static apr_status_t faulty_renew(idem_store *store, idem_call *call, const unsigned char *slot,
                                 const unsigned char *token)
{
    apr_status_t answer = arrive(call, slot);
    return answer ? answer : inner_of(store)->driver->renew(inner_of(store), call, slot, token);
}

static apr_status_t faulty_settle(idem_store *store, idem_call *call, const unsigned char *slot, idem_blob value)
{
    apr_status_t answer = arrive(call, slot);
    return answer ? answer : inner_of(store)->driver->settle(inner_of(store), call, slot, value);
}

static apr_status_t faulty_release(idem_store *store, idem_call *call, const unsigned char *slot,
                                   const unsigned char *token)
{
    apr_status_t answer = arrive(call, slot);
    return answer ? answer : inner_of(store)->driver->release(inner_of(store), call, slot, token);
}

static apr_status_t faulty_fetch(idem_store *store, idem_call *call, const unsigned char *slot, idem_found *found)
{
    apr_status_t answer = arrive(call, slot);

    memcpy(count.fetched, slot, IDEM_SLOT_LEN);
    if (plan.reads)
        answer = APR_SUCCESS;
    if (answer || !plan.found.data)
        return answer ? answer : inner_of(store)->driver->fetch(inner_of(store), call, slot, found);
    found->value = plan.found;
    return APR_SUCCESS;
}

static apr_status_t faulty_sweep(idem_store *store, idem_call *call, int most, int *removed)
{
    apr_status_t answer = arrive(call, (const unsigned char *)"");
    return answer ? answer : inner_of(store)->driver->sweep(inner_of(store), call, most, removed);
}

static int faulty_part(const idem_store *store, const unsigned char *slot)
{
    (void)store;
    return slot[0] % 2;
}

const idem_driver faulty_driver = {
    .scheme = "faulty",
    .configure = faulty_configure,
    .open = faulty_open,
    .attach = faulty_attach,
    .detach = faulty_detach,
    .claim = faulty_claim,
    .takeover = faulty_takeover,
    .renew = faulty_renew,
    .settle = faulty_settle,
    .release = faulty_release,
    .fetch = faulty_fetch,
    .sweep = faulty_sweep,
    .part = faulty_part,
};

static const idem_driver *find_faulty(const char *scheme)
{
    return strcmp(scheme, faulty_driver.scheme) == 0 ? &faulty_driver : NULL;
}

/* ---- fixture --------------------------------------------------------------------------------------------------- */

const char *const no_options[] = {NULL};

void observe(void *baton, idem_op op, apr_status_t status, apr_interval_time_t took)
{
    bench *b = baton;
    b->observed++;
    b->op = op;
    b->status = status;
    b->took = took;
}

idem_head head_for(bench *b, unsigned char slot)
{
    idem_head head;
    memset(&head, 0, sizeof(head));
    head.ttl = apr_time_from_sec(60);
    head.lease = apr_time_from_sec(5);
    head.attempt = 1;
    memset(head.slot, slot, sizeof(head.slot));
    assert_int_equal(idem_front_lease(b->front, &head), APR_SUCCESS);
    return head;
}

/* A front over the faulty driver: opened, attached, observed. */
int set_up(void **state)
{
    bench *b = calloc(1, sizeof(*b));

    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&b->pool, NULL) != APR_SUCCESS)
        return -1;
    memset(&plan, 0, sizeof(plan));
    memset(&count, 0, sizeof(count));
    idem_registry_finder = find_faulty;
    strcpy(b->dir, "/tmp/idem-front-XXXXXX");
    if (!mkdtemp(b->dir))
        return -1;
    b->env.state_dir = b->env.run_dir = b->dir;
    b->env.uid = getuid();
    b->env.gid = getgid();
    b->env.processes = b->env.threads = 8;
    *state = b;
    return idem_front_configure(&b->front, &b->env, "faulty:store", no_options, b->pool, &b->why);
}

void open_and_attach(bench *b)
{
    assert_int_equal(idem_front_open(b->front, b->pool, &b->why), APR_SUCCESS);
    assert_int_equal(idem_front_attach(b->front, b->pool, &b->why), APR_SUCCESS);
    assert_null(b->why);
    idem_front_set_observer(b->front, observe, b);
    b->head = head_for(b, 1);
}

int set_up_attached(void **state)
{
    if (set_up(state) != 0)
        return -1;
    open_and_attach(*state);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

int tear_down(void **state)
{
    bench *b = *state;
    idem_front_detach(b->front);
    nftw(b->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    apr_pool_destroy(b->pool);
    free(b);
    apr_terminate();
    return 0;
}

void answer_with(apr_status_t first, apr_status_t second)
{
    plan.answer[0] = first;
    plan.answer[1] = second;
    plan.answers = 2;
    count.calls = 0;
}

apr_status_t claim(bench *b)
{
    b->why = "untouched";
    return idem_front_claim(b->front, &b->head, b->pool, &b->seen, &b->why);
}
