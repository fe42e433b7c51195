-- Tables on which the fence's trigger is missing or off. Row triggers stop the apply workers of a
-- subscriber, which fire no others.
SELECT c.oid::regclass
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
    AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND n.nspname !~ '^highwater_(capture|ledger)(_|$)' AND n.nspname <> {schema_name}
    AND NOT EXISTS (SELECT FROM pg_depend AS d
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    AND EXISTS (
        SELECT FROM unnest(CASE WHEN {by_row} AND c.relkind = 'r'
            THEN ARRAY[{trigger}, {row_trigger}] ELSE ARRAY[{trigger}] END) AS due(name)
        WHERE NOT EXISTS (
            SELECT FROM pg_trigger AS g
            JOIN pg_proc AS p ON p.oid = g.tgfoid
            JOIN pg_namespace AS o ON o.oid = p.pronamespace AND o.nspname = {schema_name}
            WHERE g.tgrelid = c.oid AND g.tgname = due.name AND g.tgenabled IN ('O', 'A')))
ORDER BY c.oid::regclass::text
