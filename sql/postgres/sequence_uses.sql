-- The sequences that feed whole-number columns of user tables: those that a column owns (serial, identity),
-- and those that a column's default names.
SELECT n.nspname, s.relname, tn.nspname, t.relname, a.attname, q.seqincrement,
       pg_catalog.has_sequence_privilege(s.oid, 'SELECT')
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
  FROM (SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS attribute
          FROM pg_catalog.pg_depend d
         WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
           AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
         UNION
        SELECT d.refobjid, f.adrelid, f.adnum
          FROM pg_catalog.pg_attrdef f
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
                                     AND d.objid = f.oid
                                     AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass) u
  JOIN pg_catalog.pg_class s ON s.oid = u.sequence AND s.relkind = 'S'
  JOIN pg_catalog.pg_sequence q ON q.seqrelid = s.oid
  JOIN pg_catalog.pg_namespace n ON n.oid = s.relnamespace
  JOIN pg_catalog.pg_class t ON t.oid = u.relation AND t.relpersistence <> 't'
  JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.attribute AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
 WHERE COALESCE(NULLIF(y.typbasetype, 0), y.oid)
       IN ('int2'::pg_catalog.regtype, 'int4'::pg_catalog.regtype, 'int8'::pg_catalog.regtype,
           'numeric'::pg_catalog.regtype)
 ORDER BY 1, 2, 3, 4, 5
