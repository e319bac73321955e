/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe.c - a store's driver on a leash: reads operations from its input, a line each, and says what came of them.
 *
 *   probe [-t MILLISECONDS] URL [OPTION=VALUE...]      -t: what the driver is told of a call's timeout
 *
 *   within MS                    the deadline of the calls that follow (10000)
 *   life TTL LEASE               milliseconds, of the values that follow (3600000 60000)
 *   open | attach | detach | status | each
 *   claim SLOT TOKEN | takeover SLOT SEEN TOKEN | settle SLOT TOKEN STATE
 *   settle-large SLOT TOKEN STATE (a megabyte) | settle-sized SLOT TOKEN STATE BYTES
 *   renew SLOT TOKEN | release SLOT TOKEN | fetch SLOT | forget SLOT
 *
 * Slots and tokens are numbers; a state is one of idem_state's. An answer is "STATUS MICROSECONDS | DETAILS | WHY". For
 * tests that stop, cut off and replace the server behind a driver, which are written where that is easy.
 */
#include "conformance_kit.h"
#include "front.h"

#include <apr_general.h>
#include <apr_strings.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAMILY 900

typedef struct probe {
    idem_store *store;
    const idem_driver *driver;
    apr_pool_t *pool, *line; /* the process's, and one line's */
    apr_interval_time_t within;
    unsigned long ttl, lease; /* milliseconds */
    idem_call call;
    unsigned long number[4]; /* of the line's words behind the first */
    const char *details;
} probe;

static idem_blob value_of(probe *p, idem_state state, const kit_name *slot, const kit_name *token, apr_size_t len)
{
    kit_value v = {state, slot->bytes, token->bytes, p->store->owner, p->ttl, len};
    idem_blob value = kit_make(&v, p->line);
    idem_put((unsigned char *)(apr_uintptr_t)value.data + 16, p->lease, 4);
    return value;
}

static unsigned long number_of_token(const unsigned char *token)
{
    for (unsigned long i = 0; i < 10000; i++) {
        kit_name name = kit_token(FAMILY, i);
        if (memcmp(name.bytes, token, IDEM_TOKEN_LEN) == 0)
            return i;
    }
    return 10000;
}

static void describe(probe *p, const idem_found *found)
{
    if (!idem_value_plausible(found->value))
        p->details = "damaged";
    else
        p->details = apr_psprintf(p->line, "state=%d token=%lu length=%lu dead=%d", (int)idem_value_state(found->value),
                                  number_of_token(idem_value_token(found->value)), (unsigned long)found->value.len,
                                  found->owner_dead);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static apr_status_t do_within(probe *p)
{
    p->within = apr_time_from_msec(p->number[0]);
    return APR_SUCCESS;
}

static apr_status_t do_life(probe *p)
{
    p->ttl = p->number[0];
    p->lease = p->number[1];
    return APR_SUCCESS;
}

static apr_status_t do_open(probe *p)
{
    apr_status_t rv = p->driver->open(p->store, p->pool, &p->call.why);
    p->details =
        apr_psprintf(p->line, "flags=%s%s%s warning=%s", p->store->flags & IDEM_EVICTS ? "evicts," : "",
                     p->store->flags & IDEM_VOLATILE ? "volatile," : "",
                     p->store->flags & IDEM_OFFLINE ? "offline" : "", p->store->warning ? p->store->warning : "none");
    return rv;
}

static apr_status_t do_attach(probe *p)
{
    return p->driver->attach(p->store, p->pool, &p->call.why);
}

static apr_status_t do_detach(probe *p)
{
    p->driver->detach(p->store);
    return APR_SUCCESS;
}

static apr_status_t do_status(probe *p)
{
    idem_store_status status = {0};
    apr_status_t rv = p->driver->status(p->store, &p->call, &status);
    p->details = apr_psprintf(p->line, "known=%d entries=%lu %s", status.entries_known, (unsigned long)status.entries,
                              status.text ? status.text : "");
    return rv;
}

static int count(void *baton, const unsigned char *slot, const idem_found *found)
{
    (void)slot, (void)found;
    ++*(int *)baton;
    return 1;
}

static apr_status_t do_each(probe *p)
{
    int visits = 0;
    apr_status_t rv = p->driver->each(p->store, &p->call, count, &visits);
    p->details = apr_psprintf(p->line, "visits=%d", visits);
    return rv;
}

static apr_status_t do_claim(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]), token = kit_token(FAMILY, p->number[1]);
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = p->driver->claim(p->store, &p->call, slot.bytes,
                                       value_of(p, IDEM_STATE_LEASE, &slot, &token, KIT_SMALL), &found);
    if (rv == APR_EEXIST)
        describe(p, &found);
    return rv;
}

