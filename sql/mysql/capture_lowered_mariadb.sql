-- Every attempt below the next value is lowered. A sequence is read without a lock whatever the writer's
-- isolation level and binlog_format: a refused writer that stays open does not hold lowering up.
CREATE SEQUENCE IF NOT EXISTS {lowered} START WITH 1 MINVALUE 1 NOCACHE
