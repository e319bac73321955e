/* SPDX-License-Identifier: Apache-2.0 */
/*
 * driven.c - a store's driver on a leash: reads operations from its input, a line each, and says what came of them.
 *
 *   driven [-t MILLISECONDS] URL [OPTION=VALUE...]      -t: what the driver is told of a call's timeout
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

typedef struct driven {
    idem_store *store;
    const idem_driver *driver;
    apr_pool_t *pool, *line; /* the process's, and one line's */
    apr_interval_time_t within;
    unsigned long ttl, lease; /* milliseconds */
    idem_call call;
    unsigned long number[4]; /* of the line's words behind the first */
    const char *details;
} driven;

static idem_blob value_of(driven *d, idem_state state, const kit_name *slot, const kit_name *token, apr_size_t len)
{
    kit_value v = {state, slot->bytes, token->bytes, d->store->owner, d->ttl, len};
    idem_blob value = kit_make(&v, d->line);
    idem_put((unsigned char *)(apr_uintptr_t)value.data + 16, d->lease, 4);
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

static void describe(driven *d, const idem_found *found)
{
    if (!idem_value_plausible(found->value))
        d->details = "damaged";
    else
        d->details = apr_psprintf(d->line, "state=%d token=%lu length=%lu dead=%d", (int)idem_value_state(found->value),
                                  number_of_token(idem_value_token(found->value)), (unsigned long)found->value.len,
                                  found->owner_dead);
}

/* ---- operations -------------------------------------------------------------------------------------------------- */

static apr_status_t do_within(driven *d)
{
    d->within = apr_time_from_msec(d->number[0]);
    return APR_SUCCESS;
}

static apr_status_t do_life(driven *d)
{
    d->ttl = d->number[0];
    d->lease = d->number[1];
    return APR_SUCCESS;
}

static apr_status_t do_open(driven *d)
{
    apr_status_t rv = d->driver->open(d->store, d->pool, &d->call.why);
    d->details =
        apr_psprintf(d->line, "flags=%s%s%s warning=%s", d->store->flags & IDEM_EVICTS ? "evicts," : "",
                     d->store->flags & IDEM_VOLATILE ? "volatile," : "",
                     d->store->flags & IDEM_OFFLINE ? "offline" : "", d->store->warning ? d->store->warning : "none");
    return rv;
}

static apr_status_t do_attach(driven *d)
{
    return d->driver->attach(d->store, d->pool, &d->call.why);
}

static apr_status_t do_detach(driven *d)
{
    d->driver->detach(d->store);
    return APR_SUCCESS;
}

static apr_status_t do_status(driven *d)
{
    idem_store_status status = {0};
    apr_status_t rv = d->driver->status(d->store, &d->call, &status);
    d->details = apr_psprintf(d->line, "known=%d entries=%lu %s", status.entries_known, (unsigned long)status.entries,
                              status.text ? status.text : "");
    return rv;
}

static int count(void *baton, const unsigned char *slot, const idem_found *found)
{
    (void)slot, (void)found;
    ++*(int *)baton;
    return 1;
}

static apr_status_t do_each(driven *d)
{
    int visits = 0;
    apr_status_t rv = d->driver->each(d->store, &d->call, count, &visits);
    d->details = apr_psprintf(d->line, "visits=%d", visits);
    return rv;
}

static apr_status_t do_claim(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]), token = kit_token(FAMILY, d->number[1]);
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = d->driver->claim(d->store, &d->call, slot.bytes,
                                       value_of(d, IDEM_STATE_LEASE, &slot, &token, KIT_SMALL), &found);
    if (rv == APR_EEXIST)
        describe(d, &found);
    return rv;
}

static apr_status_t do_takeover(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]), seen = kit_token(FAMILY, d->number[1]);
    kit_name token = kit_token(FAMILY, d->number[2]);
    return d->driver->takeover(d->store, &d->call, slot.bytes, seen.bytes,
                               value_of(d, IDEM_STATE_LEASE, &slot, &token, KIT_SMALL));
}

