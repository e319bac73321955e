/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logline.c - a line of the access log as one JSON object.
 *
 * Called by mod_log_config for each %^IJ of a format, when a request has ended. A client's words would not be safe in
 * JSON that an administrator writes into a LogFormat: httpd escapes them by \xhh, which JSON does not know. So the
 * whole object is made here, and each text in it goes through idem_json_escaped(). The key is in no field, nor is the
 * query, where a key may be. Requests that are not guarded have the same fields, with null in those of the module.
 */
#include "logline.h"

#include "text.h"
#include "txn.h"

#include <apr_escape.h>
#include <apr_lib.h>
#include <apr_strings.h>
#include <http_core.h>
#include <http_protocol.h>
#include <mod_log_config.h>

#define TAG "^IJ"
#define TRACE_ID 32
#define PARENT_ID 16

static const char *json_string(const char *text, apr_pool_t *pool)
{
    return text ? apr_pstrcat(pool, "\"", idem_json_escaped(text, pool), "\"", NULL) : "null";
}

static const char *json_number(apr_int64_t number, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%" APR_INT64_T_FMT, number);
}

/* ---- traceparent (W3C Trace Context, level 1) -------------------------------------------------------------------- */

/* len hexadecimal digits, lower case, not all of them zero. */
static int is_trace_number(const char *text, int len)
{
    int zeros = 0;

    for (int i = 0; i < len; i++) {
        if (!apr_isdigit(text[i]) && (text[i] < 'a' || text[i] > 'f'))
            return 0;
        zeros += text[i] == '0';
    }
    return zeros < len;
}

/* version-traceid-parentid-flags. A later version may have more behind that; this one may not. */
static int trace_ids(const idem_asked *asked, const char **trace, const char **parent)
{
    const char *field = idem_header_joined(asked, "traceparent", ",");
    apr_pool_t *pool = asked->r->pool;
    apr_size_t len = field ? strlen(field) : 0;

    *trace = *parent = NULL;
    if (len < 55 || field[2] != '-' || field[35] != '-' || field[52] != '-' || !strncmp(field, "ff", 2))
        return 0;
    if (!apr_isxdigit(field[0]) || !apr_isxdigit(field[1]) || !apr_isxdigit(field[53]) || !apr_isxdigit(field[54]))
        return 0;
    if (len > 55 && (!strncmp(field, "00", 2) || field[55] != '-'))
        return 0;
    if (!is_trace_number(field + 3, TRACE_ID) || !is_trace_number(field + 36, PARENT_ID))
        return 0;
    *trace = apr_pstrmemdup(pool, field + 3, TRACE_ID);
    *parent = apr_pstrmemdup(pool, field + 36, PARENT_ID);
    return 1;
}

/* ---- the object -------------------------------------------------------------------------------------------------- */

/* The request as the client sent it; the answer as it left. */
static const char *request_fields(const idem_asked *asked, const request_rec *last)
{
    request_rec *first = asked->first;
    apr_pool_t *pool = last->pool;
    const char *path = apr_pstrmemdup(pool, (const char *)asked->path.data, asked->path.len), *trace, *parent;

    trace_ids(asked, &trace, &parent);
    return apr_pstrcat(
        pool, "{\"time\":", json_string(idem_time_text(first->request_time, pool), pool),
        ",\"client\":", json_string(first->useragent_ip, pool), ",\"user\":", json_string(first->user, pool),
        ",\"host\":", json_string(ap_get_server_name(first), pool), ",\"method\":", json_string(asked->method, pool),
        ",\"path\":", json_string(path, pool), ",\"protocol\":", json_string(first->protocol, pool),
        ",\"status\":", json_number(last->status, pool), ",\"bytes\":", json_number(last->bytes_sent, pool),
        ",\"duration_us\":", json_number(apr_time_now() - first->request_time, pool),
        ",\"trace_id\":", json_string(trace, pool), ",\"parent_id\":", json_string(parent, pool), NULL);
}

/* Of an execution its own, of a replay the record's; 0: neither. */
static apr_uint32_t attempt_of(const idem_txn *txn)
{
    if (txn->outcome == IDEM_OUTCOME_EXECUTED)
        return txn->head.attempt;
    return txn->outcome == IDEM_OUTCOME_REPLAYED ? txn->seen.head.attempt : 0;
}

static const char *module_fields(const idem_txn *txn, apr_pool_t *pool)
{
    apr_uint32_t attempt = attempt_of(txn);

    return apr_pstrcat(
        pool, ",\"outcome\":", json_string(txn->outcome ? idem_txn_outcome_text(txn) : NULL, pool),
        ",\"settlement\":", json_string(txn->settlement ? idem_settlement_word(txn->settlement) : NULL, pool),
        ",\"slot\":", json_string(txn->slot_name[0] == '-' ? NULL : txn->slot_name, pool),
        ",\"attempt\":", attempt ? json_number(attempt, pool) : "null", ",\"wait_us\":", json_number(txn->waited, pool),
        ",\"store_us\":", json_number(txn->stored, pool), ",\"first_at\":", json_string(txn->first_at, pool), NULL);
}

/* %{User-Agent Referer}^IJ: the request fields of these names, those that are not there as null. */
static const char *named_fields(const idem_asked *asked, const char *names)
{
    apr_pool_t *pool = asked->r->pool;
    const char *fields = NULL;
    char *state, *name;

    for (name = apr_strtok(apr_pstrdup(pool, names), " ,", &state); name; name = apr_strtok(NULL, " ,", &state))
        fields = apr_pstrcat(pool, fields ? fields : "", fields ? "," : "", json_string(name, pool), ":",
                             json_string(idem_header_joined(asked, name, ", "), pool), NULL);
    return fields ? apr_pstrcat(pool, ",\"fields\":{", fields, "}}", NULL) : "}";
}

static const char *log_line(request_rec *r, char *names)
{
    static const char nothing[] = ",\"outcome\":null,\"settlement\":null,\"slot\":null,\"attempt\":null,"
                                  "\"wait_us\":null,\"store_us\":null,\"first_at\":null";
    const idem_txn *txn = idem_txn_of(r);
    const request_rec *last = r;
    idem_asked asked;

    while (last->next)
        last = last->next;
    idem_asked_of(r, &asked);
    return apr_pstrcat(r->pool, request_fields(&asked, last), txn ? module_fields(txn, r->pool) : nothing,
                       named_fields(&asked, names), NULL);
}

void idem_logline_register(apr_pool_t *pconf)
{
    APR_OPTIONAL_FN_TYPE(ap_register_log_handler) *add = APR_RETRIEVE_OPTIONAL_FN(ap_register_log_handler);

    if (add)
        add(pconf, (char *)(apr_uintptr_t)TAG, log_line, 0);
}
