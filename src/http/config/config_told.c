/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_told.c - directives about what clients are told: words of the form PROBLEM=VALUE, and the age of keys.
 *
 * Called by config.c as config_set.c is; idem_told_number() by whoever answers a request. A word is kept in one
 * spelling, "NAME=NUMBER". If a problem has several, the last counts, so an inner section may append its own with "+".
 */
#include "config_options.h"
#include "keytime.h"
#include "problem.h"
#include "told.h"

#include <string.h>
#include <strings.h>

#include <apr_strings.h>
#include <http_protocol.h>

#define AS_BEFORE "; PROBLEM is the name of one of the module's answers"

/* The text after "NAME=" of a problem; NULL for any other word. */
static const char *behind_problem(const char *word)
{
    const char *equals = strchr(word, '=');

    if (!equals || idem_problem_named(word, (apr_size_t)(equals - word)) == IDEM_PROBLEM_NONE)
        return NULL;
    return equals + 1;
}

static const char *keep_number(apr_pool_t *pool, const char *word, const char *behind, apr_int64_t number)
{
    return apr_psprintf(pool, "%.*s%" APR_INT64_T_FMT, (int)(behind - word), word, number);
}

/* httpd answers 500 in the place of a status that it has no words for. */
static int is_known_refusal(const char *status)
{
    return strlen(status) == 3 && (*status == '4' || *status == '5') && strspn(status, "0123456789") == 3 &&
           !strncmp(ap_get_status_line(atoi(status)), status, 3);
}

const char *idem_check_problem_status(apr_pool_t *pool, const char *word, const char **kept)
{
    const char *status = behind_problem(word);

    *kept = word;
    if (status && is_known_refusal(status))
        return NULL;
    return apr_psprintf(pool, "takes PROBLEM=STATUS, a status of httpd's from 400 to 599, not \"%s\"" AS_BEFORE, word);
}

const char *idem_check_retry_after(apr_pool_t *pool, const char *word, const char **kept)
{
    const apr_int64_t most = 400 * APR_INT64_C(86400) * APR_USEC_PER_SEC;
    const char *value = behind_problem(word);
    apr_int64_t time = 0;

    *kept = word;
    if (value && (!strcasecmp(value, "off") ||
                  (idem_parse_duration(value, &time) && time >= APR_USEC_PER_SEC && time <= most))) {
        *kept = keep_number(pool, word, value, (time + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC);
        return NULL;
    }
    return apr_psprintf(pool, "takes PROBLEM=off or PROBLEM=DURATION between 1s and 400d, not \"%s\"" AS_BEFORE, word);
}

int idem_told_number(const apr_array_header_t *words, const char *name, int usual)
{
    apr_size_t len = strlen(name);

    for (int i = words->nelts - 1; i >= 0; i--) {
        const char *word = APR_ARRAY_IDX(words, i, const char *);

        if (!strncmp(word, name, len) && word[len] == '=')
            return atoi(word + len + 1);
    }
    return usual;
}

/* Fields that others own: one of ours in their place would break the response or hide what they say. */
static int is_owned(const char *name)
{
    static const char *const owned[] = {"Access-Control-Expose-Headers",
                                        "Age",
                                        "Cache-Control",
                                        "Cache-Status",
                                        "Connection",
                                        "Date",
                                        "ETag",
                                        "Expires",
                                        "Idempotency-Control",
                                        "Idempotency-Error",
                                        "Keep-Alive",
                                        "Last-Modified",
                                        "Link",
                                        "Location",
                                        "Retry-After",
                                        "Server",
                                        "Set-Cookie",
                                        "Trailer",
                                        "Transfer-Encoding",
                                        "Upgrade",
                                        "Vary",
                                        "WWW-Authenticate"};

    for (size_t i = 0; i < sizeof(owned) / sizeof(*owned); i++)
        if (!strcasecmp(name, owned[i]))
            return 1;
    return !strncasecmp(name, "Content-", strlen("Content-")) || !strncasecmp(name, "Proxy-", strlen("Proxy-"));
}

const char *idem_check_status_header(apr_pool_t *pool, const char *word, const char **kept)
{
    const char *wrong = idem_check_header(pool, word, kept);

    if (wrong || !is_owned(word))
        return wrong;
    return apr_psprintf(pool, "takes a header that HTTP and httpd do not use, not \"%s\"", word);
}

/* ---- the age of keys -------------------------------------------------------------------------------------------- */

static unsigned time_named(const char *word)
{
    static const struct {
        const char *word;
        unsigned flag;
    } known[] = {{"uuidv7", IDEM_KEYTIME_UUIDV7},
                 {"ulid", IDEM_KEYTIME_ULID},
                 {"first-sent", IDEM_KEYTIME_FIRST_SENT},
                 {"required", IDEM_KEYTIME_REQUIRED}};

    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (!strcasecmp(word, known[i].word))
            return known[i].flag;
    return 0;
}

/* Who names no time means each of them. */
const char *idem_set_key_age(cmd_parms *cmd, const idem_option *option, const idem_words *words, idem_layer *one)
{
    unsigned times = 0;

    if (words->count == 1 && !strcasecmp(words->word[0], "none"))
        return NULL; /* an empty layer has no limit */
    if (!words->count)
        return "takes none, or a duration and any of uuidv7, ulid, first-sent and required";
    for (int i = 1; i < words->count; i++) {
        unsigned flag = time_named(words->word[i]);

        if (!flag)
            return apr_psprintf(cmd->pool, "takes uuidv7, ulid, first-sent and required after the duration, not \"%s\"",
                                words->word[i]);
        times |= flag;
    }
    one->here.key_times = times & IDEM_KEYTIME_ALL ? times : times | IDEM_KEYTIME_ALL;
    return idem_read_duration(cmd, option, words->word[0], &one->here.key_age);
}
