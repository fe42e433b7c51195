-- User sequences, standalone ones and those of serial and identity columns, with whether we may read
-- them. $1: schemas to leave out.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       s.seqincrement AS increment,
       pg_catalog.has_sequence_privilege(c.oid, 'SELECT')
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS readable
  FROM pg_catalog.pg_sequence s
  JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND n.nspname !~ '^highwater_(capture|ledger)(_|$)'
   AND n.nspname <> ALL ($1)
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                      AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
