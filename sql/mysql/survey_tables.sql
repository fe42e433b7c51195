-- The tables of the session's database, by what keeps their rows.
SELECT TABLE_NAME, COALESCE(ENGINE, ''), TABLE_TYPE = 'SYSTEM VERSIONED'
FROM information_schema.TABLES
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')
