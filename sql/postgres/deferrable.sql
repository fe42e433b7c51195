-- Unique and exclusion constraints of the table $1 (quoted name) that are checked by a trigger after
-- the statement: where triggers are silenced, the server does not check them at all.
SELECT k.conname::text AS name,
       ARRAY(SELECT a.attname::text
               FROM unnest(k.conkey) WITH ORDINALITY AS c (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = c.attnum
              ORDER BY c.place) AS columns,
       ARRAY(SELECT 'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || o.oprname || ')'
               FROM unnest(k.conexclop) WITH ORDINALITY AS x (oid, place)
               JOIN pg_catalog.pg_operator o ON o.oid = x.oid
               JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
              ORDER BY x.place) AS operators
  FROM pg_catalog.pg_constraint k
 WHERE k.conrelid = $1::text::pg_catalog.regclass
   AND k.contype IN ('p', 'u', 'x') AND k.condeferrable
 ORDER BY k.conname
