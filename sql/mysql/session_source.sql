-- What every session on the source is set to: times in UTC, texts as the columns hold them, no
-- surprises from the server's own defaults. Expressions of rules run under this sql_mode, too: "a" is a text,
-- || means OR, and a moment is shown in UTC.
SET NAMES utf8mb4;
SET SESSION character_set_results = NULL, time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES',
    sql_safe_updates = 0, sql_select_limit = 18446744073709551615, sql_auto_is_null = 0, autocommit = 1, foreign_key_checks = 1,
    net_read_timeout = 600, net_write_timeout = 600, wait_timeout = 86400, lock_wait_timeout = 10,
    innodb_lock_wait_timeout = 10;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ;
