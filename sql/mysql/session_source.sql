-- What every session on the source is set to beside session.sql: texts as the columns hold them, no surprises
-- from the server's own defaults. Expressions of rules run under this sql_mode, too: "a" is a text, || means OR, and a
-- moment is shown in UTC. A table of capture that can't be InnoDB's is refused.
SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION', foreign_key_checks = 1,
    lock_wait_timeout = 10, innodb_lock_wait_timeout = 10;
SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE;
