WITH asked(number, schema_name, table_name) AS (VALUES {asked}
), found AS (
    SELECT a.number, c.oid
    FROM asked AS a
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = a.schema_name
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = a.table_name
)
SELECT f.number, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
    a.attnotnull OR t.typnotnull, a.attgenerated <> '', NULL
FROM found AS f
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
UNION ALL
SELECT f.number, NULL, NULL, NULL, NULL,
    (SELECT json_agg(a.attname ORDER BY a.attname)::text
     FROM pg_catalog.pg_attribute AS a
     WHERE a.attrelid = f.oid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
FROM found AS f
JOIN pg_catalog.pg_index AS i ON i.indrelid = f.oid AND i.indisunique AND i.indisvalid
    AND i.indpred IS NULL AND i.indexprs IS NULL
