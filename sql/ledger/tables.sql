-- highwater's ledger, on the target. Portable SQL: the same on every engine ({l} is the prefix, {text} the
-- type of long texts).
-- What one transaction changes in a table's rows, it also records here.

-- Whose ledger this is. It has a key as all of highwater's tables have: servers can demand one
-- (sql_require_primary_key), and a publication FOR ALL TABLES forbids updates of tables without.
CREATE TABLE {l}ledger (
    version     BIGINT NOT NULL,
    migration   VARCHAR(64) NOT NULL PRIMARY KEY,
    made_at     VARCHAR(40) NOT NULL,
    home        {text}
);

-- The epoch, alone in its table: every target transaction share-locks the row first.
CREATE TABLE {l}epochs (
    database_name VARCHAR(190) NOT NULL PRIMARY KEY,
    epoch         BIGINT NOT NULL
);

-- The term of the lease, and its last holder: every change of a state share-locks the row first. The number
-- grows each time the lease is taken; the nonce tells a restored number from a new one.
CREATE TABLE {l}terms (
    database_name VARCHAR(190) NOT NULL PRIMARY KEY,
    term          BIGINT NOT NULL,
    nonce         VARCHAR(16) NOT NULL,
    holder        {text},
    held_since    VARCHAR(40)
);

-- One row per source-target pair: where it stands, its source, who asks for the lease, the last cutover attempt
-- with the outage it made, who alone may write rows while a consistent point is made (replay_hold), and the point
-- that the target is at, until the next act that writes rows.
CREATE TABLE {l}databases (
    database_name VARCHAR(190) NOT NULL PRIMARY KEY,
    phase         VARCHAR(20) NOT NULL,
    identity      {text},
    plan_hash     VARCHAR(64),
    request       {text},
    requested_at  BIGINT,
    attempt       BIGINT NOT NULL,
    attempt_state VARCHAR(20) NOT NULL,
    as_of         VARCHAR(40) NOT NULL,
    upgraded_at   VARCHAR(40),
    left_out      {text},
    log_held_at   VARCHAR(40),
    replay_hold   VARCHAR(40),
    point_at      VARCHAR(40),
    point_extents {text},
    outage_ms     BIGINT
);

-- One row per table: its state, what is applied, and the log that this refers to.
CREATE TABLE {l}tables (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    target        {text} NOT NULL,
    state         VARCHAR(20) NOT NULL,
    state_before  VARCHAR(20) NOT NULL,
    reason        {text},
    watermark     {text},
    origin        {text},
    plan_json     {text},
    baseline      VARCHAR(64),
    paused        {text},
    dropped       BIGINT NOT NULL DEFAULT 0,
    changed_at    VARCHAR(40) NOT NULL,
    PRIMARY KEY (database_name, label)
);

-- The key ranges of a copy.
CREATE TABLE {l}chunks (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    chunk         BIGINT NOT NULL,
    bounds        {text} NOT NULL,
    state         VARCHAR(20) NOT NULL,
    row_count     BIGINT NOT NULL,
    byte_count    BIGINT NOT NULL,
    PRIMARY KEY (database_name, label, chunk)
);

-- Keys whose rows the target refused: the key and the reason, never the row.
CREATE TABLE {l}parked (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    key_hash      VARCHAR(64) NOT NULL,
    key_json      {text} NOT NULL,
    reason        {text} NOT NULL,
    since         VARCHAR(40) NOT NULL,
    PRIMARY KEY (database_name, label, key_hash)
);

-- Keys of the target, of rows that the upgrade made: replay and verification leave them alone.
CREATE TABLE {l}native (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    key_hash      VARCHAR(64) NOT NULL,
    key_json      {text} NOT NULL,
    PRIMARY KEY (database_name, label, key_hash)
);

-- Keys of the source whose rows the upgrade deleted: replay does not bring them back.
CREATE TABLE {l}removed (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    key_hash      VARCHAR(64) NOT NULL,
    key_json      {text} NOT NULL,
    PRIMARY KEY (database_name, label, key_hash)
);

-- Rows to be made equal again because what their rule looks up has changed: those whose column has the
-- value, or (without a column) all rows of the table.
CREATE TABLE {l}requeued (
    database_name VARCHAR(190) NOT NULL,
    label         VARCHAR(190) NOT NULL,
    entry_hash    VARCHAR(64) NOT NULL,
    column_name   {text},
    value_text    {text},
    entered       BIGINT NOT NULL,
    PRIMARY KEY (database_name, label, entry_hash)
);

-- The scripts of the upgrade: what has run, and how far.
CREATE TABLE {l}scripts (
    database_name VARCHAR(190) NOT NULL,
    ordinal       BIGINT NOT NULL,
    path          {text} NOT NULL,
    checksum      VARCHAR(64) NOT NULL,
    state         VARCHAR(20) NOT NULL,
    statements    BIGINT NOT NULL,
    begun_at      VARCHAR(40) NOT NULL,
    ended_at      VARCHAR(40),
    PRIMARY KEY (database_name, ordinal)
);

-- Definitions that are still to be made on the target (`copy.schema = "create"`).
CREATE TABLE {l}definitions (
    database_name VARCHAR(190) NOT NULL,
    ordinal       BIGINT NOT NULL,
    definition    {text} NOT NULL,
    done          BIGINT NOT NULL,
    PRIMARY KEY (database_name, ordinal)
);

-- What was done, by whom.
CREATE TABLE {l}events (
    id            VARCHAR(32) NOT NULL PRIMARY KEY,
    happened_at   VARCHAR(40) NOT NULL,
    database_name VARCHAR(190) NOT NULL,
    actor         {text} NOT NULL,
    host          {text} NOT NULL,
    version       VARCHAR(40) NOT NULL,
    settings      VARCHAR(64) NOT NULL,
    event         {text} NOT NULL
);
