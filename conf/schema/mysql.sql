-- The table of IdempotencyStore "dbd:mysql:…" (MariaDB 10.3 or newer, MySQL 8 or newer).
--
-- Once, as a user that may create tables:
--
--     mysql -e 'CREATE DATABASE idempotency'
--     mysql idempotency < mysql.sql
--     mysql -e "CREATE USER idempotency@'%' IDENTIFIED BY '…'"
--     mysql -e "GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency.idempotency TO idempotency@'%'"
--
-- These four rights are all that httpd needs. With another name of the table, give it to the store too: table=NAME.
--
-- A commit that is acknowledged and then lost is an operation that can run twice. Leave innodb_flush_log_at_trx_commit and
-- sync_binlog at 1, and where a replica may become the primary let commits wait for it (semi-synchronous replication, or Galera
-- with one node that is written to). max_allowed_packet bounds what can be kept of a response.
--
-- Times are milliseconds since 1970 by the database's clock. An entry is there while its expires or its due lies ahead;
-- what is no longer there is deleted by httpd, a few rows at a time.

CREATE TABLE idempotency (
    slot    BINARY(32) NOT NULL PRIMARY KEY,
    token   BINARY(16) NOT NULL,
    state   SMALLINT   NOT NULL, -- 1 lease, 2 record, 3 tombstone, 4 unknown, 0 given back
    counter BIGINT     NOT NULL, -- raised by each change of the row: what did not change does not count as found
    lease   BIGINT     NOT NULL, -- how long the lease lasts from its last renewal, milliseconds
    due     BIGINT     NOT NULL, -- when it lapses; 0 if there is none
    expires BIGINT     NOT NULL,
    value   LONGBLOB   NOT NULL,
    KEY idempotency_expires (expires)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
