-- The columns of a table: name, type, character set, collation, whether the server computes it, whether
-- each UPDATE touches it.
SELECT column_name, column_type, character_set_name, collation_name,
    extra LIKE '%VIRTUAL GENERATED%' OR extra LIKE '%STORED GENERATED%' OR extra LIKE '%PERSISTENT%',
    extra LIKE '%on update%'
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = {table}
ORDER BY ordinal_position
