-- Every table has a primary key, as event triggers can demand one; and a publication FOR ALL TABLES forbids updates
-- and deletes where there is none.

-- Whose database this was made for: in a copy made from a dump it means nothing.
CREATE TABLE {s}.meta (
    one          boolean     PRIMARY KEY DEFAULT true CHECK (one),
    version      integer     NOT NULL,
    cluster      text        NOT NULL,
    database     oid         NOT NULL,
    role         name        NOT NULL, -- highwater's own: the marker of its writes counts for this role only
    installed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO {s}.meta (version, cluster, database, role)
SELECT {version}, c.system_identifier, d.oid, {role}
FROM pg_control_system() c, pg_database d WHERE d.datname = current_database();

-- One row for each table that is captured, or only fenced. A new generation means: copy the table again.
CREATE TABLE {s}.tables (
    log         name PRIMARY KEY,
    label       text NOT NULL UNIQUE,
    schema_name name NOT NULL,
    table_name  name NOT NULL,
    relid       oid  NOT NULL,
    log_relid   oid, -- NULL: only fenced
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
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    relid    oid NOT NULL,
    filenode oid NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Written by the trigger functions when they meet something they can't log into: the write passes.
CREATE TABLE {s}.broken (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    log    name NOT NULL,
    reason text NOT NULL,
    at     timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Written to make the server flush what it has.
CREATE TABLE {s}.heartbeat (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    beat bigint NOT NULL
);
INSERT INTO {s}.heartbeat (beat) VALUES (0);

-- A log that no writer meets: the fence is tried on it.
CREATE TABLE {s}.canary (kind "char" PRIMARY KEY);

-- The fence. Every attempt below `stamp` is lowered; `raised` is the greatest attempt that began to raise.
CREATE TABLE {s}.fence (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    stamp  bigint NOT NULL,
    raised bigint NOT NULL,
    epoch  bigint NOT NULL
);
INSERT INTO {s}.fence (stamp, raised, epoch) VALUES (1, 0, 0);

-- The triggers run as their owner. A script may give these tables or the schema to another role: what the triggers do
-- then, so that production's writes pass and the missed changes are noted, needs no right that goes along.
GRANT USAGE ON SCHEMA {s} TO PUBLIC;
GRANT SELECT ON {s}.meta, {s}.fence TO PUBLIC;
GRANT SELECT, INSERT ON {s}.broken TO PUBLIC
