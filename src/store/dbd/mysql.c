/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mysql.c - MariaDB and MySQL: statements, settings, faults.
 *
 * Called through the table at the end. MySQL cannot show a row from a statement that changes it, so a look follows if a
 * change was not made. A new row and a change of a row are two statements. What always holds: every change of a row
 * raises its counter. MySQL counts the rows that differ afterwards, not the rows that it found. The time is read when
 * the row's lock has been won, not when the statement began. An insertion reads it before it waits for a lock of its
 * key. So a release leaves a trace if it finds no row, and an insertion that still waits will meet the trace. Limits:
 * MariaDB 10.3, MySQL 8; replication that repeats statements (binlog_format=STATEMENT) repeats them at another time.
 */
#include "dbd_private.h"

#include <apr_strings.h>
#include <stdlib.h>

/* The session's time zone is UTC. */
#define NOW "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', SYSDATE(6)) DIV 1000)"
/* When the statement began: an index can be searched for it, and earlier is safe where entries are removed. */
#define BEGINNING "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) DIV 1000)"

#define COLUMNS "(slot, token, state, counter, lease, due, expires, value)"
#define GONE "(expires <= {now} AND due <= {now})"
#define OWN_LEASE "(state = 1 AND token = :token)"
#define NOTHING " ON DUPLICATE KEY UPDATE {t}.slot = {t}.slot" /* unlike IGNORE it hides no other trouble */

#define SHOW(value)                                                                                   \
    "SELECT {now}, -1, state, " GONE ", due <= {now}, token = :token, token = :seen, expires, " value \
    " FROM (SELECT 1) one LEFT JOIN {t} ON slot = :slot"

/* Values first, then conditions: MySQL assigns from left to right, and no value is read from a column that was set. */
#define BECOME_LEASE                                                                                          \
    "UPDATE {t} SET token = :token, state = 1, counter = counter + 1, lease = :lease, due = {now} + :lease, " \
    "expires = {now} + :ttl + 1, value = :value WHERE slot = :slot AND {now} < :last AND "

#define TRACE_TIME "10000" /* milliseconds; longer than an insertion waits for a lock */

/* The largest packet has to hold what goes around a value too. */
#define PACKET_ROOM ((apr_int64_t)8192)

/* ---- a new connection -------------------------------------------------------------------------------------------- */

static int is_mariadb(const idem_dbd_conn *conn)
{
    return strstr(conn->facts.version, "MariaDB") != NULL;
}

/* MySQL's waits are bounded in whole seconds. The worker bounds a wait that is longer than a call. */
static apr_status_t mysql_set_up(idem_dbd_conn *conn, idem_call *call)
{
    apr_status_t rv =
        idem_dbd_say(conn, call,
                     "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 1, "
                     "autocommit = 1, sql_mode = 'STRICT_ALL_TABLES'");
    long ms = (long)apr_time_as_msec(conn->access->timeout);

    if (rv == APR_SUCCESS && is_mariadb(conn))
        rv = idem_dbd_say(
            conn, call,
            apr_psprintf(conn->scratch, "SET SESSION max_statement_time = %ld.%03ld", ms / 1000, ms % 1000));
    return rv;
}

static void mysql_weigh(idem_dbd_conn *conn, const idem_dbd_row *row)
{
    idem_dbd_facts *facts = &conn->facts;
    const char *kind = idem_dbd_text(conn, row, 7);

    if (strcasecmp(kind, "InnoDB") != 0) {
        facts->flags |= strcasecmp(kind, "MEMORY") == 0 ? IDEM_VOLATILE : IDEM_FRAGILE;
        idem_dbd_warn(facts,
                      apr_psprintf(conn->scratch,
                                   "the table's engine is %s: a crash of the database can lose entries, and their "
                                   "operations can run again: ALTER TABLE %s ENGINE = InnoDB",
                                   kind, conn->access->config.table));
    }
    else if (idem_dbd_number(conn, row, 2) != 1)
        idem_dbd_warn(facts,
                      apr_psprintf(conn->scratch,
                                   "innodb_flush_log_at_trx_commit is %s: a crash can lose the latest entries, and "
                                   "their operations can run again: set 1",
                                   idem_dbd_text(conn, row, 2)));
    if (strcmp(idem_dbd_text(conn, row, 6), "STATEMENT") == 0 && idem_dbd_number(conn, row, 5))
        idem_dbd_warn(facts,
                      "binlog_format is STATEMENT: replicas keep other times than this server: set ROW or MIXED");
    else if (idem_dbd_number(conn, row, 5) && idem_dbd_number(conn, row, 3) != 1)
        idem_dbd_warn(facts, "sync_binlog is not 1: replicas can lack the latest entries after a crash: set 1");
}

