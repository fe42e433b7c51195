WITH RECURSIVE asked(number, place, schema_name, table_name, column_name) AS (VALUES {asked}
), base AS (
    SELECT k.number, k.place, a.attname, a.atttypid, a.atttypid AS base, a.attcollation,
        EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisvalid
            AND i.indpred IS NULL AND (i.indkey::int2[])[0] = a.attnum) AS indexed
    FROM asked AS k
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = k.schema_name
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = k.table_name
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attname = k.column_name AND NOT a.attisdropped
    UNION ALL
    SELECT b.number, b.place, b.attname, b.atttypid, t.typbasetype, b.attcollation, b.indexed
    FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.base AND t.typtype = 'd'
)
SELECT b.number, b.attname,
    b.atttypid,
    pg_catalog.format_type(b.base, -1),
    (SELECT format('%I.%I', n.nspname, o.collname)
     FROM pg_catalog.pg_collation AS o JOIN pg_catalog.pg_namespace AS n ON n.oid = o.collnamespace
     WHERE o.oid = b.attcollation AND o.oid <> t.typcollation),
    coalesce((SELECT n.nspname
     FROM pg_catalog.pg_opclass AS c
     JOIN pg_catalog.pg_am AS am ON am.oid = c.opcmethod AND am.amname = 'btree'
     JOIN pg_catalog.pg_amop AS m ON m.amopfamily = c.opcfamily AND m.amoplefttype = c.opcintype
        AND m.amoprighttype = c.opcintype AND m.amopstrategy = 3
     JOIN pg_catalog.pg_operator AS e ON e.oid = m.amopopr
     JOIN pg_catalog.pg_namespace AS n ON n.oid = e.oprnamespace
     WHERE c.opcdefault AND c.opcintype = b.base), 'pg_catalog'),
    b.indexed
FROM base AS b JOIN pg_catalog.pg_type AS t ON t.oid = b.base AND t.typtype <> 'd'
ORDER BY b.number, b.place
