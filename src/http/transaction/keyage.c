/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keyage.c - how old a key is by its own time, and what follows from that.
 *
 * Called by the gate. The server's wall clock is compared with the client's. A client's clock may be ahead, and its key
 * must not outlive its record. So the bound is shorter than the record's life by as much as a clock may be ahead. A key
 * that is further ahead is refused.
 */
#include "keyage.h"

#include "keytime.h"

#include <apr_date.h>
#include <apr_strings.h>

#define FIRST_SENT "Repeatability-First-Sent"
#define SKEW_MOST apr_time_from_sec(5 * 60)

/* By how much a client's clock may be ahead. Where records live for minutes only, it has to be right. */
static apr_interval_time_t keyage_skew(const idem_settings *settings)
{
    return settings->ttl / 4 < SKEW_MOST ? settings->ttl / 4 : SKEW_MOST;
}

static apr_interval_time_t keyage_bound(const idem_settings *settings)
{
    apr_interval_time_t life = settings->ttl - keyage_skew(settings);

    return settings->key_age < life ? settings->key_age : life;
}

/*
 * An IMF-fixdate (RFC 9110, 5.6.7) and nothing else: a lenient reader would find a time that the client did not mean.
 */
static int is_fixdate(const char *text, apr_time_t *time)
{
    char again[APR_RFC822_DATE_LEN];

    *time = apr_date_parse_http(text);
    return *time != APR_DATE_BAD && apr_rfc822_date(again, *time) == APR_SUCCESS && !strcmp(again, text);
}

static idem_problem keyage_invalid(idem_txn *txn, const char *detail)
{
    txn->detail = detail;
    return IDEM_PROBLEM_KEY_INVALID;
}

/* The older of two times counts. */
static void note_time(apr_time_t *made, int *known, apr_time_t time)
{
    if (!*known || time < *made)
        *made = time;
    *known = 1;
}

idem_problem idem_keyage_read(idem_txn *txn)
{
    const idem_settings *settings = txn->settings;
    const char *sent =
        settings->key_times & IDEM_KEYTIME_FIRST_SENT ? idem_header_joined(&txn->asked, FIRST_SENT, ", ") : NULL;
    apr_time_t now = apr_time_now(), made = 0, time;
    int known = 0;

    if (!settings->key_age)
        return IDEM_PROBLEM_NONE;
    if (idem_key_time(txn->key, settings->key_times, &time)) {
        if (time > now + keyage_skew(settings))
            return keyage_invalid(txn, "The time in the key lies in the future. Nothing was executed.");
        note_time(&made, &known, time);
    }
    if (sent) {
        if (!is_fixdate(sent, &time))
            return keyage_invalid(txn, FIRST_SENT
                                  " is not one date of the form \"Sun, 06 Nov 1994 08:49:37 GMT\". Nothing was "
                                  "executed.");
        if (time > now + keyage_skew(settings))
            return keyage_invalid(txn, FIRST_SENT " lies in the future. Nothing was executed.");
        note_time(&made, &known, time);
    }
    if (!known && (settings->key_times & IDEM_KEYTIME_REQUIRED))
        return keyage_invalid(txn, "This resource accepts only keys that contain the time at which they were made. "
                                   "Nothing was executed.");
    txn->key_expired = known && now - made > keyage_bound(settings);
    return IDEM_PROBLEM_NONE;
}

static int refuse_expired(idem_txn *txn)
{
    txn->problem = IDEM_PROBLEM_KEY_EXPIRED;
    return 1;
}

int idem_keyage_spent(idem_txn *txn)
{
    const char *why = NULL;

    /* The claim reports what the store holds, or that it does not answer. */
    return txn->key_expired &&
           idem_front_fetch(txn->front, txn->head.slot, txn->r->pool, &txn->seen, &why) == APR_NOTFOUND &&
           refuse_expired(txn);
}

int idem_keyage_exceeded(idem_txn *txn)
{
    return txn->key_expired && txn->head.attempt == 1 && refuse_expired(txn);
}
