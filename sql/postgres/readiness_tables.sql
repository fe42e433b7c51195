-- What the target allows us on each of the tables $1 (quoted names); those that are missing are left out.
WITH RECURSIVE wanted AS (
    SELECT w.place, pg_catalog.to_regclass(w.name)::oid AS oid
      FROM unnest($1::text[]) WITH ORDINALITY AS w (name, place)
), tree AS (
    SELECT place, oid AS member FROM wanted WHERE oid IS NOT NULL
     UNION
    SELECT t.place, i.inhrelid
      FROM tree t
      JOIN pg_catalog.pg_inherits i ON i.inhparent = t.member
      JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
)
SELECT w.place,
       quote_ident(n.nspname) AS schema,
       c.relkind::text AS kind,
       has_schema_privilege(n.oid, 'USAGE') AS may_use,
       has_table_privilege(c.oid, 'SELECT') AS may_select,
       has_table_privilege(c.oid, 'INSERT') AS may_insert,
       has_table_privilege(c.oid, 'UPDATE') AS may_update,
       has_table_privilege(c.oid, 'DELETE') AS may_delete,
       EXISTS (SELECT FROM tree t WHERE t.place = w.place AND pg_catalog.row_security_active(t.member)) AS row_security,
       EXISTS (SELECT FROM tree t JOIN pg_catalog.pg_class m ON m.oid = t.member
                WHERE t.place = w.place AND m.relpersistence = 'u') AS unlogged,
       ARRAY(SELECT r.rulename::text FROM pg_catalog.pg_rewrite r
              WHERE r.ev_class = c.oid AND r.ev_type <> '1'
                AND r.ev_enabled = ANY (CASE WHEN $2 THEN '{A,R}' ELSE '{O,A}' END::"char"[])) AS rules,
       -- Updates and deletes of a published table take a replica identity.
       ARRAY(SELECT DISTINCT p.pubname::text FROM tree t JOIN pg_catalog.pg_class m ON m.oid = t.member AND m.relkind = 'r'
               JOIN pg_catalog.pg_publication p ON p.pubupdate OR p.pubdelete
              WHERE t.place = w.place
                AND (m.relreplident = 'n' OR m.relreplident = 'd' AND NOT EXISTS (
                    SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = m.oid AND i.indisprimary))
                AND (p.puballtables OR EXISTS (
                    SELECT FROM pg_catalog.pg_publication_tables l JOIN pg_catalog.pg_namespace s ON s.nspname = l.schemaname
                     WHERE l.pubname = p.pubname AND s.oid = m.relnamespace AND l.tablename = m.relname))) AS published,
       ARRAY(SELECT DISTINCT g.tgname::text FROM tree t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.member
              WHERE t.place = w.place AND NOT g.tgisinternal AND g.tgenabled IN ('A', 'R')) AS always,
       ARRAY(SELECT DISTINCT g.tgname::text FROM tree t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.member
              WHERE t.place = w.place AND NOT g.tgisinternal AND g.tgenabled = 'O') AS triggers,
       ARRAY(SELECT a.attname::text || E'\n' || s.oid::pg_catalog.regclass::text
               FROM pg_catalog.pg_attribute a
               JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
               JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                AND d.objid = f.oid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
               JOIN pg_catalog.pg_class s ON s.oid = d.refobjid
              WHERE a.attrelid = c.oid
                AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END
              ORDER BY a.attnum) AS closed_sequences,
       ARRAY(SELECT k.conname::text FROM pg_catalog.pg_constraint k
              WHERE k.contype = 'f' AND k.conrelid = c.oid) AS foreign_keys,
       ARRAY(SELECT k.conname::text FROM pg_catalog.pg_constraint k
              WHERE k.contype IN ('p', 'u', 'x') AND k.condeferrable AND k.conrelid = c.oid) AS deferrable
  FROM wanted w
  JOIN pg_catalog.pg_class c ON c.oid = w.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 ORDER BY w.place
