-- What every session on the target is set to: foreign keys are production's to check, a value that does
-- not fit is refused and never bent, and the server's own ideas of zero dates don't matter. What
-- rules compute runs under this sql_mode, too: "a" is a text, || means OR, a moment is shown in UTC, and a value
-- that does not fit its column is refused.
SET NAMES utf8mb4;
SET SESSION character_set_results = NULL, time_zone = '+00:00',
    sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION',
    sql_safe_updates = 0, sql_select_limit = 18446744073709551615, sql_auto_is_null = 0, autocommit = 1, foreign_key_checks = 0, unique_checks = 1,
    net_read_timeout = 600, net_write_timeout = 600, wait_timeout = 86400, lock_wait_timeout = 60,
    innodb_lock_wait_timeout = 50;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;
