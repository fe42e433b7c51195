-- The change log of one table. Key columns have no type, so that values keep their storage class; ids
-- are never used again; the tag tells an entry from another one that got its id after commits were lost.
CREATE TABLE {log} (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    kind        TEXT NOT NULL,{log key columns}
    captured_at REAL NOT NULL DEFAULT ((julianday('now') - 2440587.5) * 86400.0),
    tag         INTEGER NOT NULL DEFAULT (random())
)

INSERT OR REPLACE INTO "{p}_tables" (name, log, generation, key_columns, definition, installed_at)
SELECT {table text}, {log text}, lower(hex(randomblob(8))), {key text}, sql,
       (julianday('now') - 2440587.5) * 86400.0
FROM sqlite_schema WHERE type = 'table' AND name = {table text}
