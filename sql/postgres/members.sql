WITH RECURSIVE asked(number, schema_name, table_name) AS (VALUES {asked}
), tree AS (
    SELECT a.number, c.oid, 0 AS level
    FROM asked AS a
    JOIN pg_catalog.pg_namespace AS n ON n.nspname = a.schema_name
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = a.table_name
        AND c.relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT tree.number, i.inhrelid, tree.level + 1 FROM tree
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.oid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
)
SELECT tree.number, tree.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_has_role(c.relowner, 'USAGE'),
    pg_catalog.pg_get_userbyid(c.relowner)
FROM tree
JOIN pg_catalog.pg_class AS c ON c.oid = tree.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY tree.number, tree.level, n.nspname, c.relname
