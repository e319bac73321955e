/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.c - the list of a store's entries, in parts, with filters.
 *
 * Called for list, verify, statistics and export. Memory stays bounded: a driver hands out a bounded number of entries
 * at a time, and each is looked at in a pool of its own.
 */
#include "ops.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>

/* One part under way. */
typedef struct part {
    idem_list *list;
    apr_pool_t *pool; /* of one entry */
    apr_time_t now;
    int is_behind; /* the entries with the prefix have been seen */
} part;

const char *idem_filter_prefix(idem_filter *filter, const char *digits)
{
    apr_size_t len = strlen(digits);
    char whole[2 * IDEM_SLOT_LEN + 1];

    if (!len || len > 2 * IDEM_SLOT_LEN || strspn(digits, "0123456789abcdefABCDEF") != len)
        return "is 1 to 64 hexadecimal digits, the first of a slot";
    memset(whole, '0', sizeof(whole) - 1);
    whole[sizeof(whole) - 1] = '\0';
    memcpy(whole, digits, len);
    apr_unescape_hex(filter->prefix, whole, APR_ESCAPE_STRING, 0, NULL);
    filter->prefix_digits = (int)len;
    return NULL;
}

/* As memcmp() of the digits that are given. */
static int compare_prefix(const idem_filter *filter, const unsigned char *slot)
{
    apr_size_t whole = (apr_size_t)filter->prefix_digits / 2;
    int order = memcmp(slot, filter->prefix, whole);

    if (order || filter->prefix_digits % 2 == 0)
        return order;
    return (slot[whole] >> 4) - (filter->prefix[whole] >> 4);
}

/* Where a list by slot begins: at the slot right before the prefix, if there is one. */
static void begin_at_prefix(idem_list *list)
{
    unsigned char before[IDEM_SLOT_LEN];
    int i = IDEM_SLOT_LEN - 1;

    memcpy(before, list->filter.prefix, IDEM_SLOT_LEN);
    while (i >= 0 && before[i] == 0)
        before[i--] = 0xff;
    if (i < 0)
        return; /* the prefix is nothing but zeros */
    before[i]--;
    apr_escape_hex(list->place, before, IDEM_SLOT_LEN, 0, NULL);
}

static int is_of_age(const idem_filter *filter, const idem_view *view, apr_time_t now)
{
    if (!filter->older_than && !filter->newer_than)
        return 1;
    if (!view->written)
        return 0;
    return (!filter->older_than || now - view->written >= filter->older_than) &&
           (!filter->newer_than || now - view->written < filter->newer_than);
}

static int visit_entry(void *baton, const unsigned char *slot, const idem_found *found)
{
    part *p = baton;
    const idem_filter *filter = &p->list->filter;
    idem_view view;
    int order = filter->prefix_digits ? compare_prefix(filter, slot) : 0;

    if (order > 0 && idem_front_pages_by_slot(p->list->front)) {
        p->is_behind = 1;
        return 0;
    }
    if (order)
        return 1;
    if (idem_front_is_own(slot)) {
        p->list->own++;
        return 1;
    }
    p->list->looked_at++;
    apr_pool_clear(p->pool);
    idem_view_make(p->list->front, slot, found, p->pool, &view);
    idem_view_tell(&view, p->list->again);
    if (view.replayed < filter->replayed_least)
        return 1;
    if ((filter->states && !(filter->states & 1U << view.state)) || !is_of_age(filter, &view, p->now))
        return 1;
    return p->list->viewer(p->list->baton, &view);
}

idem_done idem_list_part(idem_list *list, apr_pool_t *pool, const char **why)
{
    part p = {.list = list, .now = apr_time_now()};
    apr_pool_t *all;
    apr_status_t rv;

    if (!*list->place && list->filter.prefix_digits && idem_front_pages_by_slot(list->front))
        begin_at_prefix(list);
    apr_pool_create(&all, pool);
    apr_pool_create(&p.pool, all);
    rv = idem_front_page(list->front, list->place, all, visit_entry, &p, why);
    *why = apr_pstrdup(pool, *why);
    apr_pool_destroy(all);
    if (rv == APR_SUCCESS && p.is_behind)
        *list->place = '\0';
    return idem_done_of(rv);
}
