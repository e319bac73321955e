/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pgsql.c - PostgreSQL: statements, settings, faults.
 *
 * Called through the table at the end. Each operation is one statement, a transaction of its own. It changes the row or
 * does not, and shows the row that stood when it began. Both see the same snapshot of the database. So if somebody was
 * faster, the refused change shows an older row, and is tried again. What always holds: a claim that finds another's
 * entry writes nothing and locks nothing. A release is an insertion that leaves a trace in the slot. The commit of a
 * claim may hang, if a standby does not confirm. Nobody else can see that claim yet: only an insertion waits for it.
 * After a deletion, the claim could appear and belong to nobody. The trace also stops a claim that has read the time
 * and then waits for a lock. A claim that meets a row looks once more. Limits: PostgreSQL 11; a pooler in between must
 * keep a session together (pgbouncer: pool_mode=session).
 */
#include "dbd_private.h"

#include <apr_lib.h>
#include <apr_strings.h>

#define OLDEST 110000
#define NOW "CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)"
/* When the statement began: the planner can look it up in an index, and earlier is safe where entries are removed. */
#define BEGINNING "CAST(floor(extract(epoch FROM now()) * 1000) AS bigint)"

#define TRACE_TIME "10000" /* milliseconds that the trace of what was given back stays at least */

#define COLUMNS "(slot, token, state, counter, lease, due, expires, value)"
#define GONE(row) "(" row ".expires <= {now} AND " row ".due <= {now})"
#define OWN_LEASE(row) "(" row ".state = 1 AND " row ".token = :token)"

/* What stood there. "did" is the change: a row where it was made, and its number 1 unless it was only a trace. */
#define SHOW(did, value)                                                                               \
    "WITH did AS (" did ") SELECT {now}, coalesce((SELECT max(n) FROM did), -1), r.state, CAST(" GONE( \
        "r") " AS integer), CAST(r.due <= {now} AS integer), CAST(r.token = :token AS integer), "      \
             "CAST(r.token = :seen AS integer), r.expires, " value                                     \
             " FROM (SELECT 1) one LEFT JOIN {t} r ON r.slot = :slot"
#define CHANGE(did) SHOW(did " RETURNING 1 AS n", "NULL")
#define HEXED "encode(r.value, 'hex')"

#define CLAIM                                                                                                       \
    "INSERT INTO {t} AS o " COLUMNS " SELECT :slot, :token, 1, 0, :lease, {now} + :lease, {now} + :ttl + 1, :value" \
    " WHERE {now} < :last AND NOT EXISTS (SELECT 1 FROM {t} e WHERE e.slot = :slot AND NOT " GONE(                  \
        "e") " AND NOT " OWN_LEASE("e") ")"                                                                         \
                                        " ON CONFLICT (slot) DO UPDATE SET token = EXCLUDED.token, state = 1, "     \
                                        "counter = o.counter + 1, "                                                 \
                                        "lease = EXCLUDED.lease, due = EXCLUDED.due, expires = EXCLUDED.expires, "  \
                                        "value = EXCLUDED.value"                                                    \
                                        " WHERE {now} < :last AND (" GONE("o") " OR " OWN_LEASE(                    \
                                            "o") ") RETURNING 1 AS n"

#define TAKEOVER                                                                                                \
    "UPDATE {t} o SET token = :token, state = 1, counter = counter + 1, lease = :lease, due = {now} + :lease, " \
    "expires = {now} + :ttl + 1, value = :value WHERE slot = :slot AND {now} < :last AND NOT " GONE(            \
        "o") " AND (" OWN_LEASE("o") " OR (token = :seen AND (state = 4 OR (state = 1 AND due <= {now}))))"

#define RENEW                                                                                                         \
    "UPDATE {t} o SET counter = counter + 1, due = {now} + lease WHERE slot = :slot AND {now} < :last AND NOT " GONE( \
        "o") " AND " OWN_LEASE("o")

#define SETTLE                                                                                                    \
    "INSERT INTO {t} AS o " COLUMNS                                                                               \
    " SELECT :slot, :token, :state, 0, 0, 0, {now} + :ttl + 1, :value WHERE {now} < :last"                        \
    " ON CONFLICT (slot) DO UPDATE SET token = EXCLUDED.token, state = EXCLUDED.state, counter = o.counter + 1, " \
    "lease = 0, due = 0, expires = EXCLUDED.expires, value = EXCLUDED.value WHERE {now} < :last AND (" GONE(      \
        "o") " OR " OWN_LEASE("o") ")"

#define RELEASE                                                                                                        \
    "INSERT INTO {t} AS o " COLUMNS " SELECT :slot, :token, 0, 0, 0, 0, {now}, CAST('' AS bytea) WHERE {now} < :last"  \
    " ON CONFLICT (slot) DO UPDATE SET state = 0, counter = o.counter + 1, due = 0, expires = {now}, value = CAST('' " \
    "AS bytea)"                                                                                                        \
    " WHERE {now} < :last AND " OWN_LEASE("o") " AND NOT " GONE("o") " RETURNING CAST(counter > 0 AS integer) AS n"

