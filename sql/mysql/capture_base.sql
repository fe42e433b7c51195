-- What capture keeps beside the change logs, in a database of its own, which all captured databases of
-- the server share ({capture}); every row belongs to the captured database that it names.

CREATE DATABASE IF NOT EXISTS {capture} DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

-- Which database this is, and the server that capture was installed on: a copy runs on another one.
CREATE TABLE IF NOT EXISTS {capture}.meta (
    database_name VARCHAR(64) NOT NULL PRIMARY KEY,
    version       BIGINT NOT NULL,
    database_id   CHAR(36) NOT NULL,
    server        VARCHAR(255) NOT NULL,
    installed_at  DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

INSERT IGNORE INTO {capture}.meta (database_name, version, database_id, server, installed_at)
VALUES ({database}, {version}, UUID(), LEFT({server}, 255), UTC_TIMESTAMP(6))

-- A row that highwater commits to see how far the server has flushed.
CREATE TABLE IF NOT EXISTS {capture}.heartbeat (
    database_name VARCHAR(64) NOT NULL PRIMARY KEY,
    beat          BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

INSERT IGNORE INTO {capture}.heartbeat (database_name, beat) VALUES ({database}, 0)

-- The fence: the greatest attempt that has begun to raise it. Writers are refused by the triggers of that
-- attempt on the change logs, for as long as what was lowered is less.
CREATE TABLE IF NOT EXISTS {capture}.fence (
    database_name VARCHAR(64) NOT NULL PRIMARY KEY,
    epoch         BIGINT NOT NULL,
    raised        BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

INSERT IGNORE INTO {capture}.fence (database_name, epoch, raised) VALUES ({database}, 0, 0)

-- Refusals of the fence that a routine or a trigger of the application has caught: the write stayed, and its
-- key is in no log. A refusal that ends its statement takes its row here along, but InnoDB keeps a lock on the gap
-- that the row was in until the transaction ends. So there is a gap for each session, more or less, between rows of
-- no database: else a refused session that stays open would keep others waiting.
CREATE TABLE IF NOT EXISTS {capture}.passed (
    id            SMALLINT NOT NULL PRIMARY KEY,
    database_name VARCHAR(64) NOT NULL,
    log           VARCHAR(64) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

INSERT IGNORE INTO {capture}.passed (id, database_name, log)
WITH RECURSIVE s (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n < 500) SELECT 2 * n, '', '' FROM s

-- Writes that passed because their change log was gone or altered, with no slot. The row whose slot is 0 stays, so that
-- capture_insert_id.sql leaves no other.
CREATE TABLE IF NOT EXISTS {missed} (
    id        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    slot      TINYINT NULL UNIQUE,
    log       VARCHAR(64) NOT NULL,
    missed_at DATETIME(6) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

-- It asks first: while the fence is up, an INSERT of any row is refused.
INSERT IGNORE INTO {missed} (slot, log, missed_at)
SELECT 0, '', UTC_TIMESTAMP(6) FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM {missed} AS m WHERE m.slot = 0)

-- The captured tables. The generation is another one whenever the log may have missed something, and
-- empty while capture is being made; purged_to is the highest number that was purged from the log; the
-- fingerprint tells a table that was rebuilt, truncated or swapped.
CREATE TABLE IF NOT EXISTS {capture}.tables (
    database_name VARCHAR(64) NOT NULL,
    table_name    VARCHAR(64) NOT NULL,
    log           VARCHAR(64) NOT NULL,
    key_json      TEXT NOT NULL,
    generation    VARCHAR(36) NOT NULL,
    purged_to     BIGINT UNSIGNED NOT NULL DEFAULT 0,
    fingerprint   TEXT NULL,
    PRIMARY KEY (database_name, table_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

-- When each trigger on the captured database's tables was made: another time tells that it was dropped and made
-- again, with the same text even, and what was written meanwhile is in no log.
CREATE TABLE IF NOT EXISTS {capture}.triggers (
    database_name VARCHAR(64) NOT NULL,
    trigger_name  VARCHAR(64) NOT NULL,
    made_at       VARCHAR(32) NOT NULL,
    PRIMARY KEY (database_name, trigger_name)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

-- A table of highwater's own: carries the fence of excluded tables, and DDL of the fence is tried on it.
CREATE TABLE IF NOT EXISTS {canary} (
    id   INT NOT NULL PRIMARY KEY,
    beat INT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
