-- The tables that have CHECK constraints. These are read from the definition of each table: the conditions in
-- CHECK_CONSTRAINTS are garbled where they hold other than ASCII characters.
SELECT DISTINCT TABLE_NAME
FROM information_schema.TABLE_CONSTRAINTS
WHERE TABLE_SCHEMA = DATABASE() AND CONSTRAINT_TYPE = 'CHECK'
ORDER BY TABLE_NAME
