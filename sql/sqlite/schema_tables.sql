-- All tables, with what SQLite knows of each and where it stands in the schema: a table that was made
-- anew stands behind everything that was there before, and VACUUM keeps the order.
SELECT s.name, s.rowid, s.sql, l.type, l.wr, l.strict
FROM sqlite_schema AS s
JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = s.name
WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\'
ORDER BY s.rowid