static apr_status_t mysql_read_setup(idem_dbd_conn *conn, idem_call *call, const idem_dbd_row *row)
{
    const char *table = conn->access->config.table;
    apr_int64_t packet = idem_dbd_number(conn, row, 4) - PACKET_ROOM;

    if (idem_dbd_number(conn, row, 8))
        return idem_dbd_fail(conn->access, call, APR_EGENERAL,
                             "the address leads to a read-only database: name the primary");
    if (!*idem_dbd_text(conn, row, 7))
        return idem_dbd_fail(
            conn->access, call, APR_EGENERAL,
            "the database has no table %s that this user can see: load conf/schema/%s, or GRANT SELECT, INSERT, "
            "UPDATE, DELETE ON %s",
            table, conn->access->config.engine->schema, table);
    if (packet < IDEM_HEAD_MIN)
        packet = IDEM_HEAD_MIN;
    if ((apr_int64_t)conn->facts.max_value > packet)
        conn->facts.max_value = (apr_size_t)packet;
    mysql_weigh(conn, row);
    return APR_SUCCESS;
}

/* SCHEMA.TABLE, or a table of the database that was chosen. */
static const char *mysql_catalogue(const char *table, apr_pool_t *pool)
{
    const char *dot = strchr(table, '.');

    if (!dot)
        return apr_psprintf(pool, "table_schema = DATABASE() AND table_name = '%s'", table);
    return apr_psprintf(pool, "table_schema = '%.*s' AND table_name = '%s'", (int)(dot - table), table, dot + 1);
}

static apr_status_t read_version(idem_dbd_conn *conn, idem_call *call)
{
    idem_dbd_row row;
    apr_status_t rv = idem_dbd_ask_text(conn, call, "SELECT VERSION()", &row);
    const char *said;
    int major, minor;

    if (rv != APR_SUCCESS)
        return rv;
    apr_cpystrn(conn->facts.version, idem_dbd_text(conn, &row, 0), sizeof(conn->facts.version));
    said = conn->facts.version;
    major = atoi(said);
    minor = atoi(said + strcspn(said, ".") + (strchr(said, '.') ? 1 : 0));
    if (is_mariadb(conn) ? major > 10 || (major == 10 && minor >= 3) : major >= 8)
        return APR_SUCCESS;
    return idem_dbd_fail(conn->access, call, APR_EGENERAL,
                         "the database has version %s, which is too old: use MariaDB 10.3, MySQL 8 or newer", said);
}

static apr_status_t mysql_begin(idem_dbd_conn *conn, idem_call *call)
{
    idem_dbd_row row;
    apr_status_t rv = read_version(conn, call);

    if (rv == APR_SUCCESS)
        rv = mysql_set_up(conn, call);
    if (rv == APR_SUCCESS)
        rv = idem_dbd_ask_text(
            conn, call,
            apr_pstrcat(conn->scratch,
                        "SELECT " NOW
                        ", 0, @@innodb_flush_log_at_trx_commit, @@sync_binlog, @@max_allowed_packet, @@log_bin, "
                        "@@binlog_format, (SELECT engine FROM information_schema.tables WHERE ",
                        mysql_catalogue(conn->access->config.table, conn->scratch), "), @@global.read_only", NULL),
            &row);
    if (rv != APR_SUCCESS)
        return rv;
    idem_dbd_note_time(conn, idem_dbd_number(conn, &row, 0));
    return mysql_read_setup(conn, call, &row);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static idem_dbd_fault mysql_fault(const idem_dbd_conn *conn, int code, const char *said)
{
    static const struct {
        int code;
        idem_dbd_fault fault;
    } known[] = {
        {1205, IDEM_DBD_AGAIN},   /* lock wait timeout */
        {1213, IDEM_DBD_AGAIN},   /* deadlock */
        {1020, IDEM_DBD_AGAIN},   /* record has changed since it was read */
        {1317, IDEM_DBD_AGAIN},   /* query was interrupted */
        {1969, IDEM_DBD_AGAIN},   /* max_statement_time */
        {1114, IDEM_DBD_FULL},    /* table is full */
        {1021, IDEM_DBD_FULL},    /* disk full */
        {1153, IDEM_DBD_LOST},    /* packet too large: the server hangs up */
        {1053, IDEM_DBD_LOST},    /* shutting down */
        {1927, IDEM_DBD_LOST},    /* connection was killed */
        {1290, IDEM_DBD_LOST},    /* read-only: it is no primary any more */
        {1836, IDEM_DBD_LOST},    /* … */
        {1615, IDEM_DBD_LOST},    /* statement has to be prepared again */
        {1243, IDEM_DBD_LOST},    /* unknown prepared statement */
        {1194, IDEM_DBD_DAMAGED}, /* table is crashed */
    };

    (void)conn, (void)said;
    if (code >= 2000 && code < 3000) /* the client library's own */
        return IDEM_DBD_LOST;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].code == code)
            return known[i].fault;
    return IDEM_DBD_REFUSED;
}

