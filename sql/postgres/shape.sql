-- The columns of the table $1 (quoted name): each with its type as rows are converted to it. That is
-- the base type of a domain, and without a length, so that a cast never cuts a value off; storing it
-- into the column checks both.
SELECT a.attname::text AS name,
       pg_catalog.format_type(base.oid, -1) AS type_name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS full_type,
       base.typtype = 'e' AS is_enum,
       a.attidentity = 'a' AS always,
       a.attgenerated <> '' AS computed,
       a.attnotnull AS not_null,
       c.relkind = 'p' AS partitioned
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 CROSS JOIN LATERAL (
       WITH RECURSIVE down AS (
           SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid
            UNION ALL
           SELECT t.oid, t.typtype, t.typbasetype
             FROM down d JOIN pg_catalog.pg_type t ON t.oid = d.typbasetype AND d.typtype = 'd')
       SELECT d.oid, d.typtype FROM down d WHERE d.typtype <> 'd') AS base
 WHERE c.oid = $1::text::pg_catalog.regclass
 ORDER BY a.attnum
