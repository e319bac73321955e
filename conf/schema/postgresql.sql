-- The table of IdempotencyStore "dbd:pgsql:…" (PostgreSQL 11 or newer).
--
-- Once, as a user that may create tables:
--
--     createuser --pwprompt idempotency
--     createdb idempotency
--     psql -d idempotency -f postgresql.sql
--     psql -d idempotency -c 'GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO idempotency'
--
-- These four rights are all that httpd needs. With another name of the table, give it to the store too: table=NAME.
--
-- A commit that is acknowledged and then lost is an operation that can run twice. Leave fsync and synchronous_commit on, and
-- where a standby may become the primary let commits wait for it (synchronous_standby_names).
--
-- Times are milliseconds since 1970 by the database's clock. An entry is there while its expires or its due lies ahead;
-- what is no longer there is deleted by httpd, a few rows at a time.

CREATE TABLE idempotency (
    slot    bytea    NOT NULL PRIMARY KEY CHECK (octet_length(slot) = 32),
    token   bytea    NOT NULL CHECK (octet_length(token) = 16),
    state   smallint NOT NULL, -- 1 lease, 2 record, 3 tombstone, 4 unknown, 0 given back
    counter bigint   NOT NULL, -- raised by each change of the row
    lease   bigint   NOT NULL, -- how long the lease lasts from its last renewal, milliseconds
    due     bigint   NOT NULL, -- when it lapses; 0 if there is none
    expires bigint   NOT NULL,
    value   bytea    NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.05);

-- Values that are sealed do not get smaller.
ALTER TABLE idempotency ALTER COLUMN value SET STORAGE EXTERNAL;

CREATE INDEX idempotency_expires ON idempotency (expires);
