WITH RECURSIVE tree AS (
    SELECT {relid}::oid AS relid
    UNION ALL
    SELECT i.inhrelid FROM tree
    JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.relid
    JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relispartition
)
INSERT INTO {s}.members (log, relid, filenode, triggers)
SELECT {log_name}, tree.relid, c.relfilenode, {digest}
FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
ON CONFLICT (log, relid) DO NOTHING
