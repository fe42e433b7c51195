-- Every attempt below `stamp` is lowered.
CREATE TABLE IF NOT EXISTS {capture}.lowered (
    database_name VARCHAR(64) NOT NULL PRIMARY KEY,
    stamp         BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin

INSERT IGNORE INTO {capture}.lowered (database_name, stamp) VALUES ({database}, 1)
