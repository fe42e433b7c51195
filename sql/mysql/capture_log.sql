-- The change log of one table: the key columns have just the types that they have in the table. A log is
-- purged by DELETE and never truncated: that would begin its numbers again.
CREATE TABLE IF NOT EXISTS {log} (
    seq         BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    kind        CHAR(1) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL,
    captured_at DATETIME(6) NOT NULL{key columns}
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
