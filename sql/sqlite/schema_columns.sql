-- The columns of all ordinary tables. hidden: 0 plain, 2 and 3 computed. No default is an empty text.
SELECT s.name, c.name, c.type, c."notnull", coalesce(c.dflt_value, ''), c.pk, c.hidden
FROM sqlite_schema AS s, pragma_table_xinfo(s.name) AS c
WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND s.rootpage > 0
ORDER BY s.rowid, c.cid
