-- Unique and excluding indexes with their columns; no columns where it is not on plain columns alone.
SELECT n.nspname, t.relname, x.relname,
    CASE WHEN i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL THEN
        (SELECT json_agg(a.attname ORDER BY a.attname)::text FROM pg_attribute AS a
         WHERE a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) END
FROM pg_index AS i
JOIN pg_class AS x ON x.oid = i.indexrelid
JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = x.relnamespace
WHERE (i.indisunique OR i.indisexclusion) AND n.nspname !~ '^pg_'
