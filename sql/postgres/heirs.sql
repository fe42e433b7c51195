WITH RECURSIVE tree AS (
    SELECT i.inhparent AS ancestor, i.inhrelid AS heir
    FROM pg_catalog.pg_inherits AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND NOT c.relispartition AND c.relkind IN ('r', 'f')
    UNION
    SELECT tree.ancestor, i.inhrelid FROM tree
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.heir
)
SELECT ancestor, heir FROM tree ORDER BY ancestor, heir
