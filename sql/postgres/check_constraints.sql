-- The enforced CHECK constraints of the tables $1 (oids), and those of the domains that their columns have;
-- for these `value` is the column that VALUE means.
WITH RECURSIVE domains (relation, attribute, type) AS (
    SELECT a.attrelid, a.attname, a.atttypid
      FROM pg_catalog.pg_attribute a
     WHERE a.attrelid::bigint = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT d.relation, d.attribute, t.typbasetype
      FROM domains d
      JOIN pg_catalog.pg_type t ON t.oid = d.type
     WHERE t.typtype = 'd'
), conditions AS (
    SELECT c.conrelid AS relation, NULL::text AS value, c.oid
      FROM pg_catalog.pg_constraint c
     WHERE c.conrelid::bigint = ANY ($1)
    UNION ALL
    SELECT d.relation, d.attribute::text, c.oid
      FROM domains d
      JOIN pg_catalog.pg_constraint c ON c.contypid = d.type
)
SELECT n.relation::bigint AS oid,
       c.conname::text AS name,
       n.value,
       pg_catalog.pg_get_expr(c.conbin, c.conrelid) AS condition,
       c.convalidated AS validated
  FROM conditions n
  JOIN pg_catalog.pg_constraint c ON c.oid = n.oid
 WHERE c.contype = 'c' AND coalesce((pg_catalog.to_jsonb(c) ->> 'conenforced')::boolean, true)
 ORDER BY n.relation, n.value NULLS FIRST, c.conname
