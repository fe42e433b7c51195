-- Tables and partitions with the table under which highwater knows them.
WITH RECURSIVE tree AS (
    SELECT c.oid AS root, c.oid FROM pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
    UNION ALL
    SELECT tree.root, i.inhrelid FROM tree
    JOIN pg_inherits AS i ON i.inhparent = tree.oid
    JOIN pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
)
SELECT n.nspname, c.relname, rn.nspname, r.relname, c.oid
FROM tree
JOIN pg_class AS c ON c.oid = tree.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_class AS r ON r.oid = tree.root JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
