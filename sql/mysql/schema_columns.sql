-- Their columns, in order. A default is a bare value (MySQL), an expression with one more level of escapes
-- (MySQL), or plain SQL (MariaDB).
SELECT TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME,
       IS_NULLABLE = 'NO',
       COLUMN_DEFAULT IS NOT NULL OR EXTRA LIKE '%DEFAULT_GENERATED%',
       EXTRA LIKE '%auto_increment%',
       COALESCE(GENERATION_EXPRESSION, '') <> '',
       COLUMN_DEFAULT,
       CASE WHEN VERSION() LIKE '%MariaDB%' THEN 'plain'
            WHEN EXTRA LIKE '%DEFAULT_GENERATED%' THEN 'escaped'
            ELSE 'value' END
FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = DATABASE()
ORDER BY TABLE_NAME, ORDINAL_POSITION
