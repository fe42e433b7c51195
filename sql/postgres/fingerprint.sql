-- Everything about a table (its quoted name as a literal) that the statements written for it rest on,
-- as one text: when it changes, they are written anew.
SELECT pg_catalog.concat_ws(';', c.oid, c.relkind,
           (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attidentity, a.attgenerated), ';' ORDER BY a.attnum)
              FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
           (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(',', i.indexrelid, i.indisvalid), ';' ORDER BY i.indexrelid)
              FROM pg_catalog.pg_index i
             WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)))
  FROM pg_catalog.pg_class c
 WHERE c.oid = {table}::pg_catalog.regclass;
