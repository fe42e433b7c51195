-- The files in which the captured tables and their parts keep their rows now. TRUNCATE and whatever rebuilds a
-- table gives it another one, and snapshots that were taken before then see no rows in it.
WITH RECURSIVE tree AS (
    SELECT t.relid FROM {s}.tables AS t
    UNION
    SELECT i.inhrelid FROM tree JOIN pg_catalog.pg_inherits AS i ON i.inhparent = tree.relid
)
SELECT pg_catalog.string_agg(c.oid || ' ' || c.relfilenode, ',' ORDER BY c.oid)
  FROM tree JOIN pg_catalog.pg_class AS c ON c.oid = tree.relid