#define FORGET "DELETE FROM {t} o WHERE slot = :slot AND {now} < :last AND NOT " GONE("o")
#define FORGET_SEEN FORGET " AND o.state <> 1 AND o.token = :token"

/* An array, since a list could be asked for once a row, and then has no limit. */
#define SWEEP                                                                                               \
    "WITH did AS (DELETE FROM {t} WHERE slot = ANY (ARRAY(SELECT slot FROM {t} WHERE expires <= " BEGINNING \
    " AND due <= " BEGINNING " AND (state > 0 OR expires <= " BEGINNING " - " TRACE_TIME                    \
    ") ORDER BY expires LIMIT :most FOR UPDATE SKIP LOCKED)) RETURNING 1) "                                 \
    "SELECT {now}, count(*) FROM did"

#define EACH                                                                                                           \
    "SELECT {now}, encode(slot, 'hex'), state, CAST(due <= {now} AS integer), expires, encode(value, 'hex') FROM {t} " \
    "r "                                                                                                               \
    "WHERE slot > :slot AND NOT " GONE("r") " ORDER BY slot LIMIT :most"

/* Counting goes through the whole table: where it is large, the planner's estimate will do. */
#define STATUS                                                                                                        \
    "SELECT {now}, CASE WHEN reltuples > 100000 THEN CAST(reltuples AS bigint) ELSE (SELECT count(*) FROM {t}) END, " \
    "pg_total_relation_size(oid), 0 FROM pg_class WHERE oid = CAST('{t}' AS regclass)"

/* ---- a new connection -------------------------------------------------------------------------------------------- */

static apr_status_t pgsql_unfit(idem_dbd_conn *conn, idem_call *call, const char *reason)
{
    return idem_dbd_fail(conn->access, call, APR_EGENERAL, "%s", reason);
}

/* Its complaints carry a number that does not depend on anybody's language. */
static void ask_for_numbers(const idem_dbd_conn *conn)
{
    void *symbol = idem_dbd_function(conn->access, "PQsetErrorVerbosity");
    int (*set)(void *, int);

    memcpy(&set, &symbol, sizeof(set));
    if (symbol)
        set(conn->native, 2); /* PQERRORS_VERBOSE */
}

static apr_status_t pgsql_set_up(idem_dbd_conn *conn, idem_call *call)
{
    long ms = (long)apr_time_as_msec(conn->access->timeout);

    ask_for_numbers(conn);
    return idem_dbd_say(conn, call,
                        apr_psprintf(conn->scratch,
                                     "SET statement_timeout = %ld; SET lock_timeout = %ld; "
                                     "SET default_transaction_isolation = 'read committed'",
                                     ms, ms));
}

static int is_on(idem_dbd_conn *conn, const idem_dbd_row *row, int column)
{
    return strcmp(idem_dbd_text(conn, row, column), "on") == 0;
}

/* What of what it acknowledges it may lose. */
static void pgsql_weigh(idem_dbd_conn *conn, const idem_dbd_row *row)
{
    idem_dbd_facts *facts = &conn->facts;
    int has_replicas = idem_dbd_number(conn, row, 8) > 0, has_synchronous = *idem_dbd_text(conn, row, 7) != '\0';

    if (strcmp(idem_dbd_text(conn, row, 9), "u") == 0) {
        facts->flags |= IDEM_VOLATILE;
        idem_dbd_warn(facts,
                      "the table is UNLOGGED: a crash of PostgreSQL empties it, and every operation can run again");
    }
    if (!is_on(conn, row, 4))
        idem_dbd_warn(facts,
                      "fsync is off: a crash of its host can lose or damage entries, and their operations can run "
                      "again");
    if (strcmp(idem_dbd_text(conn, row, 5), "off") == 0)
        idem_dbd_warn(facts, "synchronous_commit is off: a crash of PostgreSQL can lose the latest entries, and their "
                             "operations can run again");
    if (has_replicas && (!has_synchronous || strcmp(idem_dbd_text(conn, row, 5), "local") == 0))
        idem_dbd_warn(facts,
                      "replication is not synchronous: a failover can lose the latest entries, and their operations "
                      "can run again: set synchronous_standby_names");
}

static apr_status_t pgsql_read_setup(idem_dbd_conn *conn, idem_call *call, const idem_dbd_row *row)
{
    const idem_dbd_config *config = &conn->access->config;

    apr_cpystrn(conn->facts.version, idem_dbd_text(conn, row, 1), sizeof(conn->facts.version));
    if (idem_dbd_number(conn, row, 2) < OLDEST)
        return pgsql_unfit(conn, call,
                           apr_psprintf(conn->scratch, "PostgreSQL has version %s, which is too old: use 11 or newer",
                                        conn->facts.version));
    if (strcmp(idem_dbd_text(conn, row, 3), "t") == 0)
        return pgsql_unfit(conn, call,
                           "the address leads to a PostgreSQL standby: name the primary, or several hosts and "
                           "target_session_attrs=read-write");
    if (!*idem_dbd_text(conn, row, 9))
        return pgsql_unfit(conn, call,
                           apr_psprintf(conn->scratch,
                                        "the database has no table %s that this user can see: load conf/schema/%s",
                                        config->table, conn->access->config.engine->schema));
    if (strcmp(idem_dbd_text(conn, row, 10), "t") != 0)
        return pgsql_unfit(conn, call,
                           apr_psprintf(conn->scratch,
                                        "the user lacks rights: GRANT SELECT, INSERT, UPDATE, DELETE ON %s",
                                        config->table));
    pgsql_weigh(conn, row);
    return APR_SUCCESS;
}

