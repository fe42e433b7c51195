-- The columns of the tables $1 (oids), in order. A domain's NOT NULL and default count as the column's.
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
            ELSE 'plain' END AS generation
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
 WHERE a.attrelid::bigint = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum
