-- How the columns $2 of the table $1 (quoted name) are compared: by the equality operator of the unique
-- index over these columns or some of them, else by that of the type's default index operators. Operators must be
-- named with their schema: citext's "=" is not to be found in pg_catalog, where text's would be taken.
WITH wanted AS (
    SELECT w.place, a.attnum, a.atttypid, a.attname
      FROM unnest($2::text[]) WITH ORDINALITY AS w (name, place)
      JOIN pg_catalog.pg_attribute a
        ON a.attrelid = $1::text::pg_catalog.regclass AND a.attname = w.name AND NOT a.attisdropped
), chosen AS (
    SELECT i.indexrelid, i.indkey, i.indclass
      FROM pg_catalog.pg_index i
     WHERE i.indrelid = $1::text::pg_catalog.regclass
       AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
       AND NOT EXISTS (SELECT FROM unnest((i.indkey::int2[])[0:i.indnkeyatts - 1]) AS k (attnum)
                        WHERE k.attnum NOT IN (SELECT w.attnum FROM wanted w))
     ORDER BY i.indnkeyatts DESC, i.indisprimary DESC, i.indexrelid
     LIMIT 1
), typed AS (
    SELECT w.*,
           coalesce((WITH RECURSIVE base AS (
                         SELECT t.oid, t.typtype, t.typbasetype FROM pg_catalog.pg_type t WHERE t.oid = w.atttypid
                          UNION ALL
                         SELECT t.oid, t.typtype, t.typbasetype
                           FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype AND b.typtype = 'd')
                     SELECT b.oid FROM base b WHERE b.typtype <> 'd'), w.atttypid) AS base
      FROM wanted w
), classed AS (
    SELECT t.*,
           coalesce(
             (SELECT c.indclass[s.place]
                FROM chosen c, generate_subscripts(c.indkey, 1) AS s (place)
               WHERE c.indkey[s.place] = t.attnum LIMIT 1),
             -- An exact match first, then the class of a type that this one is stored like (varchar as
             -- text), then that of its family (enums, arrays, ranges, records).
             (SELECT o.oid
                FROM pg_catalog.pg_opclass o
                JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod AND m.amname = 'btree'
                JOIN pg_catalog.pg_type y ON y.oid = t.base
                LEFT JOIN pg_catalog.pg_cast k
                  ON k.castsource = t.base AND k.casttarget = o.opcintype AND k.castmethod = 'b' AND k.castcontext = 'i'
               WHERE o.opcdefault
                 AND (o.opcintype = t.base OR k.oid IS NOT NULL
                      OR o.opcintype = CASE WHEN y.typtype = 'e' THEN 'pg_catalog.anyenum'::pg_catalog.regtype
                                            WHEN y.typtype = 'r' THEN 'pg_catalog.anyrange'::pg_catalog.regtype
                                            WHEN y.typtype = 'c' THEN 'pg_catalog.record'::pg_catalog.regtype
                                            WHEN y.typcategory = 'A' THEN 'pg_catalog.anyarray'::pg_catalog.regtype END::oid
                      OR y.typtype = 'm' AND o.opcintype = pg_catalog.to_regtype('pg_catalog.anymultirange')::oid)
               ORDER BY (o.opcintype = t.base) DESC, k.oid NULLS LAST LIMIT 1)) AS class
      FROM typed t
)
SELECT c.attname::text AS name,
       'OPERATOR(' || coalesce(pg_catalog.quote_ident(n.nspname) || '.' || o.oprname, 'pg_catalog.=') || ')' AS equal,
       EXISTS (SELECT FROM chosen) AS indexed
  FROM classed c
  LEFT JOIN pg_catalog.pg_opclass k ON k.oid = c.class
  LEFT JOIN pg_catalog.pg_am m ON m.oid = k.opcmethod
  LEFT JOIN pg_catalog.pg_amop a
    ON a.amopfamily = k.opcfamily AND a.amoplefttype = k.opcintype AND a.amoprighttype = k.opcintype
   AND a.amopstrategy = CASE m.amname WHEN 'hash' THEN 1 ELSE 3 END
   AND m.amname IN ('btree', 'hash')
  LEFT JOIN pg_catalog.pg_operator o ON o.oid = a.amopopr
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
 ORDER BY c.place
