-- The tables of the captured database.
SELECT TABLE_NAME FROM information_schema.TABLES
WHERE TABLE_SCHEMA = {database} AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
