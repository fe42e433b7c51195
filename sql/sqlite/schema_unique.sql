-- The terms of all unique indexes: key terms only, `cid` is -2 for an expression.
SELECT s.name, i.name, i.origin, i.partial, x.cid, x.name, x.coll, d.sql
FROM sqlite_schema AS s, pragma_index_list(s.name) AS i, pragma_index_xinfo(i.name) AS x
LEFT JOIN sqlite_schema AS d ON d.type = 'index' AND d.name = i.name
WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND s.rootpage > 0
  AND i."unique" AND x."key"
ORDER BY s.rowid, i.name, x.seqno
