-- Whose database this was made for: in a copy made from a dump it means nothing.
CREATE TABLE {s}.meta (
    version      integer     NOT NULL,
    cluster      text        NOT NULL,
    database     oid         NOT NULL,
    installed_by name        NOT NULL DEFAULT session_user,
    installed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO {s}.meta (version, cluster, database)
SELECT {version}, c.system_identifier, d.oid
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();

-- One row for each table that is captured, or only fenced. A new generation means: copy it anew.
CREATE TABLE {s}.tables (
    log         name PRIMARY KEY,
    label       text NOT NULL UNIQUE,
    schema_name name NOT NULL,
    table_name  name NOT NULL,
    relid       oid  NOT NULL,
    captured    boolean NOT NULL,
    definition  text NOT NULL,
    generation  uuid NOT NULL DEFAULT gen_random_uuid(),
    purged_to   pg_snapshot
);

-- The table itself and its partitions, with the triggers and the storage they had.
CREATE TABLE {s}.members (
    log      name NOT NULL REFERENCES {s}.tables ON DELETE CASCADE,
    relid    oid  NOT NULL,
    filenode oid  NOT NULL,
    triggers text NOT NULL,
    PRIMARY KEY (log, relid)
);

-- Storage that a TRUNCATE has given to a table.
CREATE TABLE {s}.storage (
    relid    oid NOT NULL,
    filenode oid NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Written by the trigger functions when they meet something they can't log into: the write passes.
CREATE TABLE {s}.broken (
    log    name NOT NULL,
    reason text NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- While `raised`, every user table refuses writes. The attempt's number never repeats.
CREATE TABLE {s}.fence (
    raised  boolean NOT NULL,
    epoch   bigint  NOT NULL,
    attempt bigint  NOT NULL,
    xid     xid8
);
INSERT INTO {s}.fence VALUES (false, 0, 0, NULL);

-- Written to make the server flush what it has.
CREATE TABLE {s}.heartbeat (beat bigint NOT NULL);
INSERT INTO {s}.heartbeat VALUES (0);

-- Carries the fence and nothing else: a write that is refused here shows that it stands.
CREATE TABLE {s}.canary (beat bigint NOT NULL);
