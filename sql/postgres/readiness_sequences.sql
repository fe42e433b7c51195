-- User sequences that we may not move. $1: schemas to leave out.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'S' AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND n.nspname !~ '^highwater_(capture|ledger)(_|$)'
   AND n.nspname <> ALL ($1)
   AND NOT (has_schema_privilege(n.oid, 'USAGE')
            AND has_sequence_privilege(c.oid, 'SELECT') AND has_sequence_privilege(c.oid, 'UPDATE'))
 ORDER BY 1
