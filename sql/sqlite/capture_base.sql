-- What capture keeps beside the change logs. Installed once in a source; all of it belongs to one
-- migration ({p} is its prefix).

-- Which database this is, and where it lay when capture was installed: a copy of the file lies elsewhere.
CREATE TABLE IF NOT EXISTS "{p}_meta" (
    only_row     INTEGER PRIMARY KEY CHECK (only_row = 1),
    version      INTEGER NOT NULL,
    database     TEXT NOT NULL,
    path         TEXT NOT NULL,
    file         TEXT,
    installed_at REAL NOT NULL
)

INSERT OR IGNORE INTO "{p}_meta" (only_row, version, database, path, installed_at)
SELECT 1, {version}, lower(hex(randomblob(16))), file, (julianday('now') - 2440587.5) * 86400.0
FROM pragma_database_list WHERE name = 'main'

-- The captured tables. The generation is another one whenever the log may have missed something;
-- purged_to is the highest id that was purged from the log.
CREATE TABLE IF NOT EXISTS "{p}_tables" (
    name         TEXT PRIMARY KEY,
    log          TEXT NOT NULL,
    generation   TEXT NOT NULL,
    key_columns  TEXT NOT NULL,
    definition   TEXT NOT NULL,
    purged_to    INTEGER NOT NULL DEFAULT 0,
    installed_at REAL NOT NULL
)
