-- Foreign keys of the tables $1 (oids), without those that partitions take over from their root.
SELECT f.conrelid::bigint AS oid,
       f.conname::text AS name,
       pn.nspname::text AS parent_schema,
       p.relname::text AS parent_name,
       ARRAY(SELECT a.attname::text
               FROM unnest(f.conkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text
               FROM unnest(f.confkey) WITH ORDINALITY AS k (attnum, place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum
              ORDER BY k.place) AS parent_columns
  FROM pg_catalog.pg_constraint f
  JOIN pg_catalog.pg_class p ON p.oid = f.confrelid
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE f.contype = 'f' AND f.conparentid = 0 AND f.conrelid::bigint = ANY ($1)
 ORDER BY f.conrelid, f.conname
