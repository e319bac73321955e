/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.c - parses Idempotency-Control: no-store, ttl=SECONDS.
 *
 * Called by the recorder when a response is complete, and where it is only watched, as it leaves. Unknown and malformed
 * members are counted, not obeyed.
 */
#include "control.h"

#include "problem.h"

#include <string.h>

#include <apr_lib.h>
#include <apr_cstr.h>
#include <apr_strings.h>

typedef struct reader {
    idem_control *control;
    apr_interval_time_t max_ttl;
    apr_pool_t *pool;
} reader;

static int read_ttl(const char *digits, apr_interval_time_t max_ttl, apr_interval_time_t *ttl)
{
    apr_int64_t seconds = 0;

    if (!*digits)
        return 0;
    for (; *digits; digits++) {
        if (!apr_isdigit(*digits) || seconds > max_ttl)
            return 0;
        seconds = seconds * 10 + (*digits - '0');
    }
    if (seconds < 1 || seconds > apr_time_sec(max_ttl))
        return 0;
    *ttl = apr_time_from_sec(seconds);
    return 1;
}

static int read_control_field(void *baton, const char *name, const char *value)
{
    reader *reading = baton;
    char *list = apr_pstrdup(reading->pool, value), *state, *member;

    (void)name;
    for (member = apr_strtok(list, ",", &state); member; member = apr_strtok(NULL, ",", &state)) {
        apr_interval_time_t ttl;

        apr_collapse_spaces(member, member);
        if (!apr_cstr_casecmp(member, "no-store")) {
            reading->control->no_store = 1;
            reading->control->ttl = 0;
        }
        else if (!apr_cstr_casecmpn(member, "ttl=", 4) && read_ttl(member + 4, reading->max_ttl, &ttl)) {
            reading->control->no_store = 0;
            reading->control->ttl = ttl;
        }
        else if (*member) {
            reading->control->invalid++;
        }
    }
    return 1;
}

/* Another guard's word that nothing was done, whatever its store: see IDEM_PROBLEM_IN_PROGRESS and the others in
 * core/problem.c. */
static int read_error(void *baton, const char *name, const char *value)
{
    static const idem_problem undone[] = {IDEM_PROBLEM_IN_PROGRESS, IDEM_PROBLEM_STORE_UNAVAILABLE,
                                          IDEM_PROBLEM_TOO_MANY_KEYS, IDEM_PROBLEM_KEY_UNKNOWN,
                                          IDEM_PROBLEM_LOOKUP_UNAVAILABLE};
    reader *reading = baton;

    (void)name;
    for (size_t i = 0; i < sizeof(undone) / sizeof(*undone); i++)
        if (!strcmp(value, idem_problem_info_of(undone[i])->name)) {
            reading->control->no_store = 1;
            reading->control->ttl = 0;
        }
    return 1;
}

void idem_control_read(const apr_table_t *fields, const apr_table_t *errors, apr_interval_time_t max_ttl,
                       apr_pool_t *pool, idem_control *control)
{
    reader reading;

    memset(control, 0, sizeof(*control));
    reading = (reader){control, max_ttl, pool};
    apr_table_do(read_control_field, &reading, fields, IDEM_CONTROL_HEADER, NULL);
    apr_table_do(read_control_field, &reading, errors, IDEM_CONTROL_HEADER, NULL);
    apr_table_do(read_error, &reading, fields, IDEM_ERROR_HEADER, NULL);
    apr_table_do(read_error, &reading, errors, IDEM_ERROR_HEADER, NULL);
}