static apr_status_t do_takeover(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]), seen = kit_token(FAMILY, p->number[1]);
    kit_name token = kit_token(FAMILY, p->number[2]);
    return p->driver->takeover(p->store, &p->call, slot.bytes, seen.bytes,
                               value_of(p, IDEM_STATE_LEASE, &slot, &token, KIT_SMALL));
}

static apr_status_t settle(probe *p, apr_size_t len)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]), token = kit_token(FAMILY, p->number[1]);
    return p->driver->settle(p->store, &p->call, slot.bytes, value_of(p, (idem_state)p->number[2], &slot, &token, len));
}

static apr_status_t do_settle(probe *p)
{
    return settle(p, KIT_SMALL);
}

static apr_status_t do_settle_large(probe *p)
{
    return settle(p, 1000000);
}

static apr_status_t do_settle_sized(probe *p)
{
    return settle(p, p->number[3]);
}

static apr_status_t do_renew(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]), token = kit_token(FAMILY, p->number[1]);
    return p->driver->renew(p->store, &p->call, slot.bytes, token.bytes);
}

static apr_status_t do_release(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]), token = kit_token(FAMILY, p->number[1]);
    return p->driver->release(p->store, &p->call, slot.bytes, token.bytes);
}

static apr_status_t do_fetch(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]);
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = p->driver->fetch(p->store, &p->call, slot.bytes, &found);
    if (rv == APR_SUCCESS)
        describe(p, &found);
    return rv;
}

static apr_status_t do_forget(probe *p)
{
    kit_name slot = kit_slot(FAMILY, p->number[0]);
    return p->driver->forget(p->store, &p->call, slot.bytes);
}

static const struct {
    const char *name;
    apr_status_t (*run)(probe *p);
} operations[] = {
    {"within", do_within},
    {"life", do_life},
    {"open", do_open},
    {"attach", do_attach},
    {"detach", do_detach},
    {"status", do_status},
    {"each", do_each},
    {"claim", do_claim},
    {"takeover", do_takeover},
    {"settle", do_settle},
    {"settle-large", do_settle_large},
    {"settle-sized", do_settle_sized},
    {"renew", do_renew},
    {"release", do_release},
    {"fetch", do_fetch},
    {"forget", do_forget},
};

/* ---- lines ------------------------------------------------------------------------------------------------------- */

static apr_status_t run_line(probe *p, char *line)
{
    char *rest, *name = apr_strtok(line, " \n", &rest), *word;

    memset(p->number, 0, sizeof(p->number));
    for (int i = 0; i < 4 && (word = apr_strtok(NULL, " \n", &rest)) != NULL; i++)
        p->number[i] = strtoul(word, NULL, 10);
    for (size_t i = 0; name && i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].name, name) == 0)
            return operations[i].run(p);
    fprintf(stderr, "probe: no operation \"%s\"\n", name ? name : "");
    exit(2);
}

static void run_all(probe *p)
{
    char line[200];

    while (fgets(line, sizeof(line), stdin)) {
        apr_time_t asked = kit_clock();
        apr_status_t rv;

        p->call.pool = p->line;
        p->call.deadline = apr_time_now() + p->within;
        p->call.why = NULL;
        p->details = "";
        rv = run_line(p, line);
        printf("%s %ld | %s | %s\n", kit_status(rv), (long)(kit_clock() - asked), p->details,
               p->call.why ? p->call.why : "");
        fflush(stdout);
        apr_pool_clear(p->line);
    }
}

static int configure(probe *p, const idem_env *env, const char *url, const char *const *options)
{
    const char *names, *why = NULL, *colon = strchr(url, ':');

    p->driver =
        colon ? idem_registry_find(apr_pstrmemdup(p->pool, url, (apr_size_t)(colon - url)), &names, p->pool) : NULL;
    if (!p->driver) {
        printf("no driver\n");
        return 0;
    }
    if (p->driver->configure(&p->store, env, colon + 1, options, p->pool, &why) == APR_SUCCESS)
        return 1;
    printf("%s\n", why ? why : "no reason");
    return 0;
}

int main(int argc, char **argv)
{
    static idem_env env = {.run_dir = "/tmp", .processes = 16, .threads = 16};
    probe p = {.within = KIT_CALL_TIME, .ttl = KIT_LONG, .lease = 60000};
    int letter;

    while ((letter = getopt(argc, argv, "t:")) == 't')
        env.timeout = apr_time_from_msec(atoi(optarg));
    if (optind >= argc || apr_initialize() != APR_SUCCESS || apr_pool_create(&p.pool, NULL) != APR_SUCCESS)
        return 2;
    apr_pool_create(&p.line, p.pool);
    if (!configure(&p, &env, argv[optind], (const char *const *)argv + optind + 1))
        return 1;
    printf("configured\n");
    fflush(stdout);
    run_all(&p);
    return 0;
}