static apr_status_t settle(driven *d, apr_size_t len)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]), token = kit_token(FAMILY, d->number[1]);
    return d->driver->settle(d->store, &d->call, slot.bytes, value_of(d, (idem_state)d->number[2], &slot, &token, len));
}

static apr_status_t do_settle(driven *d)
{
    return settle(d, KIT_SMALL);
}

static apr_status_t do_settle_large(driven *d)
{
    return settle(d, 1000000);
}

static apr_status_t do_settle_sized(driven *d)
{
    return settle(d, d->number[3]);
}

static apr_status_t do_renew(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]), token = kit_token(FAMILY, d->number[1]);
    return d->driver->renew(d->store, &d->call, slot.bytes, token.bytes);
}

static apr_status_t do_release(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]), token = kit_token(FAMILY, d->number[1]);
    return d->driver->release(d->store, &d->call, slot.bytes, token.bytes);
}

static apr_status_t do_fetch(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]);
    idem_found found = {{NULL, 0}, 0, 0, 0};
    apr_status_t rv = d->driver->fetch(d->store, &d->call, slot.bytes, &found);
    if (rv == APR_SUCCESS)
        describe(d, &found);
    return rv;
}

static apr_status_t do_forget(driven *d)
{
    kit_name slot = kit_slot(FAMILY, d->number[0]);
    return d->driver->forget(d->store, &d->call, slot.bytes);
}

static const struct {
    const char *name;
    apr_status_t (*run)(driven *d);
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

static apr_status_t run_line(driven *d, char *line)
{
    char *rest, *name = apr_strtok(line, " \n", &rest), *word;

    memset(d->number, 0, sizeof(d->number));
    for (int i = 0; i < 4 && (word = apr_strtok(NULL, " \n", &rest)) != NULL; i++)
        d->number[i] = strtoul(word, NULL, 10);
    for (size_t i = 0; name && i < sizeof(operations) / sizeof(operations[0]); i++)
        if (strcmp(operations[i].name, name) == 0)
            return operations[i].run(d);
    fprintf(stderr, "driven: no operation \"%s\"\n", name ? name : "");
    exit(2);
}

static void run_all(driven *d)
{
    char line[200];

    while (fgets(line, sizeof(line), stdin)) {
        apr_time_t asked = kit_clock();
        apr_status_t rv;

        d->call.pool = d->line;
        d->call.deadline = apr_time_now() + d->within;
        d->call.why = NULL;
        d->details = "";
        rv = run_line(d, line);
        printf("%s %ld | %s | %s\n", kit_status(rv), (long)(kit_clock() - asked), d->details,
               d->call.why ? d->call.why : "");
        fflush(stdout);
        apr_pool_clear(d->line);
    }
}

static int configure(driven *d, const idem_env *env, const char *url, const char *const *options)
{
    const char *names, *why = NULL, *colon = strchr(url, ':');

    d->driver =
        colon ? idem_registry_find(apr_pstrmemdup(d->pool, url, (apr_size_t)(colon - url)), &names, d->pool) : NULL;
    if (!d->driver) {
        printf("no driver\n");
        return 0;
    }
    if (d->driver->configure(&d->store, env, colon + 1, options, d->pool, &why) == APR_SUCCESS)
        return 1;
    printf("%s\n", why ? why : "no reason");
    return 0;
}

int main(int argc, char **argv)
{
    static idem_env env = {.run_dir = "/tmp", .processes = 16, .threads = 16};
    driven d = {.within = apr_time_from_sec(10), .ttl = KIT_LONG, .lease = 60000};
    int letter;

    while ((letter = getopt(argc, argv, "t:")) == 't')
        env.timeout = apr_time_from_msec(atoi(optarg));
    if (optind >= argc || apr_initialize() != APR_SUCCESS || apr_pool_create(&d.pool, NULL) != APR_SUCCESS)
        return 2;
    apr_pool_create(&d.line, d.pool);
    if (!configure(&d, &env, argv[optind], (const char *const *)argv + optind + 1))
        return 1;
    printf("configured\n");
    fflush(stdout);
    run_all(&d);
    return 0;
}
