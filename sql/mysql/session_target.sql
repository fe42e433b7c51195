-- What every session on the target is set to beside session.sql: foreign keys are production's to check, a value
-- that does not fit is refused and never bent, and the server's own ideas of zero dates don't matter. What
-- rules compute runs under this sql_mode, too: "a" is a text, || means OR, a moment is shown in UTC, and a value
-- that does not fit its column is refused.
SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION',
    foreign_key_checks = 0, lock_wait_timeout = 60, innodb_lock_wait_timeout = 50;
SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE;
