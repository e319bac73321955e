/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlite3.c - SQLite: statements, settings, faults.
 *
 * Called through the table at the end. A look follows if a change was not made, since it costs nothing in the same
 * process. What always holds: one process writes at a time. A statement reads the time after it has won that right, so
 * no change is ever late. The wait for the right ends by the order's deadline. A commit is flushed before it is
 * acknowledged. Limits: one host, and a file system with locks (no NFS). The threads of a process take turns, since APR
 * has one mutex around all of SQLite.
 */
#include "dbd_private.h"
#include "threads.h"

#include <apr_strings.h>
#include <stdlib.h>

#define OLDEST 3024000
#define SQLITE_BUSY 5 /* its header is not needed for more */

/* 'now' is in milliseconds, as the julian day is counted; the same throughout a statement. */
#define NOW "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"

#define COLUMNS "(slot, token, state, counter, lease, due, expires, value)"
#define GONE "(expires <= {now} AND due <= {now})"
#define OWN_LEASE "(state = 1 AND token = :token)"

#define SHOW(value)                                                                                   \
    "SELECT {now}, -1, state, " GONE ", due <= {now}, token = :token, token = :seen, expires, " value \
    " FROM (SELECT 1) LEFT JOIN {t} ON slot = :slot"

/* Unqualified columns are the row's that stands. */
#define REPLACE                                                                                                 \
    " ON CONFLICT (slot) DO UPDATE SET token = excluded.token, state = excluded.state, counter = counter + 1, " \
    "lease = excluded.lease, due = excluded.due, expires = excluded.expires, value = excluded.value "           \
    "WHERE " GONE " OR (state = 1 AND token = excluded.token)"

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static void *sqlite_function(const idem_dbd_conn *conn, const char *name)
{
    return idem_dbd_function(conn->access, name);
}

static void interrupt_sqlite(const idem_dbd_conn *conn)
{
    void *symbol = sqlite_function(conn, "sqlite3_interrupt");
    void (*stop)(void *);

    memcpy(&stop, &symbol, sizeof(stop));
    if (symbol)
        stop(conn->native);
}

/*
 * Another process writes: wait a little, and try again (nonzero), until the deadline. APR would try for a second and a
 * half more, unless the statement is interrupted as well.
 */
static int wait_for_turn(void *data, int times)
{
    const idem_dbd_conn *conn = data;

    if (idem_monotonic() + apr_time_from_msec(1) >= conn->until) {
        interrupt_sqlite(conn);
        return 0;
    }
    apr_sleep(times < 10 ? 1000 : 5000);
    return 1;
}

static void set_waiting(idem_dbd_conn *conn)
{
    void *symbol = sqlite_function(conn, "sqlite3_busy_handler");
    int (*set)(void *, int (*)(void *, int), void *);

    memcpy(&set, &symbol, sizeof(set));
    if (symbol)
        set(conn->native, wait_for_turn, conn);
}

/* ---- a new connection -------------------------------------------------------------------------------------------- */

static apr_status_t check_version(idem_dbd_conn *conn, idem_call *call)
{
    void *symbol = sqlite_function(conn, "sqlite3_libversion_number");
    int (*number)(void);

    memcpy(&number, &symbol, sizeof(number));
    if (!symbol || number() >= OLDEST)
        return APR_SUCCESS;
    return idem_dbd_fail(conn->access, call, APR_EGENERAL, "SQLite has version %s, which is too old: use 3.24 or newer",
                         conn->facts.version);
}

