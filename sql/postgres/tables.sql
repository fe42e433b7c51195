-- User tables: not the system's, not highwater's, not those that belong to an extension, not temporary
-- ones. Partitions stand under their root, whose numbers are sums over all of them.
-- $1: schemas to leave out.
WITH RECURSIVE roots AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'f')
       AND NOT c.relispartition
       AND c.relpersistence <> 't'
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND n.nspname !~ '^highwater_(capture|ledger)(_|$)'
       AND n.nspname <> ALL ($1)
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND d.objid = c.oid AND d.deptype = 'e')
), tree AS (
    SELECT oid AS root, oid AS member FROM roots
     UNION
    SELECT t.root, i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.member
), members AS (
    SELECT t.root, c.oid, n.nspname, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.reltuples
      FROM tree t
      JOIN pg_catalog.pg_class c ON c.oid = t.member
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
), sized AS (
    SELECT root, reltuples, pg_catalog.pg_relation_size(oid) AS heap, pg_catalog.pg_table_size(oid) AS bytes
      FROM members
     WHERE relkind = 'r' AND (oid = root OR relispartition)
), sums AS (
    -- A table that was never analyzed has no estimate; 100 bytes a row is a guess of the right order.
    SELECT root,
           sum(CASE WHEN reltuples > 0 THEN reltuples::float8 ELSE heap / 100.0 END)::bigint AS rows,
           sum(bytes)::bigint AS bytes
      FROM sized GROUP BY root
)
SELECT r.oid::bigint AS oid,
       r.nspname::text AS schema,
       r.relname::text AS name,
       r.relkind::text AS kind,
       r.relpersistence::text AS persistence,
       coalesce(s.rows, 0) AS rows,
       coalesce(s.bytes, 0) AS bytes,
       EXISTS (SELECT FROM members m
                WHERE m.root = r.oid AND m.relrowsecurity AND (m.oid = r.oid OR m.relispartition)) AS row_security,
       ARRAY(SELECT m.nspname::text FROM members m WHERE m.root = r.oid AND m.oid <> r.oid ORDER BY m.oid) AS member_schemas,
       ARRAY(SELECT m.relname::text FROM members m WHERE m.root = r.oid AND m.oid <> r.oid ORDER BY m.oid) AS member_names,
       ARRAY(SELECT DISTINCT g.tgname::text
               FROM members m
               JOIN pg_catalog.pg_trigger g ON g.tgrelid = m.oid AND NOT g.tgisinternal
               JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
               JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
              WHERE m.root = r.oid AND (m.oid = r.oid OR m.relispartition)
                AND n.nspname !~ '^highwater_capture(_|$)'
                AND n.nspname <> ALL ($1)) AS triggers
  FROM roots r
  LEFT JOIN sums s ON s.root = r.oid
 ORDER BY r.nspname, r.relname
