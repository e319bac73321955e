/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.c - one connection to a database: statements, and what comes back.
 *
 * The thread that owns the connection calls it. Statements are prepared at their first use. The scratch pool frees the
 * client library's results, before the connection. What always holds: values go as binary parameters, never as text of
 * a statement. At most SHOWN bytes of the database's own words are repeated. Limits: calls block, for as long as the
 * client library lets them: worker.c bounds them.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_buckets.h>
#include <apr_escape.h>
#include <apr_strings.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>

#define SHOWN 300

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static apr_status_t status_of(idem_dbd_fault fault)
{
    switch (fault) {
    case IDEM_DBD_LOST: return APR_ECONNRESET;
    case IDEM_DBD_AGAIN: return APR_EAGAIN;
    case IDEM_DBD_FULL: return IDEM_EFULL;
    case IDEM_DBD_TOO_BIG: return IDEM_ETOOBIG;
    case IDEM_DBD_DAMAGED: return IDEM_EDAMAGED;
    default: return APR_EGENERAL;
    }
}

/* What the database said first: the rest is hints. */
static apr_status_t statement_refused(idem_dbd_conn *conn, idem_call *call, int code)
{
    const idem_dbd_engine *engine = conn->access->config.engine;
    const char *said = apr_dbd_error(conn->access->driver, conn->handle, code);
    apr_size_t len = said ? strcspn(said, "\n") : 0;
    idem_dbd_fault fault = engine->fault(conn, code, said ? said : "");

    return idem_dbd_fail(conn->access, call, status_of(fault), "%s %s: %.*s", engine->title,
                         fault == IDEM_DBD_LOST ? "is lost" : "refused", (int)(len < SHOWN ? len : SHOWN),
                         said ? said : "");
}

/* ---- statements -------------------------------------------------------------------------------------------------- */

/* The parameters' places, as APR wants them. */
typedef struct binding {
    const void *places[4 * IDEM_DBD_PARAMS_MOST];
    int count;
    apr_size_t lengths[IDEM_DBD_PARAMS_MOST];
    apr_int64_t numbers[IDEM_DBD_PARAMS_MOST];
} binding;

static void bind_bytes(binding *b, int i, const void *data, apr_size_t len)
{
    b->lengths[i] = len;
    b->places[b->count++] = len ? data : "";
    b->places[b->count++] = &b->lengths[i];
    b->places[b->count++] = NULL; /* table and column, which only Oracle's driver wants */
    b->places[b->count++] = NULL;
}

static void bind_number(binding *b, int i, apr_int64_t number)
{
    b->numbers[i] = number;
    b->places[b->count++] = &b->numbers[i];
}

/* The last moment at which an order may be carried out, by the database's clock. */
static apr_int64_t last_moment(const idem_dbd_conn *conn)
{
    return apr_time_as_msec(conn->until) + conn->ahead;
}

static void bind_all(const idem_dbd_conn *conn, const char *letters, const idem_dbd_order *order, binding *b)
{
    int has_value = order->value.len > 0;

    b->count = 0;
    for (int i = 0; letters[i]; i++) {
        switch (letters[i]) {
        case 's': bind_bytes(b, i, order->slot, order->slot_len); break;
        case 't': bind_bytes(b, i, order->token, IDEM_TOKEN_LEN); break;
        case 'n': bind_bytes(b, i, order->seen, IDEM_TOKEN_LEN); break;
        case 'v': bind_bytes(b, i, order->value.data, order->value.len); break;
        case 'l': bind_number(b, i, has_value ? idem_value_lease(order->value) / 1000 : 0); break;
        case 'x': bind_number(b, i, has_value ? idem_value_ttl(order->value) / 1000 : 0); break;
        case 'i': bind_number(b, i, has_value ? (apr_int64_t)idem_value_state(order->value) : 0); break;
        case 'm': bind_number(b, i, last_moment(conn)); break;
        default: bind_number(b, i, order->most); break;
        }
    }
}

/* A statement that cannot be prepared has failed as one that cannot be carried out. */
static int prepare_statement(idem_dbd_conn *conn, idem_dbd_statement which)
{
    idem_dbd_access *access = conn->access;
    apr_dbd_prepared_t *prepared = NULL;
    int code;

    if (conn->prepared[which])
        return 0;
    code = apr_dbd_prepare(access->driver, conn->prepared_pool, conn->handle, access->texts[which],
                           apr_psprintf(conn->scratch, "idem_%d", (int)which), &prepared);
    if (code == 0)
        conn->prepared[which] = prepared;
    return code;
}

