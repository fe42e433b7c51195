-- The columns of all foreign keys; `to` is NULL where the parent's primary key is meant.
SELECT s.name, f.id, f."table", f."from", f."to"
FROM sqlite_schema AS s, pragma_foreign_key_list(s.name) AS f
WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND s.rootpage > 0
ORDER BY s.rowid, f.id, f.seq
