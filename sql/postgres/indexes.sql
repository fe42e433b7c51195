-- Primary keys and unique indexes of the tables $1 (oids) that cover the whole table and have plain
-- columns only.
SELECT i.indrelid::bigint AS oid,
       c.relname::text AS name,
       i.indisprimary AS is_primary,
       ARRAY(SELECT a.attname::text
               FROM generate_subscripts(i.indkey, 1) AS s (place)
               JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.place]
              WHERE s.place < i.indnkeyatts
              ORDER BY s.place) AS columns
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid::bigint = ANY ($1)
   AND i.indisunique AND i.indisvalid AND i.indislive
   AND i.indpred IS NULL AND i.indexprs IS NULL
 ORDER BY i.indrelid, i.indisprimary DESC, c.relname
