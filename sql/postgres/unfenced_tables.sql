-- User tables that carry neither capture nor the fence's flag.
SELECT c.oid::regclass
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND n.nspname !~ '^highwater_(capture|ledger)(_|$)' AND n.nspname <> {schema_name}
    AND NOT EXISTS (SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    AND NOT EXISTS (SELECT FROM {s}.members AS m WHERE m.relid = c.oid)
ORDER BY c.oid::regclass::text