static apr_status_t sqlite_begin(idem_dbd_conn *conn, idem_call *call)
{
    const idem_dbd_config *config = &conn->access->config;
    idem_dbd_row row;
    apr_status_t rv;

    set_waiting(conn);
    rv = idem_dbd_ask_text(conn, call,
                           apr_pstrcat(conn->scratch,
                                       "SELECT " NOW ", sqlite_version(), (SELECT count(*) FROM sqlite_master "
                                       "WHERE type = 'table' AND name = '",
                                       config->table, "')", NULL),
                           &row);
    if (rv != APR_SUCCESS)
        return rv;
    apr_cpystrn(conn->facts.version, idem_dbd_text(conn, &row, 1), sizeof(conn->facts.version));
    idem_dbd_note_time(conn, idem_dbd_number(conn, &row, 0));
    rv = check_version(conn, call);
    if (rv == APR_SUCCESS && idem_dbd_number(conn, &row, 2) == 0)
        return idem_dbd_fail(conn->access, call, APR_EGENERAL, "%s has no table %s: sqlite3 %s < conf/schema/%s",
                             config->path, config->table, config->path, config->engine->schema);
    if (rv == APR_SUCCESS)
        rv = idem_dbd_say(conn, call, "PRAGMA synchronous = FULL");
    if (rv == APR_SUCCESS)
        rv = idem_dbd_ask_text(conn, call, "PRAGMA journal_mode", &row);
    if (rv == APR_SUCCESS && strcmp(idem_dbd_text(conn, &row, 0), "wal") != 0)
        idem_dbd_warn(&conn->facts, apr_psprintf(conn->scratch,
                                                 "journal_mode is %s: readers wait for writers: PRAGMA "
                                                 "journal_mode = WAL",
                                                 idem_dbd_text(conn, &row, 0)));
    return rv;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* APR has the statement's code in an old way, which knows little; the connection knows more. */
static int code_of(const idem_dbd_conn *conn, int code)
{
    void *symbol = sqlite_function(conn, "sqlite3_errcode");
    int (*get)(void *);
    int better;

    memcpy(&get, &symbol, sizeof(get));
    better = symbol && code != SQLITE_BUSY ? get(conn->native) : code;
    return better && better < 100 ? better : code; /* 100 and 101 are no failures */
}

static idem_dbd_fault sqlite_fault(const idem_dbd_conn *conn, int code, const char *said)
{
    static const struct {
        int code;
        idem_dbd_fault fault;
    } known[] = {
        {SQLITE_BUSY, IDEM_DBD_AGAIN},
        {6, IDEM_DBD_AGAIN}, /* locked */
        {9, IDEM_DBD_AGAIN}, /* interrupted, by us */
        {13, IDEM_DBD_FULL}, /* … or the disk is */
        {18, IDEM_DBD_TOO_BIG},
        {11, IDEM_DBD_DAMAGED}, /* corrupt */
        {26, IDEM_DBD_DAMAGED}, /* not a database */
        {8, IDEM_DBD_LOST},     /* read-only */
        {10, IDEM_DBD_LOST},    /* I/O error */
        {14, IDEM_DBD_LOST},    /* cannot be opened */
        {17, IDEM_DBD_LOST},    /* the schema has changed: statements have to be prepared again */
    };

    (void)said;
    code = code_of(conn, code);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].code == code)
            return known[i].fault;
    return IDEM_DBD_REFUSED;
}

const idem_dbd_engine idem_dbd_sqlite3 = {
    .name = "sqlite3",
    .title = "SQLite",
    .package = "libaprutil1-dbd-sqlite3",
    .schema = "sqlite3.sql",
    .now = NOW,
    .added = "",
    .texts =
        {
            [IDEM_DBD_CLAIM] = "INSERT INTO {t} " COLUMNS " SELECT :slot, :token, 1, 0, :lease, {now} + :lease, "
                               "{now} + :ttl + 1, :value WHERE {now} < :last" REPLACE,
            [IDEM_DBD_TAKEOVER] =
                "UPDATE {t} SET token = :token, state = 1, counter = counter + 1, lease = :lease, "
                "due = {now} + :lease, expires = {now} + :ttl + 1, value = :value WHERE slot = :slot AND "
                "{now} < :last AND NOT " GONE " AND (" OWN_LEASE
                " OR (token = :seen AND (state = 4 OR (state = 1 AND due <= {now}))))",
            [IDEM_DBD_RENEW] = "UPDATE {t} SET counter = counter + 1, due = {now} + lease WHERE slot = :slot AND "
                               "{now} < :last AND NOT " GONE " AND " OWN_LEASE,
            [IDEM_DBD_SETTLE] =
                "INSERT INTO {t} " COLUMNS " SELECT :slot, :token, :state, 0, 0, 0, {now} + :ttl + 1, :value "
                "WHERE {now} < :last" REPLACE,
            [IDEM_DBD_RELEASE] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE " AND " OWN_LEASE,
            [IDEM_DBD_FORGET] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE,
            [IDEM_DBD_FORGET_SEEN] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE
                                     " AND state <> 1 AND token = :token",
            [IDEM_DBD_LOOK] = SHOW("NULL"),
            [IDEM_DBD_FETCH] = SHOW("value"),
            [IDEM_DBD_SWEEP] =
                "DELETE FROM {t} WHERE slot IN (SELECT slot FROM {t} WHERE " GONE " ORDER BY expires LIMIT :most)",
            [IDEM_DBD_EACH] =
                "SELECT {now}, slot, state, due <= {now}, expires, value FROM {t} WHERE slot > :slot AND NOT " GONE
                " ORDER BY slot LIMIT :most",
            [IDEM_DBD_STATUS] = "SELECT {now}, (SELECT count(*) FROM {t}), "
                                "(p.page_count - f.freelist_count) * s.page_size, m.max_page_count * s.page_size "
                                "FROM pragma_page_count() p, pragma_freelist_count() f, pragma_page_size() s, "
                                "pragma_max_page_count() m",
        },
    .begin = sqlite_begin,
    .fault = sqlite_fault,
};
