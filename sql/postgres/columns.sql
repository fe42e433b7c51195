-- The columns of the tables $1 (oids), in order. A domain's NOT NULL and default count as the column's.
-- `by_text`: types whose values travel as text: those without functions for the binary form, and reg* ones, whose
-- number means another object in another cluster, by themselves or as part of another type.
WITH RECURSIVE whole (oid, part) AS (
    SELECT t.oid, t.typelem FROM pg_catalog.pg_type t WHERE t.typelem <> 0
     UNION ALL
    SELECT t.oid, t.typbasetype FROM pg_catalog.pg_type t WHERE t.typbasetype <> 0
     UNION ALL
    SELECT r.rngtypid, r.rngsubtype FROM pg_catalog.pg_range r
     UNION ALL
    SELECT c.reltype, p.atttypid
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_attribute p ON p.attrelid = c.oid AND p.attnum > 0 AND NOT p.attisdropped
     WHERE c.reltype <> 0
), by_text (oid) AS (
    SELECT t.oid
      FROM pg_catalog.pg_type t
     WHERE t.typtype <> 'p'
       AND (t.typsend = 0 OR t.typreceive = 0
            OR t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typname ~ '^reg')
     UNION
    SELECT w.oid FROM by_text b JOIN whole w ON w.part = b.oid
)
SELECT a.attrelid::bigint AS oid,
       a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type_name,
       CASE WHEN t.typtype <> 'd' THEN pg_catalog.format_type(a.atttypid, a.atttypmod)
            ELSE (WITH RECURSIVE below (type, modifier) AS (
                      SELECT t.typbasetype, t.typtypmod
                      UNION ALL
                      SELECT d.typbasetype, d.typtypmod
                        FROM below b
                        JOIN pg_catalog.pg_type d ON d.oid = b.type
                       WHERE d.typtype = 'd')
                  SELECT pg_catalog.format_type(b.type, b.modifier)
                    FROM below b
                    JOIN pg_catalog.pg_type d ON d.oid = b.type
                   WHERE d.typtype <> 'd') END
       || coalesce((SELECT ' collate ' || pg_catalog.quote_ident(c.collname)
                      FROM pg_catalog.pg_collation c
                     WHERE c.oid = a.attcollation AND c.collname <> 'default'), '') AS compares_as,
       a.attnotnull OR t.typnotnull AS not_null,
       a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
       CASE WHEN a.attgenerated = ''
            THEN coalesce(pg_catalog.pg_get_expr(f.adbin, f.adrelid), t.typdefault) END AS default_value,
       CASE WHEN a.attgenerated <> '' THEN 'computed'
            WHEN a.attidentity <> '' THEN 'identity'
            ELSE 'plain' END AS generation,
       a.atttypid IN (SELECT b.oid FROM by_text b) AS by_text
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
 WHERE a.attrelid::bigint = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
