-- The columns of the tables $1 (oids), in order. A domain's NOT NULL and default count as the column's.
SELECT a.attrelid::bigint AS oid,
       a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       a.attnotnull OR t.typnotnull AS not_null,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
       CASE WHEN a.attgenerated <> '' THEN 'computed'
            WHEN a.attidentity <> '' THEN 'identity'
            ELSE 'plain' END AS generation
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
 WHERE a.attrelid::bigint = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