const idem_dbd_engine idem_dbd_mysql = {
    .name = "mysql",
    .title = "MySQL",
    .package = "libaprutil1-dbd-mysql",
    .schema = "mysql.sql",
    .now = NOW,
    /* A connection that is made anew behind our back has none of our settings and statements. */
    .added = ",reconnect=0,flags=0,fldsz=65536",
    .texts =
        {
            [IDEM_DBD_CLAIM] = "INSERT INTO {t} " COLUMNS " SELECT :slot, :token, 1, 0, :lease, {now} + :lease, "
                               "{now} + :ttl + 1, :value FROM DUAL WHERE {now} < :last" NOTHING,
            [IDEM_DBD_CLAIM_ELSE] = BECOME_LEASE "(" GONE " OR " OWN_LEASE ")",
            [IDEM_DBD_TAKEOVER] = BECOME_LEASE "NOT " GONE " AND (" OWN_LEASE
                                               " OR (token = :seen AND (state = 4 OR (state = 1 AND due <= {now}))))",
            [IDEM_DBD_RENEW] = "UPDATE {t} SET counter = counter + 1, due = {now} + lease WHERE slot = :slot AND "
                               "{now} < :last AND NOT " GONE " AND " OWN_LEASE,
            [IDEM_DBD_SETTLE] =
                "UPDATE {t} SET token = :token, state = :state, counter = counter + 1, lease = 0, due = 0, "
                "expires = {now} + :ttl + 1, value = :value WHERE slot = :slot AND {now} < :last AND (" GONE
                " OR " OWN_LEASE ")",
            [IDEM_DBD_SETTLE_ELSE] =
                "INSERT INTO {t} " COLUMNS " SELECT :slot, :token, :state, 0, 0, 0, {now} + :ttl + 1, "
                ":value FROM DUAL WHERE {now} < :last" NOTHING,
            [IDEM_DBD_RELEASE] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE " AND " OWN_LEASE,
            [IDEM_DBD_RELEASE_ELSE] =
                "INSERT INTO {t} " COLUMNS
                " SELECT :slot, :token, 0, 0, 0, 0, {now}, '' FROM DUAL WHERE {now} < :last" NOTHING,
            [IDEM_DBD_FORGET] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE,
            [IDEM_DBD_FORGET_SEEN] = "DELETE FROM {t} WHERE slot = :slot AND {now} < :last AND NOT " GONE
                                     " AND state <> 1 AND token = :token",
            [IDEM_DBD_LOOK] = SHOW("NULL"),
            [IDEM_DBD_FETCH] = SHOW("value"),
            [IDEM_DBD_SWEEP] =
                "DELETE FROM {t} WHERE expires <= " BEGINNING " AND due <= " BEGINNING
                " AND (state > 0 OR expires <= " BEGINNING " - " TRACE_TIME ") ORDER BY expires LIMIT :most",
            [IDEM_DBD_EACH] =
                "SELECT {now}, slot, state, due <= {now}, expires, value FROM {t} WHERE slot > :slot AND NOT " GONE
                " ORDER BY slot LIMIT :most",
            /* Counting goes through the whole table: where it is large, the catalogue's estimate will do. */
            [IDEM_DBD_STATUS] =
                "SELECT {now}, CASE WHEN table_rows > 100000 THEN table_rows ELSE (SELECT COUNT(*) FROM {t}) END, "
                "data_length + index_length, 0 FROM information_schema.tables WHERE {catalogue}",
        },
    .catalogue = mysql_catalogue,
    .socket = "mysql_get_socket",
    .begin = mysql_begin,
    .fault = mysql_fault,
};
