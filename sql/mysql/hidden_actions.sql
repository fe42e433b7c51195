-- How many foreign keys of the database {database} can be seen, but not what they do.
SELECT CAST((SELECT COUNT(DISTINCT TABLE_NAME, CONSTRAINT_NAME) FROM information_schema.KEY_COLUMN_USAGE
             WHERE TABLE_SCHEMA = {database} AND REFERENCED_TABLE_NAME IS NOT NULL) AS SIGNED)
     - CAST((SELECT COUNT(*) FROM information_schema.REFERENTIAL_CONSTRAINTS
             WHERE CONSTRAINT_SCHEMA = {database}) AS SIGNED)
