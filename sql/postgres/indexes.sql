-- Primary keys and unique indexes of the tables $1 (oids) that cover the whole table and have plain
-- columns only, and tell values apart as the columns themselves do. One that has a collation or operators of its own
-- can keep 'a' beside 'A' where the column's equality takes both for one key.
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
   AND NOT EXISTS (
       SELECT FROM generate_subscripts(i.indkey, 1) AS s (place)
         JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[s.place]
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         JOIN pg_catalog.pg_opclass o ON o.oid = i.indclass[s.place]
        WHERE s.place < i.indnkeyatts
          AND (i.indcollation[s.place] <> a.attcollation
                   AND EXISTS (SELECT FROM pg_catalog.pg_collation n
                                WHERE n.oid = a.attcollation AND NOT n.collisdeterministic)
               OR EXISTS (SELECT FROM pg_catalog.pg_opclass d
                           WHERE d.opcmethod = o.opcmethod AND d.opcdefault
                             AND d.opcintype = coalesce(nullif(t.typbasetype, 0), t.oid)
                             AND d.opcintype <> o.opcintype)))
 ORDER BY i.indrelid, i.indisprimary DESC, c.relname
