-- Everything in the schema that has a text of its own, in the order in which it was made.
SELECT type, name, tbl_name, rowid, sql
FROM sqlite_schema
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY rowid
