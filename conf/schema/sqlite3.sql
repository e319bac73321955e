-- The table of IdempotencyStore "dbd:sqlite3:…" (SQLite 3.24 or newer), for the processes of one host.
--
-- Once, in a folder that belongs to the user httpd runs as, since files are made beside the database; never on NFS:
--
--     sqlite3 /var/lib/apache2/idempotency.db < sqlite3.sql
--     chown www-data: /var/lib/apache2/idempotency.db
--     chmod 600 /var/lib/apache2/idempotency.db
--
-- With another name of the table, give it to the store too: table=NAME.
--
-- Times are milliseconds since 1970 by the host's clock. An entry is there while its expires or its due lies ahead; what is
-- no longer there is deleted by httpd, a few rows at a time, and its room is used again.

PRAGMA journal_mode = WAL; -- readers do not wait for the one that writes

CREATE TABLE idempotency (
    slot    BLOB    NOT NULL PRIMARY KEY CHECK (length(slot) = 32),
    token   BLOB    NOT NULL CHECK (length(token) = 16),
    state   INTEGER NOT NULL, -- 1 lease, 2 record, 3 tombstone, 4 unknown, 0 given back
    counter INTEGER NOT NULL, -- raised by each change of the row
    lease   INTEGER NOT NULL, -- how long the lease lasts from its last renewal, milliseconds
    due     INTEGER NOT NULL, -- when it lapses; 0 if there is none
    expires INTEGER NOT NULL,
    value   BLOB    NOT NULL
);

CREATE INDEX idempotency_expires ON idempotency (expires);
