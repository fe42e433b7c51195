WITH RECURSIVE tree AS (
    SELECT t.log, t.relid FROM {s}.tables AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.relid
    UNION ALL
    SELECT tree.log, i.inhrelid FROM tree
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.relid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
), live AS (
    SELECT tree.log, tree.relid, c.relfilenode AS filenode, {digest} AS triggers
    FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
), compared AS (
    SELECT log,
        string_agg(relid::regclass::text, ', ') FILTER (WHERE m.triggers IS NULL) AS attached,
        string_agg(relid::text, ', ') FILTER (WHERE l.triggers IS NULL) AS gone,
        string_agg(relid::regclass::text, ', ') FILTER (WHERE m.triggers <> l.triggers) AS altered,
        string_agg(relid::regclass::text, ', ') FILTER (WHERE m.filenode <> l.filenode AND NOT EXISTS (
            SELECT FROM {s}.storage AS s WHERE s.relid = l.relid AND s.filenode = l.filenode)) AS rebuilt
    FROM live AS l FULL JOIN {s}.members AS m USING (log, relid)
    GROUP BY log
)
SELECT t.label, t.log, t.generation, t.definition, t.relid, now.oid, t.captured AND l.oid IS DISTINCT FROM t.log_relid,
    (SELECT min(b.reason) FROM {s}.broken AS b WHERE b.log = t.log),
    x.attached, x.gone, x.altered, x.rebuilt,
    -- Whatever the plan was made from: columns, and the indexes that make a key.
    md5(concat_ws(' ', now.relrowsecurity,
        (SELECT string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attgenerated),
            ',' ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = now.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT string_agg(concat_ws(' ', i.indexrelid, i.indisvalid, i.indpred IS NULL), ',' ORDER BY i.indexrelid)
         FROM pg_catalog.pg_index AS i WHERE i.indrelid = now.oid AND i.indisunique))),
    old.oid::regclass::text,
    -- The functions run as their owner.
    (SELECT p.proowner::regrole FROM pg_catalog.pg_proc AS p
     WHERE p.pronamespace = ln.oid AND p.proname = 'refuse' AND NOT has_table_privilege(p.proowner, l.oid, 'INSERT'))
FROM {s}.tables AS t
LEFT JOIN compared AS x USING (log)
LEFT JOIN pg_catalog.pg_class AS old ON old.oid = t.relid
LEFT JOIN (pg_catalog.pg_class AS now JOIN pg_catalog.pg_namespace AS n ON n.oid = now.relnamespace)
    ON n.nspname = t.schema_name AND now.relname = t.table_name
LEFT JOIN (pg_catalog.pg_class AS l JOIN pg_catalog.pg_namespace AS ln ON ln.oid = l.relnamespace)
    ON ln.nspname = {schema_name} AND l.relname = t.log
ORDER BY t.label