apr_status_t idem_dbd_prepare_all(idem_dbd_conn *conn, idem_call *call)
{
    int code = 0;

    for (int i = 0; i < IDEM_DBD_STATEMENTS && code == 0; i++)
        if (conn->access->texts[i])
            code = prepare_statement(conn, (idem_dbd_statement)i);
    return code == 0 ? APR_SUCCESS : statement_refused(conn, call, code);
}

apr_status_t idem_dbd_change(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which,
                             const idem_dbd_order *order, int *count)
{
    binding b;
    int code = prepare_statement(conn, which);

    *count = 0;
    if (code == 0) {
        bind_all(conn, conn->access->letters[which], order, &b);
        code =
            apr_dbd_pbquery(conn->access->driver, conn->scratch, conn->handle, count, conn->prepared[which], b.places);
    }
    return code == 0 ? APR_SUCCESS : statement_refused(conn, call, code);
}

apr_status_t idem_dbd_ask(idem_dbd_conn *conn, idem_call *call, idem_dbd_statement which, const idem_dbd_order *order,
                          idem_dbd_row *row)
{
    binding b;
    int code = prepare_statement(conn, which);

    memset(row, 0, sizeof(*row));
    if (code == 0) {
        bind_all(conn, conn->access->letters[which], order, &b);
        code = apr_dbd_pbselect(conn->access->driver, conn->scratch, conn->handle, &row->results, conn->prepared[which],
                                1, b.places);
    }
    return code == 0 ? APR_SUCCESS : statement_refused(conn, call, code);
}

apr_status_t idem_dbd_say(idem_dbd_conn *conn, idem_call *call, const char *sql)
{
    int rows = 0, code = apr_dbd_query(conn->access->driver, conn->handle, &rows, sql);
    return code == 0 ? APR_SUCCESS : statement_refused(conn, call, code);
}