static apr_status_t pgsql_begin(idem_dbd_conn *conn, idem_call *call)
{
    const char *table = conn->access->config.table;
    idem_dbd_row row;
    apr_status_t rv = pgsql_set_up(conn, call);

    if (rv == APR_SUCCESS)
        rv = idem_dbd_ask_text(
            conn, call,
            apr_pstrcat(
                conn->scratch,
                "SELECT " NOW ", current_setting('server_version'), current_setting('server_version_num'), "
                "pg_is_in_recovery(), current_setting('fsync'), current_setting('synchronous_commit'), 0, "
                "current_setting('synchronous_standby_names'), (SELECT count(*) FROM pg_stat_replication), "
                "c.relpersistence, has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') "
                "AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE') "
                "FROM (SELECT 1) one LEFT JOIN pg_class c ON c.oid = to_regclass('",
                table, "')", NULL),
            &row);
    if (rv != APR_SUCCESS)
        return rv;
    idem_dbd_note_time(conn, idem_dbd_number(conn, &row, 0));
    return pgsql_read_setup(conn, call, &row);
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

/* The five characters behind "ERROR:  "; "" where there are none. */
static const char *sqlstate_in(const char *said)
{
    const char *at = strchr(said, ':');

    if (!at)
        return "";
    for (at++; *at == ' '; at++)
        ;
    for (int i = 0; i < 5; i++)
        if (!apr_isdigit(at[i]) && !apr_isupper(at[i]))
            return "";
    return at[5] == ':' ? at : "";
}

static int is_connected(const idem_dbd_conn *conn)
{
    void *symbol = idem_dbd_function(conn->access, "PQstatus");
    int (*status)(const void *);

    memcpy(&status, &symbol, sizeof(status));
    return symbol && status(conn->native) == 0; /* CONNECTION_OK */
}

static idem_dbd_fault pgsql_fault(const idem_dbd_conn *conn, int code, const char *said)
{
    static const struct {
        const char *numbers; /* or the beginnings of them */
        idem_dbd_fault fault;
    } known[] = {
        {"40001", IDEM_DBD_AGAIN}, /* serialisation failure */
        {"40P01", IDEM_DBD_AGAIN}, /* deadlock */
        {"55P03", IDEM_DBD_AGAIN}, /* lock timeout */
        {"57014", IDEM_DBD_AGAIN}, /* statement timeout */
        {"53100", IDEM_DBD_FULL},  /* disk full */
        {"25006", IDEM_DBD_LOST},  /* read only: it is no primary any more */
        {"57P", IDEM_DBD_LOST},    /* ended by an administrator, or shutting down */
        {"08", IDEM_DBD_LOST},
    };
    const char *number = sqlstate_in(said);

    (void)code;
    if (!is_connected(conn))
        return IDEM_DBD_LOST;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strncmp(number, known[i].numbers, strlen(known[i].numbers)) == 0)
            return known[i].fault;
    return IDEM_DBD_REFUSED;
}

const idem_dbd_engine idem_dbd_pgsql = {
    .name = "pgsql",
    .title = "PostgreSQL",
    .package = "libaprutil1-dbd-pgsql",
    .schema = "postgresql.sql",
    .now = NOW,
    .added = " connect_timeout=2", /* seconds, and the least that libpq takes */
    .texts =
        {
            [IDEM_DBD_CLAIM] = SHOW(CLAIM, HEXED),
            [IDEM_DBD_TAKEOVER] = CHANGE(TAKEOVER),
            [IDEM_DBD_RENEW] = CHANGE(RENEW),
            [IDEM_DBD_SETTLE] = CHANGE(SETTLE),
            [IDEM_DBD_RELEASE] = SHOW(RELEASE, "NULL"),
            [IDEM_DBD_FORGET] = CHANGE(FORGET),
            [IDEM_DBD_FORGET_SEEN] = CHANGE(FORGET_SEEN),
            [IDEM_DBD_FETCH] = SHOW("SELECT 1 AS n WHERE false", HEXED),
            [IDEM_DBD_SWEEP] = SWEEP,
            [IDEM_DBD_EACH] = EACH,
            [IDEM_DBD_STATUS] = STATUS,
        },
    .shows = 1,
    .numbered = 1,
    .digits = 1,
    .socket = "PQsocket",
    .begin = pgsql_begin,
    .fault = pgsql_fault,
};