/* The first row; no row is a failure. */
apr_status_t idem_dbd_ask_text(idem_dbd_conn *conn, idem_call *call, const char *sql, idem_dbd_row *row)
{
    int code;

    memset(row, 0, sizeof(*row));
    code = apr_dbd_select(conn->access->driver, conn->scratch, conn->handle, &row->results, sql, 1);
    if (code != 0)
        return statement_refused(conn, call, code);
    if (!idem_dbd_next(conn, row))
        return idem_dbd_fail(conn->access, call, APR_EGENERAL, "%s gave no answer to: %s",
                             conn->access->config.engine->title, sql);
    return APR_SUCCESS;
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

int idem_dbd_next(idem_dbd_conn *conn, idem_dbd_row *row)
{
    const apr_dbd_driver_t *driver = conn->access->driver;

    if (row->number >= apr_dbd_num_tuples(driver, row->results))
        return 0; /* asking for a row too many would free the result */
    return apr_dbd_get_row(driver, conn->scratch, row->results, &row->row, ++row->number) == 0;
}

/* apr_dbd's engines look behind what a row has. */
static int has_column(idem_dbd_conn *conn, const idem_dbd_row *row, int column)
{
    return column < apr_dbd_num_cols(conn->access->driver, row->results);
}

const char *idem_dbd_text(idem_dbd_conn *conn, const idem_dbd_row *row, int column)
{
    const char *text = has_column(conn, row, column) ? apr_dbd_get_entry(conn->access->driver, row->row, column) : NULL;
    return text ? text : "";
}

apr_int64_t idem_dbd_number(idem_dbd_conn *conn, const idem_dbd_row *row, int column)
{
    return apr_atoi64(idem_dbd_text(conn, row, column));
}

static apr_status_t unescape_digits(const char *digits, apr_pool_t *pool, idem_blob *bytes)
{
    unsigned char *data = apr_palloc(pool, strlen(digits) / 2 + 1);
    apr_size_t len = 0;
    apr_status_t rv = apr_unescape_hex(data, digits, APR_ESCAPE_STRING, 0, &len);

    *bytes = idem_blob_of(data, len);
    return rv;
}

static apr_status_t flatten_datum(idem_dbd_conn *conn, const idem_dbd_row *row, int column, apr_pool_t *pool,
                                  idem_blob *bytes)
{
    apr_bucket_alloc_t *buckets = apr_bucket_alloc_create(conn->scratch);
    apr_bucket_brigade *brigade = apr_brigade_create(conn->scratch, buckets);
    char *flat = NULL;
    apr_size_t len = 0;
    apr_status_t rv = apr_dbd_datum_get(conn->access->driver, row->row, column, APR_DBD_TYPE_BLOB, brigade);

    *bytes = idem_blob_of("", 0);
    if (rv == APR_SUCCESS)
        rv = apr_brigade_pflatten(brigade, &flat, &len, pool);
    if (rv == APR_SUCCESS && len > 0)
        *bytes = idem_blob_of(flat, len);
    return rv == APR_ENOENT ? APR_SUCCESS : rv; /* NULL */
}

/* A copy in call->pool. */
apr_status_t idem_dbd_bytes(idem_dbd_conn *conn, idem_call *call, const idem_dbd_row *row, int column, idem_blob *bytes)
{
    const idem_dbd_engine *engine = conn->access->config.engine;
    apr_status_t rv = APR_EGENERAL;

    *bytes = idem_blob_of("", 0);
    if (has_column(conn, row, column))
        rv = engine->digits ? unescape_digits(idem_dbd_text(conn, row, column), call->pool, bytes)
                            : flatten_datum(conn, row, column, call->pool, bytes);
    if (rv == APR_SUCCESS)
        return rv;
    return idem_dbd_fail(conn->access, call, APR_ECONNRESET, "%s gave a value that cannot be read", engine->title);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void idem_dbd_note_time(idem_dbd_conn *conn, apr_int64_t now)
{
    conn->noted_at = idem_monotonic();
    conn->ahead = now - apr_time_as_msec(conn->noted_at);
}

int idem_dbd_socket(const idem_dbd_conn *conn)
{
    const char *name = conn->access->config.engine->socket;
    void *symbol = name ? idem_dbd_function(conn->access, name) : NULL;
    int (*get_socket)(const void *);

    if (!symbol)
        return -1;
    memcpy(&get_socket, &symbol, sizeof(get_socket)); /* C has no cast from an object to a function */
    return get_socket(conn->native);
}

int idem_dbd_is_quiet(const idem_dbd_conn *conn)
{
    struct pollfd ready = {idem_dbd_socket(conn), POLLIN, 0};
    return ready.fd < 0 || poll(&ready, 1, 0) == 0; /* its end can be read too, and nothing else is due */
}

void idem_dbd_close(idem_dbd_conn *conn)
{
    apr_pool_destroy(conn->scratch);
    apr_pool_destroy(conn->prepared_pool);
    if (conn->handle)
        apr_dbd_close(conn->access->driver, conn->handle);
    apr_pool_destroy(conn->pool);
}

static idem_dbd_conn *conn_make(idem_dbd_access *access)
{
    idem_dbd_conn *conn;
    apr_pool_t *pool = idem_dbd_own_pool();

    if (!pool)
        return NULL;
    conn = apr_pcalloc(pool, sizeof(*conn));
    conn->access = access;
    conn->pool = pool;
    apr_pool_create(&conn->scratch, pool);
    apr_pool_create(&conn->prepared_pool, pool);
    conn->facts.max_value = IDEM_DBD_VALUE_MAX;
    conn->facts.flags = IDEM_OFFLINE;
    return conn;
}

static apr_status_t dial_database(idem_dbd_conn *conn, idem_call *call)
{
    idem_dbd_access *access = conn->access;
    const char *said = NULL;
    int fd;

    if (apr_dbd_open_ex(access->driver, conn->pool, access->config.params, &conn->handle, &said) != APR_SUCCESS) {
        conn->handle = NULL;
        return idem_dbd_fail(access, call, APR_ECONNREFUSED, "%s cannot be reached: %.*s", access->config.engine->title,
                             SHOWN, said ? said : "no reason given");
    }
    conn->native = apr_dbd_native_handle(access->driver, conn->handle);
    fd = idem_dbd_socket(conn);
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
    return access->config.engine->begin(conn, call);
}

apr_status_t idem_dbd_connect(idem_dbd_access *access, idem_call *call, idem_dbd_conn **out)
{
    idem_dbd_conn *conn;
    apr_status_t rv;

    if (access->config.path && !idem_dbd_is_file(access->config.path))
        return idem_dbd_fail(access, call, APR_ENOENT,
                             "there is no database %s: sqlite3 %s < conf/schema/%s, and chown it", access->config.path,
                             access->config.path, access->config.engine->schema);
    conn = conn_make(access);
    if (!conn)
        return idem_dbd_fail(access, call, APR_ENOMEM, "no memory for a connection");
    conn->generation = atomic_load(&access->generation); /* as of before it was made */
    conn->until = idem_monotonic() + (call->deadline - apr_time_now());
    rv = dial_database(conn, call);
    apr_pool_clear(conn->scratch);
    if (rv == APR_SUCCESS)
        *out = conn;
    else
        idem_dbd_close(conn);
    return rv;
}
